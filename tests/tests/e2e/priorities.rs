//! Which calls are lost when not all can be served.

use std::time::Duration;

use dfaas_tests::{Agent, Site, load};

/// A node that runs four calls of 100 ms at one time, 40 a second, of two functions that could each run eight.
async fn node(slots: &str) -> Agent {
    let function = |site: Site, name: &str, priority: u8| {
        let labels = format!("\"dfaas.concurrency\" = \"8\", \"dfaas.priority\" = \"{priority}\"");
        site.function(name, "\"sleep\"\nms = 100", 8, &labels)
    };
    let site = function(Site::new(), "high", 8);
    function(site, "low", 2).config(slots).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_higher_priority_loses_nothing_while_the_lower_has_something_to_lose() {
    let _machine = crate::alone().await;
    let agent = node("[node]\nslots = 4").await;
    let time = Duration::from_secs(10);
    // Twice what can be served: of the higher priority 60 % of it, of the lower 140 %.
    let (high, low) = tokio::join!(
        load::constant(agent.url("/function/high"), 24.0, time),
        load::constant(agent.url("/function/low"), 56.0, time),
    );
    println!("high {high:?}\nlow {low:?}");
    assert_eq!((high.served, high.offered), (240, 240), "{high:?}");
    assert_eq!(low.failed, Vec::<String>::new());
    // 16 of 56 are left to it, and those that were waiting at the end.
    assert!((100..=180).contains(&low.served), "{low:?}");
    let status = agent.status().await;
    assert_eq!(status.node_slots, Some(4));
    assert_eq!(status.node_slots_free, Some(4));
    assert_eq!(status.node_slots_waiting, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_share_a_node_show_the_smaller_headroom() {
    let _machine = crate::beside_others().await;
    let agent = node("[node]\nslots = 4").await;
    let alone = node("").await;
    let busy = |agent: &Agent| {
        let url = agent.url("/function/high?ms=3000");
        tokio::spawn(async move {
            let calls = (0..3).map(|_| reqwest::get(&url));
            futures::future::join_all(calls).await
        })
    };
    let calls = [busy(&agent), busy(&alone)];
    for (agent, left) in [(&agent, [1, 1]), (&alone, [5, 8])] {
        dfaas_tests::wait::until("three calls run", dfaas_tests::agent::SOON, || async {
            let functions = agent.status().await.functions;
            let free = functions.iter().map(|f| f.free.unwrap_or(0));
            (free.collect::<Vec<_>>() == left).then_some(())
        })
        .await;
    }
    for calls in calls {
        for answer in calls.await.unwrap() {
            assert_eq!(answer.unwrap().status(), 200);
        }
    }
}
