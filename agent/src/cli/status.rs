//! `dfaas status`.

use clap::Args;

use dfaas_protocol::HealthState;

use super::admin::block_on;
use super::table::{function, headroom, long_time, millis, or_dash, table};
use super::view::View;
use crate::admin::view::{FunctionStatus, Status};

/// Shows what an agent is and does: its addresses, its functions and its calls.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas status
  dfaas status --json | jq -r .node_id")]
pub(super) struct Show {
    #[command(flatten)]
    view: View,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<()> {
        super::print(&block_on(self.text())?)
    }

    async fn text(&self) -> anyhow::Result<String> {
        self.view.text("/v1/status", render).await
    }
}

fn render(status: &Status) -> String {
    let row = |name: &str, value: String| [name.to_owned(), value];
    let at = &status.addresses;
    let calls = &status.calls;
    let platform = match status.platform_health {
        _ if !status.platform_up => "does not answer",
        HealthState::Probation => "answers again, and is let in step by step",
        HealthState::Healthy | HealthState::Ejected | HealthState::Suspected => "answers",
    };
    let mut rows = vec![
        row("State", state(status)),
        row("Version", status.version.clone()),
        row("Strategy", status.strategy.to_string()),
        row("Neighbours", status.neighbours.to_string()),
        row("Platform", format!("{}, {platform}", at.platform)),
        row("Slots", node_slots(status)),
        row("Ingress", at.ingress.clone()),
        row(
            "Peers at",
            at.peer
                .clone()
                .unwrap_or_else(|| "nowhere: the node stands alone".to_owned()),
        ),
        row("Admin", at.admin.clone()),
    ];
    for (i, address) in at.overlay.iter().enumerate() {
        rows.push(row(if i == 0 { "Overlay" } else { "" }, address.clone()));
    }
    rows.push(row(
        "Calls",
        format!(
            "{} arrived: {} run here, {} forwarded, {} refused, {} failed",
            calls.arrived, calls.run_here, calls.forwarded, calls.refused, calls.failed
        ),
    ));
    rows.push(row(
        "For peers",
        format!(
            "{} run, {} refused",
            calls.run_for_peers, calls.refused_to_peers
        ),
    ));
    rows.push(row(
        "Forwards",
        format!(
            "{} refused by a peer or not connected",
            calls.forwards_refused
        ),
    ));
    let (id, short) = (status.node_id, status.node_id.short());
    let node = table(["Node", &format!("{id} ({short})")], rows);
    format!("{node}\n{}", functions(&status.functions))
}

fn node_slots(status: &Status) -> String {
    or_dash(status.node_slots.map(|slots| {
        let free = status.node_slots_free.unwrap_or(0);
        let waiting = status.node_slots_waiting.unwrap_or(0);
        format!("{slots} shared by the functions: {free} free, {waiting} calls waiting")
    }))
}

fn state(status: &Status) -> String {
    let up = long_time(status.uptime_seconds);
    if status.draining {
        format!("draining, after {up}")
    } else {
        format!("serving for {up}")
    }
}

fn functions(functions: &[FunctionStatus]) -> String {
    if functions.is_empty() {
        return "No functions, neither here nor at a neighbour.\n".to_owned();
    }
    let header = [
        "FUNCTION",
        "HERE",
        ">CAPACITY",
        ">FREE",
        ">SERVICE",
        ">NEIGHBOURS",
        ">ARRIVED",
        ">RUN HERE",
        ">FORWARDED",
        ">REFUSED",
        ">FAILED",
        ">FOR PEERS",
    ];
    let rows = functions
        .iter()
        .map(|f| {
            [
                function(&f.name),
                if f.here { "yes" } else { "no" }.to_owned(),
                capacity(f),
                headroom(f.free, f.size),
                or_dash(f.service_ms.map(millis)),
                f.neighbours.to_string(),
                f.calls.arrived.to_string(),
                f.calls.run_here.to_string(),
                f.calls.forwarded.to_string(),
                f.calls.refused.to_string(),
                f.calls.failed.to_string(),
                f.calls.run_for_peers.to_string(),
            ]
        })
        .collect();
    table(header, rows)
}

fn capacity(function: &FunctionStatus) -> String {
    or_dash(match (function.slots, function.rate) {
        (Some(slots), _) if function.learned => Some(format!("{slots} slots, learned")),
        (Some(slots), _) => Some(format!("{slots} slots")),
        (None, Some(rate)) => Some(format!("{rate}/s")),
        (None, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::admin::sample::serve_sample;
    use crate::admin::source::Source;

    async fn shown(at: impl ToString, json: bool) -> String {
        let view = View::of(at, json);
        Show { view }.text().await.unwrap()
    }

    /// The words of the line that begins with this word.
    fn line<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&first))
            .unwrap_or_else(|| panic!("no line {first} in:\n{text}"))
    }

    #[tokio::test]
    async fn a_node_is_shown_as_tables() {
        let (at, sample) = serve_sample().await;
        let text = shown(at, false).await;
        let id = sample.status().node_id;
        assert_eq!(line(&text, "Node")[1], id.to_string());
        assert_eq!(line(&text, "Node")[2], format!("({})", id.short()));
        assert_eq!(line(&text, "State")[1..].join(" "), "serving for 1 h 2 min");
        assert_eq!(line(&text, "Strategy")[1..], ["headroom"]);
        assert_eq!(
            line(&text, "Platform")[1..].join(" "),
            "http://127.0.0.1:8080, answers"
        );
        assert_eq!(
            line(&text, "Slots")[1..].join(" "),
            "8 shared by the functions: 3 free, 0 calls waiting"
        );
        assert_eq!(
            line(&text, "Calls")[1..].join(" "),
            "1000 arrived: 700 run here, 250 forwarded, 40 refused, 10 failed"
        );
        assert_eq!(
            line(&text, "resize").join(" "),
            "resize yes 8 slots, learned -2/8 103 ms 2 1000 700 250 40 10 33"
        );
        assert_eq!(
            line(&text, "hash.dev").join(" "),
            "hash.dev yes 12.5/s -2/8 - 2 1000 700 250 40 10 33"
        );
        assert_eq!(
            line(&text, "train.dev").join(" "),
            "train.dev no - - - 1 1000 700 250 40 10 33"
        );
        assert!(
            text.contains("/ip4/192.0.2.1/udp/31600/quic-v1/p2p/X"),
            "{text}"
        );
        sample.stopping.store(true, Ordering::Relaxed);
        let text = shown(at, false).await;
        assert!(line(&text, "State")[1].starts_with("draining"), "{text}");
    }

    #[tokio::test]
    async fn json_is_that_of_the_admin_address() {
        let (at, sample) = serve_sample().await;
        let text = shown(at, true).await;
        let pretty = serde_json::to_string_pretty(&sample.status()).unwrap();
        assert_eq!(text.trim_end(), pretty);
    }
}
