//! What becomes of calls when a node is offered more than it can serve.

use std::time::Duration;

use dfaas_protocol::strategy::StrategyName;
use dfaas_tests::load::Seen;
use dfaas_tests::{Agent, Site, load};
use tokio::time::Instant;

/// A hundred calls a second, by label; and many slots, so that the label alone limits.
const RATE: &str = "\"dfaas.maxrate\" = \"100\"";

async fn pair(ms: u64, strategy: &str) -> (Agent, Agent) {
    let builtin = format!("\"sleep\"\nms = {ms}");
    let site = || {
        Site::new()
            .strategy(strategy)
            .function("work", &builtin, 1000, RATE)
    };
    let first = site().start().await;
    let second = site().joins(&first).start().await;
    first.knows("work", 1).await;
    second.knows("work", 1).await;
    (first, second)
}

/// The reference's own case, on which it "forwards only in a limited way": 110 calls a second on a rate of 100.
async fn a_hundred_and_ten_on_a_hundred(ms: u64) {
    let (first, second) = pair(ms, "headroom").await;
    let time = Duration::from_secs(60);
    let tally = load::constant(first.url("/function/work"), 110.0, time).await;
    println!("service {ms} ms: {tally:?}");
    assert_eq!(tally.offered, 6600);
    assert_eq!(tally.failed, Vec::<String>::new());
    assert!(tally.share() >= 0.999, "{tally:?}");
    // Ten a second, less what the full bucket gave at the start.
    assert!((540..=660).contains(&tally.forwarded), "{tally:?}");
    let executed = first.executions("work").await + second.executions("work").await;
    assert_eq!(executed, tally.served);
    assert_eq!(second.executions("work").await, tally.forwarded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_a_rate_however_long_a_call_takes() {
    let _machine = crate::alone().await;
    tokio::join!(
        a_hundred_and_ten_on_a_hundred(100),
        a_hundred_and_ten_on_a_hundred(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recalc_forwards_the_overflow_within_its_grants() {
    let _machine = crate::alone().await;
    let (first, second) = pair(20, "recalc").await;
    let time = Duration::from_secs(10);
    // The first period grants; before it nothing can be forwarded.
    let _ = load::constant(first.url("/function/work"), 110.0, Duration::from_secs(3)).await;
    let tally = load::constant(first.url("/function/work"), 150.0, time).await;
    assert!(tally.share() >= 0.98, "{tally:?}");
    assert!(tally.forwarded > 350, "{tally:?}");
    assert!(second.status().await.calls.run_for_peers >= tally.forwarded);
}

#[tokio::test(flavor = "multi_thread")]
async fn static_sends_two_fifths_away() {
    let _machine = crate::alone().await;
    let (first, _second) = pair(2, "static").await;
    let time = Duration::from_secs(5);
    let tally = load::constant(first.url("/function/work"), 80.0, time).await;
    assert_eq!(tally.served, tally.offered, "{tally:?}");
    let share = tally.forwarded as f64 / tally.offered as f64;
    assert!((0.3..0.5).contains(&share), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_strategy_under_load_loses_nothing() {
    let _machine = crate::alone().await;
    let first = Site::new().sleeps("work", 50, 20).start().await;
    let second = Site::new()
        .sleeps("work", 50, 20)
        .joins(&first)
        .start()
        .await;
    first.knows("work", 1).await;
    let time = Duration::from_secs(6);
    let running = tokio::spawn(load::constant(first.url("/function/work"), 150.0, time));
    let names = StrategyName::ALL.map(StrategyName::as_str);
    for strategy in names.iter().cycle().take(2 * names.len()) {
        first.switch(strategy).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let tally = running.await.unwrap();
    assert_eq!(
        (tally.served, tally.refused),
        (tally.offered, 0),
        "{tally:?}"
    );
    assert_eq!(tally.failed, Vec::<String>::new());
    let executed = first.executions("work").await + second.executions("work").await;
    assert_eq!(executed, tally.served);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_overflowing_call_is_forwarded_at_once() {
    let _machine = crate::beside_others().await;
    let first = Site::new().sleeps("work", 500, 1).start().await;
    let second = Site::new()
        .sleeps("work", 500, 1)
        .joins(&first)
        .start()
        .await;
    first.knows("work", 1).await;
    let url = first.url("/function/work");
    let (a, b) = tokio::join!(reqwest::get(&url), reqwest::get(&url));
    let by = |r: &reqwest::Response| r.headers().get("dfaas-forwarded-to").cloned();
    let mut ran = [by(&a.unwrap()), by(&b.unwrap())];
    ran.sort_by_key(Option::is_some);
    assert_eq!(ran[0], None);
    assert_eq!(ran[1].clone().unwrap(), second.node().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_only_a_neighbour_has_is_served() {
    let _machine = crate::beside_others().await;
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let second = Site::new().sleeps("work", 1, 4).joins(&first).start().await;
    first.knows("work", 1).await;
    let response = reqwest::get(first.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["dfaas-forwarded-to"],
        second.node().to_string()
    );
    assert_eq!(
        response.headers()["dfaas-node-id"],
        first.node().to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_can_serve_the_client_is_told_so() {
    let _machine = crate::beside_others().await;
    let queue = "[functions]\nqueue = 0";
    let first = Site::new()
        .sleeps("work", 2000, 1)
        .config(queue)
        .start()
        .await;
    let url = first.url("/function/work");
    let busy = tokio::spawn(reqwest::get(url.clone()));
    dfaas_tests::wait::until("the slot is taken", dfaas_tests::agent::SOON, || async {
        (first.status().await.functions[0].free == Some(0)).then_some(())
    })
    .await;
    let refused = reqwest::get(&url).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["dfaas-node-id"], first.node().to_string());
    let text = refused.text().await.unwrap();
    assert!(text.contains("function work is overloaded"), "{text}");
    assert_eq!(busy.await.unwrap().unwrap().status(), 200);
    assert_eq!(first.executions("work").await, 1);
}

/// What a step of load did, as the clients saw it.
#[derive(Debug)]
struct Met {
    /// From the first call that could not start where it came to until the first one that was diverted had begun there.
    diverted: Duration,
    /// Of the calls that came in the second after the step, the share that was served.
    first_second: f64,
    /// Answers in the second after that, as a share of the calls that came.
    after: f64,
}

/// One step, on four slots whose calls take 100 ms, from those calls on that came after it.
fn met(calls: &[Seen], step: Instant, rate: f64) -> Met {
    let second = Duration::from_secs(1);
    let service = Duration::from_millis(100);
    let came = |call: &&Seen| call.due >= step;
    let runs_here = |at: Instant| {
        let here = calls.iter().filter(|call| !call.forwarded);
        here.filter(|call| call.sent < at && at < call.ended)
            .count()
    };
    let mut blocked = calls.iter().filter(came);
    let blocked = blocked.find(|call| runs_here(call.sent) >= 4);
    let blocked = blocked.expect("more come than can start at once").sent;
    let diverted = calls.iter().filter(came).filter(|call| call.forwarded);
    let begun = diverted.map(|call| call.ended - service).min();
    let begun = begun.expect("calls are diverted");
    let served = |call: &&Seen| call.status == Ok(200);
    let in_first = |call: &&Seen| call.due >= step && call.due < step + second;
    let answered = |call: &&Seen| call.ended >= step + second && call.ended < step + 2 * second;
    let offered = calls.iter().filter(in_first).count() as f64;
    Met {
        diverted: begun.saturating_duration_since(blocked),
        first_second: calls.iter().filter(in_first).filter(served).count() as f64 / offered,
        after: calls.iter().filter(answered).filter(served).count() as f64 / rate,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_load_is_diverted_in_50_ms_and_met_within_a_second() {
    let _machine = crate::alone().await;
    let first = Site::new().sleeps("work", 100, 4).start().await;
    let second = Site::new().sleeps("work", 100, 4);
    let second = second.joins(&first).start().await;
    let third = Site::new().sleeps("work", 100, 4);
    let third = third.joins(&first).start().await;
    first.knows("work", 2).await;
    // Each sustains 40 calls a second: at first there is half of that for one of them, then 90 for all, which all can be
    // served. Five times, as a machine that does something else at the moment of a step says nothing of the agents.
    let (calm, high) = (Duration::from_secs(1), Duration::from_secs(3));
    let phases = [(20.0, calm), (90.0, high)].repeat(5);
    let calls = load::recorded(first.url("/function/work"), &phases).await;
    let start = calls[0].due;
    let mut steps: Vec<Met> = (0..5)
        .map(|n| met(&calls, start + n * (calm + high) + calm, 90.0))
        .collect();
    println!("{steps:?}");
    let mut median = |of: fn(&Met) -> f64| {
        steps.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&steps[2])
    };
    let diverted = median(|met| met.diverted.as_secs_f64());
    assert!(
        diverted <= 0.050,
        "the first is diverted after {diverted} s"
    );
    assert!(median(|met| met.first_second) >= 0.95);
    assert!(median(|met| met.after) >= 0.95);
    let served = calls.iter().filter(|call| call.status == Ok(200)).count();
    assert!(served as f64 >= 0.95 * calls.len() as f64, "{served}");
    for other in [&second, &third] {
        // About a third of it, or a quarter at least.
        assert!(other.executions("work").await >= 5 * 3 * 90 / 4 * 3 / 4);
    }
}
