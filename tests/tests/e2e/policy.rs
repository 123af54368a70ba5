//! Where a function's calls may run, and who goes first.

use std::time::{Duration, Instant};

use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};

const NORTH: &str = "[node]\nlabels = { region = \"north\" }";
const SOUTH: &str = "[node]\nlabels = { region = \"south\" }";

/// A site with one function that sleeps for so long in one slot.
fn site(ms: u64, labels: &str) -> Site {
    let labels = format!("\"dfaas.concurrency\" = \"1\"{labels}");
    Site::new().function("work", &format!("\"sleep\"\nms = {ms}"), 1, &labels)
}

/// So many calls at once; which of them were served, and by whom.
async fn burst(agent: &Agent, calls: usize) -> Vec<(u16, Option<String>)> {
    let url = agent.url("/function/work");
    // One client for all: it takes longer to make than a call, and they would come one after the other.
    let client = reqwest::Client::new();
    let calls = (0..calls).map(|_| async {
        let answer = client.get(&url).send().await.unwrap();
        let by = answer.headers().get("dfaas-forwarded-to");
        let by = by.map(|node| node.to_str().unwrap().to_owned());
        (answer.status().as_u16(), by)
    });
    futures::future::join_all(calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_call_never_leaves() {
    let _machine = crate::beside_others().await;
    let local = ", \"dfaas.privacy\" = \"local\"";
    let first = site(50, local)
        .function("open", "\"echo\"", 1, "")
        .start()
        .await;
    // It does not know of the fence, and would take the calls.
    let second = site(50, "")
        .function("open", "\"echo\"", 1, "")
        .joins(&first)
        .start()
        .await;
    first.knows("open", 1).await;
    second.knows("open", 1).await;
    let answers = burst(&first, 30).await;
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    // One runs and eight wait; the rest is refused.
    assert!((9..30).contains(&served), "{answers:?}");
    assert!(answers.iter().all(|(_, by)| by.is_none()), "{answers:?}");
    assert_eq!(second.executions("work").await, 0);
    // Nor does it take calls of others.
    let answers = burst(&second, 30).await;
    assert!(answers.iter().all(|(_, by)| by.is_none()), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_stay_in_the_regions_of_their_function() {
    let _machine = crate::beside_others().await;
    let region = ", \"dfaas.region\" = \"north\"";
    let first = site(100, region).config(NORTH).start().await;
    let north = site(100, region).config(NORTH).joins(&first).start().await;
    let south = site(100, "").config(SOUTH).joins(&first).start().await;
    first.knows("work", 2).await;
    let answers = burst(&first, 12).await;
    let north_id = north.node().to_string();
    let forwarded: Vec<&String> = answers.iter().filter_map(|(_, by)| by.as_ref()).collect();
    assert!(!forwarded.is_empty(), "{answers:?}");
    assert!(forwarded.iter().all(|by| **by == north_id), "{answers:?}");
    assert_eq!(south.executions("work").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordoned_node_gives_calls_away_and_takes_none() {
    let _machine = crate::beside_others().await;
    let cordoned = site(50, "").config("[node]\ncordoned = true").start().await;
    let other = site(50, "").joins(&cordoned).start().await;
    cordoned.knows("work", 1).await;
    other.knows("work", 1).await;
    let answers = burst(&other, 12).await;
    assert!(answers.iter().all(|(_, by)| by.is_none()), "{answers:?}");
    assert_eq!(cordoned.executions("work").await, 0);
    // The other one may still be known as full.
    until("calls are given away", SOON, || async {
        let answers = burst(&cordoned, 6).await;
        let served = answers.iter().all(|(status, _)| *status == 200);
        assert!(served, "{answers:?}");
        answers.iter().any(|(_, by)| by.is_some()).then_some(())
    })
    .await;
}

/// Cordons or uncordons an agent, as its operator would.
async fn cordon(agent: &Agent, cordoned: bool) {
    let url = format!("http://{}/v1/cordon", agent.ready.addresses.admin);
    let body = format!("{{\"cordoned\": {cordoned}}}");
    let put = reqwest::Client::new().put(url).body(body);
    let put = put.header("content-type", "application/json");
    assert_eq!(put.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_cordoned_and_uncordoned_while_it_runs() {
    let _machine = crate::beside_others().await;
    let first = site(50, "").start().await;
    let other = site(50, "").joins(&first).start().await;
    other.knows("work", 1).await;
    first.knows("work", 1).await;
    let forwards = || async {
        let answers = burst(&other, 12).await;
        answers.iter().any(|(_, by)| by.is_some()).then_some(())
    };
    until("calls are forwarded", SOON, forwards).await;
    cordon(&first, true).await;
    let before = first.executions("work").await;
    for _ in 0..3 {
        let answers = burst(&other, 12).await;
        assert!(answers.iter().all(|(_, by)| by.is_none()), "{answers:?}");
    }
    assert_eq!(first.executions("work").await, before);
    cordon(&first, false).await;
    until("calls are forwarded again", SOON, forwards).await;
    assert!(first.executions("work").await > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_meet_its_deadline_is_refused_at_once_and_not_executed() {
    let _machine = crate::beside_others().await;
    let agent = site(2000, "").start().await;
    let url = agent.url("/function/work");
    let running = tokio::spawn(reqwest::get(url.clone()));
    until("the first call runs", SOON, || async {
        let status = agent.status().await;
        (status.functions[0].free == Some(0)).then_some(())
    })
    .await;
    let start = Instant::now();
    let client = reqwest::Client::new();
    let call = client.get(&url).header("DFaaS-Deadline-Ms", "300").send();
    let answer = call.await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    // Long before the one that runs has ended.
    assert!(start.elapsed() < Duration::from_millis(1500));
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    assert_eq!(agent.executions("work").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_at_a_neighbour_too() {
    let _machine = crate::beside_others().await;
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let second = site(2000, "").joins(&first).start().await;
    first.knows("work", 1).await;
    let url = first.url("/function/work");
    let running = tokio::spawn(reqwest::get(url.clone()));
    until("the first call runs", SOON, || async {
        let status = second.status().await;
        (status.functions.iter().any(|f| f.free == Some(0))).then_some(())
    })
    .await;
    let start = Instant::now();
    let client = reqwest::Client::new();
    let call = client.get(&url).header("DFaaS-Deadline-Ms", "300").send();
    // It waits there until it can no longer start in time, and nothing of it is executed.
    assert_eq!(call.await.unwrap().status(), 503);
    assert!(start.elapsed() < Duration::from_millis(1500));
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    assert_eq!(second.executions("work").await, 1);
}
