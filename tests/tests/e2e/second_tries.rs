//! Second tries are safe: whatever a platform or a neighbour does, no call is executed twice, each gets one answer, and
//! what was refused with nothing executed is served elsewhere.
//!
//! Three agents, each beside a gateway that does what the call's headers say and counts executions by `X-Call-Id`. All
//! have the function `work`; `a`, where the calls come in, does not have `away`, so that its calls cross once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dfaas_tests::agent::SOON;
use dfaas_tests::call::{Answer, Call, Framing};
use dfaas_tests::client::RawClient;
use dfaas_tests::scripted::{Fate, Gateway, Ledger, checksum, pattern};
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

const TIMEOUT_MS: u64 = 3_000;
const KIB: usize = 1024;
const BODIES: [Framing; 6] = [
    Framing::None,
    Framing::Sized(0),
    Framing::Sized(KIB),
    Framing::Chunked(KIB),
    Framing::Sized(1024 * KIB),
    Framing::Chunked(1024 * KIB),
];

/// Three agents and their gateways.
struct Sites {
    agents: Vec<Agent>,
    gateways: Vec<Gateway>,
    ledger: Ledger,
    ids: AtomicU64,
}

impl Sites {
    async fn start() -> Sites {
        let timeout = TIMEOUT_MS.to_string();
        let labels = [("dfaas.concurrency", "64"), ("dfaas.timeout_ms", &timeout)];
        Sites::start_with(&["a", "b", "c"], &labels, "").await
    }

    async fn start_with(names: &[&str], labels: &[(&str, &str)], config: &str) -> Sites {
        let ledger = Ledger::default();
        let (mut agents, mut gateways) = (Vec::<Agent>::new(), Vec::new());
        for name in names {
            let functions = [("work", labels), ("away", labels)];
            let first = usize::from(agents.is_empty());
            let gateway = Gateway::start(name, &ledger, &functions[..2 - first]).await;
            let mut site = Site::new().openfaas(&gateway.url()).config(config);
            if let Some(first) = agents.first() {
                site = site.joins(first);
            }
            agents.push(site.start().await);
            gateways.push(gateway);
        }
        for function in ["work", "away"] {
            agents[0].knows(function, names.len() - 1).await;
        }
        Sites {
            agents,
            gateways,
            ledger,
            ids: AtomicU64::new(0),
        }
    }

    /// A call to the first agent, with an id of its own.
    fn call(&self, function: &str) -> Call {
        let number = self.ids.fetch_add(1, Relaxed);
        let id = format!("call-{number:06}");
        Call::new(self.agents[0].ingress(), function, &id)
    }

    fn fate(&self, call: &Call) -> Fate {
        self.ledger.fate(call.id())
    }

    /// Sends plain calls until one is served: what came before them left nothing behind. A neighbour that just failed may
    /// be left alone for a while.
    async fn plain(&self, function: &str) {
        until("a plain call is served", SOON, || async {
            let call = self.call(function);
            let answer = call.send().await;
            if answer.status() == Some(503) {
                assert_eq!(self.fate(&call).executed, 0);
                return None;
            }
            assert_served(&call, &answer);
            assert_eq!(self.fate(&call).executed, 1);
            Some(())
        })
        .await;
    }
}

/// The gateway saw the whole body, and its answer is for this call.
fn assert_served(call: &Call, answer: &Answer) {
    assert!(answer.is_served(), "{call:?}: {answer:?}");
    let text = answer.text();
    let words: Vec<&str> = text.split(' ').collect();
    let body = call.bytes();
    let expected = [body.len().to_string(), checksum(&body).to_string()];
    assert_eq!(words[0], call.id(), "an answer for another call");
    assert_eq!(words[2..], expected, "{call:?}: {text}");
}

/// Where calls go, with the gateways that get them first.
const WAYS: [(&str, &[&str]); 2] = [("work", &["a"]), ("away", &["b", "c"])];

fn at(call: Call, gateways: &[&str], act: &str) -> Call {
    gateways.iter().fold(call, |call, name| call.at(name, act))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_functions_own_answer_comes_back_unchanged_and_is_never_tried_again() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for (function, first) in WAYS {
        for status in [429, 500, 502, 503, 504] {
            for body in BODIES {
                let call = at(sites.call(function), first, &status.to_string()).body(body);
                let answer = call.send().await;
                assert_eq!(answer.status(), Some(status), "{call:?}");
                let text = format!("the function says {status} to {}", call.id());
                assert_eq!(answer.text(), text);
                let fate = sites.fate(&call);
                assert_eq!((fate.seen, fate.executed), (1, 1), "{call:?}");
            }
            sites.plain(function).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_have_been_executed_is_never_tried_again() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for (function, first) in WAYS {
        for (act, executed) in [
            ("reset", 0),
            ("reset-head", 1),
            ("reset-byte", 1),
            ("reset-body", 1),
        ] {
            for body in BODIES {
                let call = at(sites.call(function), first, act).body(body);
                let answer = call.send().await;
                match (act, &answer) {
                    ("reset-body", Answer::Cut(_)) => assert_eq!(answer.status(), Some(200)),
                    _ => {
                        assert_eq!(answer.status(), Some(502), "{call:?}: {answer:?}");
                        assert_ne!(answer.text(), "");
                    }
                }
                let fate = sites.fate(&call);
                assert_eq!((fate.seen, fate.executed), (1, executed), "{call:?}");
                sites.plain(function).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_never_answers_costs_one_execution_and_the_timeout() {
    let _machine = crate::beside_others().await;
    let sites = Arc::new(Sites::start().await);
    let mut calls = JoinSet::new();
    for (function, first) in WAYS {
        for act in ["stall", "stall-body"] {
            for body in BODIES {
                let call = at(sites.call(function), first, act)
                    .body(body)
                    .patience(Duration::from_millis(3 * TIMEOUT_MS));
                let sites = Arc::clone(&sites);
                calls.spawn(async move {
                    let answer = call.send().await;
                    match (act, &answer) {
                        ("stall-body", Answer::Cut(_)) => {
                            assert_eq!(answer.status(), Some(200), "{call:?}");
                        }
                        _ => assert_eq!(answer.status(), Some(504), "{call:?}: {answer:?}"),
                    }
                    let fate = sites.fate(&call);
                    assert_eq!((fate.seen, fate.executed), (1, 1), "{call:?}");
                });
            }
        }
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    sites.plain("work").await;
    sites.plain("away").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_platform_refused_is_served_elsewhere() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for refused_by in ["a", "b", "c"] {
        let function = if refused_by == "a" { "work" } else { "away" };
        for act in ["limit", "limit-late", "limit-after=100", "limit-stuck"] {
            for body in &BODIES[..4] {
                if act == "limit-after=100" && matches!(body, Framing::None | Framing::Sized(0)) {
                    continue;
                }
                let call = sites.call(function).at(refused_by, act).body(*body);
                assert_served(&call, &call.send().await);
                let fate = sites.fate(&call);
                assert_eq!((fate.executed, fate.served), (1, 1), "{call:?}");
                // Which of two neighbours is asked first is a matter of chance.
                let seen = if refused_by == "a" { 2..=2 } else { 1..=2 };
                assert!(seen.contains(&fate.seen), "{call:?}: {fate:?}");
            }
        }
    }
    // Here, and at both neighbours.
    for body in &BODIES[..4] {
        let call = at(sites.call("work"), &["a", "b", "c"], "limit").body(*body);
        let answer = call.send().await;
        assert_eq!(answer.status(), Some(503), "{call:?}: {answer:?}");
        let fate = sites.fate(&call);
        assert_eq!((fate.seen, fate.executed), (3, 0), "{call:?}");
    }
}

/// What is documented in `datapath/replay.rs`: 64 KiB of a body are kept for a second attempt. Beyond that a body streams,
/// and a refusal that comes after is the client's.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_tried_again_only_while_it_is_whole() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for (function, first) in WAYS {
        for body in &BODIES[4..] {
            for act in ["limit", "limit-late", "limit-after=300000"] {
                let call = at(sites.call(function), first, act).body(*body);
                let answer = call.send().await;
                let fate = sites.fate(&call);
                match answer.status() {
                    Some(200) => {
                        assert_eq!(act, "limit", "the gateway had read more than is kept");
                        assert_served(&call, &answer);
                        assert_eq!((fate.executed, fate.served), (1, 1), "{call:?}");
                    }
                    Some(429) => {
                        let Answer::Whole(head, _) = &answer else {
                            panic!("{call:?}: {answer:?}")
                        };
                        let marker = head.header("x-openfaas-internal");
                        assert_eq!(marker, Some("faas-middleware"));
                        assert_eq!(fate.executed, 0, "{call:?}");
                    }
                    // By a neighbour, whose words are lost if it closes the connection while the body still comes.
                    Some(502 | 503) => assert_eq!((function, fate.executed), ("away", 0)),
                    other => panic!("{call:?}: {other:?} {answer:?}"),
                }
                sites.plain(function).await;
            }
        }
    }
    // A neighbour refuses before the body is sent to it: then it is whole however long it is.
    for body in &BODIES[4..] {
        let call = sites.call("work").at("a", "limit-after=100").body(*body);
        let answer = call.send().await;
        assert!(matches!(answer.status(), Some(200 | 429)), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_the_platform_closed_is_no_failure() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for round in 1..=50 {
        let call = sites.call("work").at("a", "then-close");
        assert_served(&call, &call.send().await);
        until("the gateway has closed", SOON, || async {
            (sites.gateways[0].closed() == round).then_some(())
        })
        .await;
        for body in &BODIES[..4] {
            let call = sites.call("work").body(*body);
            assert_served(&call, &call.send().await);
            assert_eq!(sites.fate(&call).seen, 1);
        }
    }
}

/// The platform closes, or resets, idle connections while calls arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_while_a_call_arrives_executes_nothing_twice() {
    let _machine = crate::beside_others().await;
    let sites = Arc::new(Sites::start().await);
    let mut failed = 0;
    for round in 0..150u32 {
        let act = if round % 2 == 0 {
            "then-close"
        } else {
            "then-reset"
        };
        let (function, first) = WAYS[round as usize / 2 % 2];
        let mut calls = JoinSet::new();
        for _ in 0..8 {
            let sites = Arc::clone(&sites);
            calls.spawn(async move {
                let mut failed = 0;
                for index in 0..2 {
                    let body = BODIES[round as usize % 4];
                    let mut call = sites.call(function).body(body);
                    if index == 0 {
                        call = at(call, first, act);
                    }
                    let answer = call.send().await;
                    let fate = sites.fate(&call);
                    assert!(fate.seen <= 1 && fate.executed <= 1, "{call:?}: {fate:?}");
                    match answer.status() {
                        Some(200) if answer.is_served() => assert_served(&call, &answer),
                        // Reset on the heels of its answer, which was lost in flight.
                        Some(200) => assert_eq!((index, act), (0, "then-reset")),
                        Some(502) => failed += 1,
                        other => panic!("{call:?}: {other:?} {answer:?}"),
                    }
                }
                failed
            });
        }
        while let Some(ended) = calls.join_next().await {
            failed += ended.unwrap();
        }
    }
    println!("of 2400 calls {failed} met a connection that was just being closed");
    sites.plain("work").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_forwarded_at_most_twice() {
    let _machine = crate::beside_others().await;
    let labels = [("dfaas.concurrency", "1")];
    let full = "[functions]\nqueue = 0\n";
    let sites = Sites::start_with(&["a", "b", "c", "d"], &labels, full).await;
    // One call in each of the slots that there are.
    let mut busy = JoinSet::new();
    for (index, agent) in sites.agents.iter().enumerate().skip(1) {
        let call = Call::new(agent.ingress(), "away", &format!("busy-{index}"));
        let call = at(call, &["b", "c", "d"], "delay=4000");
        busy.spawn(async move { call.send().await });
    }
    for agent in &sites.agents[1..] {
        until("the slot is taken", SOON, || async {
            let status = agent.status().await;
            let away = status.functions.iter().find(|f| f.name.starts_with("away"));
            (away.unwrap().free == Some(0)).then_some(())
        })
        .await;
    }
    let before = sites.agents[0].status().await.calls;
    for round in 1..=4 {
        let body = BODIES[round as usize % 4];
        let call = sites.call("away").body(body);
        let answer = call.send().await;
        assert_eq!(answer.status(), Some(503), "{answer:?}");
        assert_eq!(sites.fate(&call), Fate::default());
        let calls = sites.agents[0].status().await.calls;
        assert_eq!(calls.forwards_refused - before.forwards_refused, 2 * round);
        assert_eq!(calls.refused - before.refused, round);
    }
    while let Some(ended) = busy.join_next().await {
        assert!(ended.unwrap().is_served());
    }
}

/// Many at once on few slots, from two sides: gates refuse, and nothing is lost or doubled by it.
#[tokio::test(flavor = "multi_thread")]
async fn gates_that_are_full_lose_nothing_and_double_nothing() {
    let _machine = crate::alone().await;
    let labels = [("dfaas.concurrency", "2")];
    let config = "[functions]\nqueue = 0\n";
    let sites = Arc::new(Sites::start_with(&["a", "b", "c"], &labels, config).await);
    let mut sides = JoinSet::new();
    for worker in 0..6usize {
        let sites = Arc::clone(&sites);
        sides.spawn(async move {
            let (mut served, mut refused) = (0u64, 0u64);
            for round in 0..80 {
                let mut call = sites.call("away").body(BODIES[round % 4]);
                if worker % 2 == 1 {
                    // The other side: straight to the second agent.
                    call = call.to(sites.agents[1].ingress());
                }
                let call = at(call, &["b", "c"], "delay=5");
                let answer = call.send().await;
                let fate = sites.fate(&call);
                match answer.status() {
                    Some(200) => {
                        assert_served(&call, &answer);
                        assert_eq!(fate.executed, 1);
                        served += 1;
                    }
                    Some(503) => {
                        assert_eq!(fate.executed, 0);
                        refused += 1;
                    }
                    other => panic!("{call:?}: {other:?} {answer:?}"),
                }
            }
            (served, refused)
        });
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(ended) = sides.join_next().await {
        let (one, other) = ended.unwrap();
        served += one;
        refused += other;
    }
    let mut all = Vec::new();
    for agent in &sites.agents {
        all.push(agent.status().await.calls);
    }
    println!("served {served}, refused {refused}: {all:?}");
    assert_eq!(served + refused, 480);
    let sum = |of: fn(&dfaas_agent::admin::view::Calls) -> u64| all.iter().map(of).sum::<u64>();
    assert_eq!(sum(|c| c.run_here + c.forwarded), served);
    assert_eq!(sum(|c| c.refused), refused);
    assert_eq!(sum(|c| c.failed), 0);
    assert_eq!(sum(|c| c.run_for_peers), sum(|c| c.forwarded));
    assert_eq!(sum(|c| c.refused_to_peers), sum(|c| c.forwards_refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_gate_refused_is_served_elsewhere() {
    let _machine = crate::beside_others().await;
    let labels = [("dfaas.concurrency", "1")];
    let config = "[functions]\nqueue = 0\n";
    let sites = Arc::new(Sites::start_with(&["a", "b", "c"], &labels, config).await);
    // The first asks in turn, so that the busy one is asked whatever is known of it.
    sites.agents[0].switch("round-robin").await;
    let rescued = AtomicU64::new(0);
    until("three calls met a full gate", 2 * SOON, || async {
        // The first agent does not know that the second is busy until that says so.
        let id = format!("busy-{}", sites.ids.fetch_add(1, Relaxed));
        let busy = Call::new(sites.agents[1].ingress(), "away", &id).at("b", "delay=300");
        let sending = tokio::spawn(async move { busy.send().await });
        until("the slot is taken or was", SOON, || async {
            (sites.ledger.fate(&id).seen == 1).then_some(())
        })
        .await;
        let before = sites.agents[0].status().await.calls.forwards_refused;
        let call = sites.call("away").body(BODIES[2]);
        assert_served(&call, &call.send().await);
        let after = sites.agents[0].status().await.calls.forwards_refused;
        assert!(after - before <= 1);
        rescued.fetch_add(after - before, Relaxed);
        assert!(sending.await.unwrap().is_served());
        (rescued.load(Relaxed) >= 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_dies_under_load_costs_no_call_a_second_execution() {
    let _machine = crate::beside_others().await;
    let mut sites = Sites::start().await;
    let killed = sites.agents.remove(1);
    let sites = Arc::new(sites);
    let mut workers = JoinSet::new();
    let done = Arc::new(AtomicU64::new(0));
    for worker in 0..8usize {
        let (sites, done) = (Arc::clone(&sites), Arc::clone(&done));
        workers.spawn(async move {
            let mut failed = 0;
            for round in 0..60 {
                let body = BODIES[(round + worker) % 5];
                let call = at(sites.call("away"), &["b", "c"], "delay=10").body(body);
                let answer = call.send().await;
                let fate = sites.fate(&call);
                assert!(fate.executed <= 1, "{call:?}: {fate:?}");
                match answer.status() {
                    Some(200) if answer.is_served() => {
                        assert_served(&call, &answer);
                        assert_eq!(fate.executed, 1);
                    }
                    // It died within its answer, or with a call in its hands, which may have been executed; or it
                    // refused after a long body had begun to stream.
                    Some(200 | 502) => failed += 1,
                    other => panic!("{call:?}: {other:?} {answer:?}"),
                }
                done.fetch_add(1, Relaxed);
            }
            failed
        });
    }
    until("a part of the load has passed", SOON, || async {
        (done.load(Relaxed) >= 160).then_some(())
    })
    .await;
    drop(killed.kill());
    let mut failed = 0;
    while let Some(ended) = workers.join_next().await {
        failed += ended.unwrap();
    }
    println!("{failed} of 480 calls failed with the neighbour");
    // At most what was in its hands: one call of each worker.
    assert!(failed <= 8, "{failed}");
    sites.plain("away").await;
}

/// The share of each act in the mixture.
const MIXTURE: [(&str, u32); 16] = [
    ("answer", 30),
    ("delay=3", 10),
    ("limit", 12),
    ("limit-late", 8),
    ("limit-after=100", 4),
    ("limit-stuck", 1),
    ("429", 3),
    ("500", 3),
    ("502", 3),
    ("504", 3),
    ("reset", 4),
    ("reset-head", 4),
    ("reset-byte", 4),
    ("reset-body", 3),
    ("then-close", 6),
    ("extra", 2),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_random_mixture_of_all_that_goes_wrong_executes_nothing_twice() {
    const WORKERS: u64 = 16;
    const EACH: usize = 160;
    let _machine = crate::alone().await;
    let sites = Arc::new(Sites::start().await);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let sites = Arc::clone(&sites);
        workers.spawn(async move {
            let mut rng = StdRng::seed_from_u64(0xdfaa5 + worker);
            let mut answers = Vec::new();
            for _ in 0..EACH {
                let function = *["work", "away"].choose(&mut rng).unwrap();
                let body = match rng.random_range(0..40) {
                    0 => BODIES[4],
                    1 => BODIES[5],
                    other => BODIES[other % 4],
                };
                let mut call = sites.call(function).body(body);
                for gateway in ["a", "b", "c"] {
                    // Some of these need a body of that length.
                    let (act, _) = *MIXTURE
                        .choose_weighted(&mut rng, |(_, weight)| *weight)
                        .unwrap();
                    let small = call.bytes().len() < 100;
                    let act = if small && act.starts_with("limit-after") {
                        "limit"
                    } else {
                        act
                    };
                    call = call.at(gateway, act);
                }
                if rng.random_bool(0.01) {
                    let stall = *["stall", "stall-body"].choose(&mut rng).unwrap();
                    call = at(sites.call(function).body(body), &["a", "b", "c"], stall)
                        .patience(Duration::from_millis(3 * TIMEOUT_MS));
                }
                let answer = call.send().await;
                answers.push((call, answer));
            }
            answers
        });
    }
    let mut answers = Vec::new();
    while let Some(ended) = workers.join_next().await {
        answers.extend(ended.unwrap());
    }
    assert_eq!(answers.len() as u64, WORKERS * EACH as u64);
    let mut by_status = std::collections::BTreeMap::<_, u32>::new();
    for (call, answer) in &answers {
        let fate = sites.fate(call);
        assert!(fate.executed <= 1, "{call:?}: {fate:?}");
        let status = answer.status();
        assert!(status.is_some(), "{call:?} got no answer: {answer:?}");
        let whole = matches!(answer, Answer::Whole(..));
        *by_status.entry((status, whole)).or_default() += 1;
        match status {
            Some(200) if whole => {
                assert_served(call, answer);
                assert_eq!((fate.executed, fate.served), (1, 1), "{call:?}");
            }
            Some(200) => assert_eq!((fate.executed, fate.served), (1, 0), "{call:?}"),
            Some(503) => assert_eq!(fate.executed, 0, "{call:?}"),
            // It closed the connection behind an earlier answer as this call came.
            Some(502) => assert_eq!(fate.served, 0, "{call:?}: {fate:?}"),
            Some(429 | 500 | 504) => assert_eq!(fate.served, 0, "{call:?}: {fate:?}"),
            other => panic!("{call:?}: {other:?} {answer:?}"),
        }
    }
    println!("{} calls: {by_status:?}", answers.len());
    let fates = sites.ledger.all();
    assert!(fates.len() <= answers.len());
    let executed_and_answered: u32 = fates.values().map(|fate| fate.served).sum();
    let served = answers.iter().filter(|(_, answer)| answer.is_served());
    assert_eq!(served.count() as u32, executed_and_answered);
}

/// An answer that came before the end of the call's body leaves its connection busy with the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_busy_with_a_body_is_not_used_for_another_call() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for (function, first) in WAYS {
        let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
        let acts: String = first
            .iter()
            .map(|name| format!("X-At-{name}: early\r\n"))
            .collect();
        slow.send(format!(
            "POST /function/{function} HTTP/1.1\r\nHost: x\r\nX-Call-Id: slow-{function}\r\n{acts}\
             Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        ))
        .await;
        slow.read_until(&format!("\r\n\r\nslow-{function}")).await;
        for _ in 0..10 {
            sites.plain(function).await;
        }
        slow.send("4\r\nlast\r\n0\r\n\r\n").await;
        slow.forget();
        slow.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        slow.read_until("OK\n").await;
        let fate = sites.ledger.fate(&format!("slow-{function}"));
        assert_eq!((fate.seen, fate.executed), (1, 1));
    }
}

/// A refusal that came before the end of the call's body: the body goes elsewhere, and the connection is closed, since its
/// other end still waits for the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_attempt_lets_go_of_a_body_that_still_comes() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
    slow.send(
        "POST /function/work HTTP/1.1\r\nHost: x\r\nX-Call-Id: slow\r\nX-At-a: limit\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    )
    .await;
    until("the gateway's connection is closed", SOON, || async {
        (sites.gateways[0].broken() == 1).then_some(())
    })
    .await;
    slow.send("4\r\nlast\r\n0\r\n\r\n").await;
    let receipt = format!(" 9 {}", checksum(b"firstlast"));
    slow.read_until(&receipt).await;
    assert_eq!(
        sites.ledger.fate("slow"),
        Fate {
            seen: 2,
            executed: 1,
            served: 1
        }
    );

    // Nobody takes it: the client is told, and is not kept waiting for its own body's end.
    let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
    slow.send(
        "POST /function/work HTTP/1.1\r\nHost: x\r\nX-Call-Id: none\r\nX-At-a: limit\r\n\
         X-At-b: limit\r\nX-At-c: limit\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    )
    .await;
    let answer = slow.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(sites.ledger.fate("none").executed, 0);
}

/// Bytes behind an answer are nobody's: the call after it gets its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for round in 0..100 {
        let (function, first) = WAYS[round % 2];
        let call = at(sites.call(function), first, "extra");
        let answer = call.send().await;
        assert_served(&call, &answer);
        let call = sites.call(function);
        let answer = call.send().await;
        assert_served(&call, &answer);
        let Answer::Whole(head, _) = answer else {
            unreachable!()
        };
        assert_eq!(head.header("x-forged"), None);
    }
}

/// Clients go away at any byte of the request or of the answer; the calls after them see no byte of theirs.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_sees_a_byte_of_one_that_was_abandoned() {
    let _machine = crate::beside_others().await;
    let sites = Arc::new(Sites::start().await);
    let mut workers = JoinSet::new();
    for worker in 0..8u64 {
        let sites = Arc::clone(&sites);
        workers.spawn(async move {
            let mut rng = StdRng::seed_from_u64(worker);
            for _ in 0..60 {
                let (function, first) = *WAYS.choose(&mut rng).unwrap();
                let bytes = *[10, 5_000, 200_000].choose(&mut rng).unwrap();
                let kind = *["big", "bigchunks"].choose(&mut rng).unwrap();
                let body = *BODIES.choose(&mut rng).unwrap();
                let call = at(sites.call(function), first, &format!("{kind}={bytes}")).body(body);
                let request = call.request();
                if rng.random_bool(0.5) {
                    let sent = match rng.random_bool(0.5) {
                        true => request.len(),
                        false => rng.random_range(1..request.len()),
                    };
                    let read = rng.random_range(0..bytes + 200);
                    call.abandon(sent, read).await;
                } else {
                    let answer = call.send().await;
                    let Answer::Whole(_, received) = &answer else {
                        panic!("{call:?}: {answer:?}")
                    };
                    let start = String::from_utf8_lossy(&received[..received.len().min(100)]);
                    assert!(
                        *received == pattern(call.id(), bytes),
                        "{call:?}: {:?}, {} bytes: {start}",
                        answer.status(),
                        received.len()
                    );
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    assert!(sites.ledger.all().values().all(|fate| fate.executed <= 1));
    sites.plain("work").await;
    sites.plain("away").await;
}
