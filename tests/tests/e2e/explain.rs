//! Why calls went where they went, as agents tell it and as a person reads it.

use std::process::Command;
use std::time::Duration;

use dfaas_agent::admin::view::{CallExplanation, Decisions};
use dfaas_tests::agent::{SOON, program};
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use tokio::task::JoinHandle;

/// A site whose function runs for so long in one slot, where so many more may wait.
fn site(ms: u64, queue: u32) -> Site {
    let labels = "\"dfaas.concurrency\" = \"1\"";
    Site::new()
        .function("work", &format!("\"sleep\"\nms = {ms}"), 1, labels)
        .config(&format!("[functions]\nqueue = {queue}"))
}

/// A call with that id; its status once it is answered.
fn call(agent: &Agent, id: &str) -> JoinHandle<u16> {
    let request = reqwest::Client::new()
        .get(agent.url("/function/work"))
        .header("X-Call-Id", id);
    tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
}

/// The one call with that id that an agent keeps.
async fn explained(agent: &Agent, id: &str) -> CallExplanation {
    until("the call is kept", SOON, || async {
        let url = format!("http://{}/v1/calls/{id}", agent.ready.addresses.admin);
        let answer = reqwest::get(url).await.unwrap();
        let calls: Vec<CallExplanation> = answer.json().await.ok()?;
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.into_iter().next()
    })
    .await
}

/// Waits until an agent has so many free places for the function.
async fn has_free(agent: &Agent, free: i32) {
    until("the calls run and wait", SOON, || async {
        (agent.status().await.functions[0].free == Some(free)).then_some(())
    })
    .await;
}

/// What `dfaas explain` prints, with single spaces: to standard output, or else to standard error.
fn dfaas_explain(agent: &Agent, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program())
        .arg("explain")
        .args(words)
        .args(["--admin", &agent.ready.addresses.admin])
        .output()
        .unwrap();
    let text = |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_ran_here_and_there_are_explained_on_both_nodes() {
    let _machine = crate::beside_others().await;
    let first = site(1000, 0).start().await;
    let second = site(10, 0).joins(&first).start().await;
    first.knows("work", 1).await;
    second.knows("work", 1).await;
    let here = call(&first, "stays");
    has_free(&first, 0).await;
    assert_eq!(call(&first, "leaves").await.unwrap(), 200);
    assert_eq!(here.await.unwrap(), 200);

    let stays = explained(&first, "stays").await;
    assert_eq!((stays.outcome.as_str(), stays.status), ("run_here", 200));
    assert_eq!((stays.ran_at, stays.from), (Some(first.node()), None));
    assert_eq!((stays.reason.as_str(), stays.steps.len()), ("free-here", 1));
    assert!(stays.took_ms >= 1000.0, "{stays:?}");

    let leaves = explained(&first, "leaves").await;
    assert_eq!(leaves.outcome, "forwarded");
    assert_eq!(leaves.ran_at, Some(second.node()));
    let [step] = &leaves.steps[..] else {
        panic!("{leaves:?}")
    };
    assert_eq!(
        (step.what.as_str(), step.came_to.as_str()),
        ("forward", "answered")
    );
    assert_eq!(step.reason, "more-headroom-there");
    assert!(
        step.took_ms >= 10.0 && step.took_ms <= leaves.took_ms,
        "{leaves:?}"
    );
    assert_eq!(step.here.unwrap().free, 0);
    let [candidate] = &step.candidates[..] else {
        panic!("{leaves:?}")
    };
    assert_eq!(
        (candidate.node_id, candidate.verdict.as_str()),
        (second.node(), "chosen")
    );
    assert_eq!(candidate.left.unwrap().share, 1.0);

    let taken = explained(&second, "leaves").await;
    assert_eq!(taken.from, Some(first.node()));
    assert_eq!(
        (taken.outcome.as_str(), taken.status),
        ("run_for_peer", 200)
    );
    assert_eq!(taken.ran_at, Some(second.node()));
    assert!(taken.took_ms <= leaves.took_ms, "{taken:?} {leaves:?}");

    let text = dfaas_explain(&first, &["leaves"]).unwrap();
    let there = second.node().short();
    for part in [
        "Call leaves\nFunction work\nArrived ",
        &format!("Ended run at {there}, status 200, after "),
        "Reason more-headroom-there: a neighbour had the larger share of its capacity left",
        &format!(" forward {there} more-headroom-there - "),
        "here 0/1 0.00 - nothing is free",
        &format!("{there} 1/1 1.00 "),
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let text = dfaas_explain(&second, &["leaves"]).unwrap();
    let from = format!("from the neighbour {}", first.node().short());
    assert!(text.contains(&from), "{text}");

    let sums: Decisions = first.admin("/v1/functions/work/decisions").await;
    assert_eq!(sums.calls, 2);
    let by = |counts: &[dfaas_agent::admin::view::Count]| {
        let mut of: Vec<String> = counts.iter().map(|c| c.of.clone()).collect();
        of.sort();
        of
    };
    assert_eq!(by(&sums.by_outcome), ["forwarded", "run_here"]);
    assert_eq!(by(&sums.by_reason), ["free-here", "more-headroom-there"]);
    let text = dfaas_explain(&first, &["--function", "work"]).unwrap();
    assert!(text.contains(&format!("{there} 1 50.0 %")), "{text}");
    let json = dfaas_explain(&first, &["--function", "work", "--json"]).unwrap();
    let told: Decisions = serde_json::from_str(&json).unwrap();
    assert_eq!(told.by_reason, sums.by_reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_everybody_refused_is_explained_with_each_candidate() {
    let _machine = crate::beside_others().await;
    // No offer goes out again while the test lasts: what each knows of the others is what they said first.
    let slow = |site: Site| site.period_ms(60_000);
    let first = slow(site(4000, 0)).start().await;
    let second = slow(site(4000, 0)).joins(&first).start().await;
    let third = slow(site(4000, 0)).joins(&first).start().await;
    let cordoned = slow(site(4000, 0))
        .config("[node]\ncordoned = true")
        .joins(&first)
        .start()
        .await;
    first.knows("work", 3).await;
    let mut running = Vec::new();
    for (n, agent) in [&first, &second, &third].into_iter().enumerate() {
        running.push(call(agent, &format!("fills-{n}")));
        has_free(agent, 0).await;
    }
    assert_eq!(call(&first, "nowhere").await.unwrap(), 503);
    let told = explained(&first, "nowhere").await;
    assert_eq!((told.outcome.as_str(), told.status), ("refused", 503));
    assert_eq!((told.reason.as_str(), told.ran_at), ("full", None));
    let [one, other, last] = &told.steps[..] else {
        panic!("{told:?}")
    };
    for step in [one, other] {
        assert_eq!(
            (step.what.as_str(), step.came_to.as_str()),
            ("forward", "refused")
        );
        assert_eq!(step.said.as_deref(), Some("full"));
    }
    assert_ne!(one.node, other.node);
    assert_eq!(
        (last.what.as_str(), last.reason.as_str()),
        ("refuse", "full")
    );
    let verdict = |agent: &Agent| {
        let mut all = last.candidates.iter();
        let found = all.find(|candidate| candidate.node_id == agent.node());
        found.map(|candidate| candidate.verdict.as_str())
    };
    assert_eq!(verdict(&second), Some("tried"));
    assert_eq!(verdict(&third), Some("tried"));
    assert_eq!(verdict(&cordoned), Some("cordoned"));

    let refused = explained(&second, "nowhere").await;
    assert_eq!(
        (refused.outcome.as_str(), refused.reason.as_str()),
        ("refused_to_peer", "full")
    );
    assert_eq!(refused.from, Some(first.node()));
    assert_eq!(refused.ran_at, None);

    let text = dfaas_explain(&first, &["nowhere"]).unwrap();
    for part in [
        "Ended refused, nothing was executed, status 503, after ",
        "Reason full: everything that may run it was full",
        "refused: full",
        "was tried before",
        "cordoned: it takes no forwarded calls",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let error = dfaas_explain(&first, &["never"]).unwrap_err();
    assert!(error.contains("X-Call-Id"), "{error}");
    for call in running {
        let _ = tokio::time::timeout(Duration::from_secs(30), call)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_relayed_as_messages_are_explained_and_none_where_that_is_off() {
    let _machine = crate::beside_others().await;
    let first = site(1000, 0).start().await;
    let off = site(10, 0)
        .config("[log]\nexplain_calls = 0")
        .joins(&first)
        .start()
        .await;
    first.knows("work", 1).await;
    off.knows("work", 1).await;
    let here = call(&first, "stays");
    has_free(&first, 0).await;
    // A path with an escape is not plain.
    let answer = reqwest::Client::new()
        .get(first.url("/function/work/a%20b"))
        .header("X-Call-Id", "leaves")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(here.await.unwrap(), 200);
    let told = explained(&first, "leaves").await;
    assert_eq!((told.ran_at, told.steps.len()), (Some(off.node()), 1));
    let error = dfaas_explain(&off, &["leaves"]).unwrap_err();
    assert!(error.contains("set log.explain_calls above 0"), "{error}");
}
