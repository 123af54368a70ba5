//! `dfaas explain`.

use std::fmt::Write as _;

use anyhow::bail;
use clap::Args;
use dfaas_protocol::NodeId;

use super::admin::block_on;
use super::table::{function, millis, or_dash, table};
use super::view::View;
use crate::admin::view::{
    CallExplanation, CandidateExplanation, Count, Decisions, Left, StepExplanation,
};

/// Shows why a call went where it went: who could have run it, what was tried, and how long each step took.
#[derive(Args, Debug)]
#[command(
    after_help = "A call's id is the header X-Call-Id of its answer. An agent tells of its last calls only
(log.explain_calls), and so does the neighbour that it forwarded one to.

Examples:
  dfaas explain 7c9e6679-7425-40de-944b-e07fc1f90ae7
  dfaas explain --function resize"
)]
pub(super) struct Explain {
    /// The id of the call.
    #[arg(required_unless_present = "function", conflicts_with = "function")]
    call_id: Option<String>,
    /// Sums over the last calls of this function instead.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    #[command(flatten)]
    view: View,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        super::print(&block_on(self.text())?)
    }

    async fn text(&self) -> anyhow::Result<String> {
        match (&self.call_id, &self.function) {
            (Some(id), _) => {
                let path = format!("/v1/calls/{}", segment(id, "a call's id")?);
                let render = |calls: &Vec<CallExplanation>| {
                    calls.iter().map(call).collect::<Vec<_>>().join("\n")
                };
                self.view.text(&path, render).await
            }
            (None, Some(name)) => {
                let name = segment(name, "a function's name")?;
                let path = format!("/v1/functions/{name}/decisions");
                self.view.text(&path, sums).await
            }
            (None, None) => bail!("give the id of a call, or --function NAME"),
        }
    }
}

/// A text as one segment of a path (RFC 3986: what is not unreserved is percent-encoded).
fn segment(text: &str, what: &str) -> anyhow::Result<String> {
    if matches!(text, "" | "." | "..") {
        bail!("{text:?} is not {what}: `dfaas explain --help` says where to find it");
    }
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing into a string does not fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    Ok(encoded)
}

fn call(call: &CallExplanation) -> String {
    let row = |name: &str, value: String| [name.to_owned(), value];
    let from = match call.from {
        Some(node) => format!("the neighbour {}", node.short()),
        None => "a client".to_owned(),
    };
    let rows = vec![
        row("Function", function(&call.function)),
        row(
            "Arrived",
            format!("{} ago from {from}", millis(call.arrived_ms_ago)),
        ),
        row(
            "Ended",
            format!("{}, after {}", ended(call), millis(call.took_ms)),
        ),
        row("Reason", reason(&call.reason)),
    ];
    let head = table(["Call", &printable(&call.call_id)], rows);
    let steps = table(
        [
            ">STEP", ">AFTER", "WHAT", "WHERE", "REASON", ">WAITED", ">TOOK", "CAME TO",
        ],
        call.steps
            .iter()
            .enumerate()
            .map(|(at, s)| step(at + 1, s))
            .collect(),
    );
    let stood = call.steps.iter().enumerate();
    let stood: String = stood.map(|(at, step)| candidates(at + 1, step)).collect();
    format!("{head}\n{steps}{stood}")
}

fn ended(call: &CallExplanation) -> String {
    let at = |node: Option<NodeId>| node.map_or_else(String::new, |n| format!(" at {}", n.short()));
    let what = match call.outcome.as_str() {
        "run_here" => "run here".to_owned(),
        "forwarded" => format!("run{}", at(call.ran_at)),
        "refused" => "refused, nothing was executed".to_owned(),
        "run_for_peer" => "run here for the neighbour".to_owned(),
        "refused_to_peer" => "refused to the neighbour, nothing was executed".to_owned(),
        _ if call.status == 499 => {
            return "whoever brought it went away before it was answered".to_owned();
        }
        other => other.to_owned(),
    };
    format!("{what}, status {}", call.status)
}

fn step(number: usize, step: &StepExplanation) -> [String; 8] {
    let came_to = match &step.said {
        Some(word) => format!("{}: {word}", step.came_to),
        None => step.came_to.clone(),
    };
    [
        number.to_string(),
        millis(step.after_ms),
        step.what.clone(),
        or_dash(step.node.map(|node| node.short())),
        step.reason.clone(),
        or_dash(step.waited_ms.map(millis)),
        millis(step.took_ms),
        came_to,
    ]
}

fn candidates(number: usize, step: &StepExplanation) -> String {
    if step.here.is_none() && step.candidates.is_empty() {
        return String::new();
    }
    let mut rows = vec![[
        "here".to_owned(),
        free(step.here),
        share(step.here),
        or_dash(None),
        match step.here {
            Some(left) if left.free > 0 => "a slot is free",
            Some(_) => "nothing is free",
            None => "the function is not here",
        }
        .to_owned(),
    ]];
    rows.extend(step.candidates.iter().map(candidate));
    let header = ["NODE", ">FREE", ">SHARE", ">ROUND TRIP", "STOOD"];
    let mut text = format!("\nBefore step {number}:\n{}", table(header, rows));
    if step.candidates_left_out > 0 {
        // Writing into a string does not fail.
        let _ = writeln!(text, "and {} more", step.candidates_left_out);
    }
    text
}

fn candidate(candidate: &CandidateExplanation) -> [String; 5] {
    [
        candidate.node_id.short(),
        free(candidate.left),
        share(candidate.left),
        or_dash(candidate.round_trip_ms.map(millis)),
        verdict(&candidate.verdict).to_owned(),
    ]
}

fn free(left: Option<Left>) -> String {
    or_dash(left.map(|left| format!("{}/{}", left.free, left.size)))
}

fn share(left: Option<Left>) -> String {
    or_dash(left.map(|left| format!("{:.2}", left.share)))
}

fn verdict(word: &str) -> &str {
    match word {
        "chosen" => "chosen",
        "tried" => "was tried before",
        "ejected" => "ejected: it does not answer",
        "resting" => "rests: it refused a moment ago",
        "no-room" => "no room left, not even to wait",
        "probation" => "on probation: it is sent only some calls",
        "suspected" => "suspected: it is silent for too long",
        "distrusted" => "distrusted: too many of its offers proved false",
        "open" => "not chosen",
        "cordoned" => "cordoned: it takes no forwarded calls",
        "local" => "fenced: the function stays on its node",
        "region" => "fenced: it is outside the function's regions",
        "label" => "lacks a label that the function requires",
        other => other,
    }
}

/// A reason's word, and what it means.
fn reason(word: &str) -> String {
    let meaning = match word {
        "free-here" => "it could start here at once",
        "more-headroom-there" => "a neighbour had the larger share of its capacity left",
        "only-there" => "only neighbours have the function",
        "drawn" => "the strategy's weights drew it",
        "nearest" => "the nearest neighbour with something free",
        "least-busy" => "the fewest calls were there",
        "in-turn" => "it was this node's turn",
        "wait-here" => "no neighbour was left to try, and there was room to wait here",
        "full" => "everything that may run it was full",
        "unknown" => "no node that is known here has the function",
        "platform-down" => "the platform did not answer, and no neighbour took it",
        "platform-refused" => "the platform refused it, and no neighbour took it",
        "not-taken" => "the function is not here, and no neighbour took it",
        "over-grant" => "the neighbour sent more than was granted to it",
        "not-here" => "the function is not here",
        "by-strategy" => "the strategy sheds it",
        "late" => "it could not be served before its deadline",
        "dropped" => "calls of higher priority took its place, or it could not start in time",
        "closed" => "the function is fenced, or this node is cordoned",
        "limited" => "the neighbour brings more calls or bytes than this node takes of one",
        "draining" => "this node was stopping",
        "not-a-neighbour" => "this node does not hear who brought it",
        "waited-too-long" => "its time was over before its turn came",
        _ => return word.to_owned(),
    };
    format!("{word}: {meaning}")
}

/// What a client sent, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The name of a table of sums, what is in it, and how that is shown.
type Sum<'a> = (&'static str, &'a [Count], fn(&str) -> String);

fn sums(decisions: &Decisions) -> String {
    let of = decisions.calls;
    let rows = vec![[
        "Calls".to_owned(),
        format!("the last {of}, over {}", millis(decisions.oldest_ms_ago)),
    ]];
    let name = function(&decisions.function);
    let mut text = table(["Function", &name], rows);
    let tables: [Sum<'_>; 4] = [
        ("REASON", &decisions.by_reason, reason),
        ("ENDED", &decisions.by_outcome, str::to_owned),
        ("RUN AT", &decisions.by_target, target),
        ("FORWARDS IN VAIN", &decisions.by_refusal, str::to_owned),
    ];
    for (what, counts, show) in tables {
        if counts.is_empty() {
            continue;
        }
        let rows = counts
            .iter()
            .map(|count| {
                let share = 100.0 * count.calls as f64 / of.max(1) as f64;
                [
                    show(&count.of),
                    count.calls.to_string(),
                    format!("{share:.1} %"),
                ]
            })
            .collect();
        text.push('\n');
        text.push_str(&table([what, ">CALLS", ">SHARE"], rows));
    }
    text
}

fn target(node: &str) -> String {
    match node.parse::<NodeId>() {
        Ok(node) => node.short(),
        Err(_) => node.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample::serve_sample;

    fn explain(at: impl ToString, id: Option<&str>, function: Option<&str>) -> Explain {
        Explain {
            call_id: id.map(str::to_owned),
            function: function.map(str::to_owned),
            view: View::of(at, false),
        }
    }

    /// The lines with single spaces, without the empty ones.
    fn lines(text: &str) -> Vec<String> {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect()
    }

    #[tokio::test]
    async fn a_call_is_told_as_a_person_reads_it() {
        let (at, _sample) = serve_sample().await;
        let text = explain(at, Some("a/b 1"), None).text().await.unwrap();
        let node = |n| NodeId::from_key([n; 32]).short();
        let (second, third, fourth) = (node(2), node(3), node(4));
        assert_eq!(
            lines(&text),
            [
                "Call a/b 1".to_owned(),
                "Function resize".to_owned(),
                "Arrived 2.0 s ago from a client".to_owned(),
                format!("Ended run at {third}, status 200, after 112 ms"),
                "Reason more-headroom-there: a neighbour had the larger share of its capacity left"
                    .to_owned(),
                "STEP AFTER WHAT WHERE REASON WAITED TOOK CAME TO".to_owned(),
                format!("1 0.1 ms forward {second} more-headroom-there - 4.2 ms refused: full"),
                format!("2 4.3 ms forward {third} more-headroom-there - 108 ms answered"),
                "Before step 1:".to_owned(),
                "NODE FREE SHARE ROUND TRIP STOOD".to_owned(),
                "here -2/4 -0.50 - nothing is free".to_owned(),
                format!("{second} 1/4 0.25 3.1 ms chosen"),
                format!("{third} 0/4 0.00 - not chosen"),
                format!("{fourth} - - - fenced: it is outside the function's regions"),
                "and 2 more".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn sums_are_told_as_tables() {
        let (at, _sample) = serve_sample().await;
        let text = explain(at, None, Some("resize")).text().await.unwrap();
        let there = NodeId::from_key([3; 32]).short();
        assert_eq!(
            lines(&text),
            [
                "Function resize".to_owned(),
                "Calls the last 8, over 61.0 s".to_owned(),
                "REASON CALLS SHARE".to_owned(),
                "free-here: it could start here at once 6 75.0 %".to_owned(),
                "full: everything that may run it was full 2 25.0 %".to_owned(),
                "ENDED CALLS SHARE".to_owned(),
                "run_here 6 75.0 %".to_owned(),
                "RUN AT CALLS SHARE".to_owned(),
                format!("{there} 6 75.0 %"),
                "none 2 25.0 %".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn what_is_not_known_gets_advice() {
        let (at, _sample) = serve_sample().await;
        for (id, function, advice) in [
            (Some("gone"), None, "raise log.explain_calls"),
            (Some(""), None, "is not a call's id"),
            (None, Some("other"), "`dfaas status` lists"),
            (None, Some("a b"), "400"),
        ] {
            let error = explain(at, id, function).text().await.unwrap_err();
            assert!(format!("{error:#}").contains(advice), "{error:#}");
        }
    }

    #[test]
    fn an_id_becomes_one_segment() {
        assert_eq!(segment("a-B.1_~", "").unwrap(), "a-B.1_~");
        assert_eq!(segment("a/b ?é%", "").unwrap(), "a%2Fb%20%3F%C3%A9%25");
    }
}
