//! Stopping nodes without losing a call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dfaas_tests::agent::{SOON, program};
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site, load};
use futures::future::join_all;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_ends_what_runs_and_hands_new_calls_to_neighbours() {
    let _machine = crate::alone().await;
    let site = || Site::new().sleeps("work", 20, 8).sleeps("long", 12_000, 1);
    let mut first = site().start().await;
    let second = site().joins(&first).start().await;
    first.knows("work", 1).await;
    let long = tokio::spawn(reqwest::get(first.url("/function/long")));
    until("the long call runs", SOON, || async {
        (first.executions("long").await == 1).then_some(())
    })
    .await;

    let admin = first.ready.addresses.admin.clone();
    let drain = Command::new(program())
        .args(["drain", "--notice-ms", "10000", "--admin", &admin])
        .output();
    let drain = tokio::spawn(drain);
    until("load balancers are told", SOON, || async {
        let health = reqwest::get(first.url("/healthz")).await.unwrap();
        (health.status() == 503).then_some(())
    })
    .await;
    let (here, there) = (
        first.executions("work").await,
        second.executions("work").await,
    );
    let url = first.url("/function/work");
    let tally = load::constant(url, 40.0, Duration::from_secs(2)).await;
    assert_eq!(tally.served, tally.offered, "{tally:?}");
    // It runs those that nobody else takes, as where the neighbour is silent for a while on a busy machine.
    assert!(tally.forwarded * 10 >= tally.offered * 9, "{tally:?}");
    let ran_here = first.executions("work").await - here;
    let ran_there = second.executions("work").await - there;
    let forwarded = tally.forwarded;
    assert_eq!((ran_here, ran_there), (tally.served - forwarded, forwarded));

    let answer = long.await.unwrap().expect("the long call is answered");
    assert_eq!(answer.status(), 200);
    let drained = drain.await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&drained.stdout), "drained\n");
    assert!(drained.status.success());
    assert!(first.ended().await.success());
}

/// A node that takes longer to say how it is is not well. Less than a notice lasts: who is waited for holds up the view of all.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// Where a load balancer sends calls: to whoever says that he is well.
#[derive(Default)]
struct Balancer {
    ready: Mutex<Vec<String>>,
    turn: AtomicUsize,
}

impl Balancer {
    fn next(&self) -> String {
        let ready = self.ready.lock().unwrap();
        ready[self.turn.fetch_add(1, Relaxed) % ready.len()].clone()
    }

    /// Looks at the nodes once, at all at the same time. If none is well, those that were are as good as any.
    async fn look(&self, client: &reqwest::Client, nodes: &Mutex<Vec<String>>) {
        let nodes = nodes.lock().unwrap().clone();
        let looks = nodes.iter().map(|node| async move {
            let answer = client.get(format!("{node}/healthz")).send().await;
            let well = answer.is_ok_and(|answer| answer.status() == 200);
            well.then(|| format!("{node}/function/work"))
        });
        let well: Vec<_> = join_all(looks).await.into_iter().flatten().collect();
        if !well.is_empty() {
            *self.ready.lock().unwrap() = well;
        }
    }
}

async fn hears_some(agent: &Agent) {
    until("it hears at least one neighbour", SOON, || async {
        (agent.status().await.functions[0].neighbours > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_ten_nodes_under_load_fails_no_call() {
    const NODES: usize = 10;
    let _machine = crate::alone().await;
    let site = || {
        Site::new()
            .sleeps("work", 50, 4)
            .config("[timeouts]\nnotice_ms = 2500")
    };
    let first = site().start().await;
    let mut agents: Vec<Agent> = vec![first];
    for _ in 1..NODES {
        agents.push(site().joins(&agents[0]).start().await);
    }
    for agent in &agents {
        hears_some(agent).await;
    }
    let nodes = Arc::new(Mutex::new(
        agents.iter().map(|a| a.url("")).collect::<Vec<_>>(),
    ));
    let balancer = Arc::new(Balancer::default());
    let done = Arc::new(AtomicBool::new(false));
    let client = reqwest::Client::builder()
        .timeout(LOOK_LIMIT)
        .build()
        .unwrap();
    until("a node is well", SOON, || async {
        balancer.look(&client, &nodes).await;
        (!balancer.ready.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    let looking = tokio::spawn({
        let (balancer, nodes, done) =
            (Arc::clone(&balancer), Arc::clone(&nodes), Arc::clone(&done));
        async move {
            while !done.load(Relaxed) {
                balancer.look(&client, &nodes).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    // Ten nodes of 80 calls a second each, at a fifth of that: what is tested is what a restart loses.
    let running = tokio::spawn({
        let (balancer, done) = (Arc::clone(&balancer), Arc::clone(&done));
        load::spread(
            move || (!done.load(Relaxed)).then(|| balancer.next()),
            160.0,
        )
    });
    for index in 0..NODES {
        // Whoever stays knows the others, so that a node which comes back begins with one of them.
        let mut leaving = agents.remove(0);
        leaving.signal("TERM");
        assert!(
            leaving.ended().await.success(),
            "node {index} drains in time"
        );
        let back = site().joins(&agents[0]).start_in(leaving.kill()).await;
        hears_some(&back).await;
        agents.push(back);
        *nodes.lock().unwrap() = agents.iter().map(|a| a.url("")).collect();
    }
    done.store(true, Relaxed);
    looking.await.unwrap();
    let tally = running.await.unwrap();
    assert_eq!(tally.failed, Vec::<String>::new());
    assert_eq!(
        (tally.served, tally.refused),
        (tally.offered, 0),
        "{tally:?}"
    );
    assert!(
        tally.offered > 1000,
        "there was load all the time: {tally:?}"
    );
}
