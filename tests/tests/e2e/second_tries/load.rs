//! Many calls at a time, while platforms fill up, break and die.

use super::*;

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
