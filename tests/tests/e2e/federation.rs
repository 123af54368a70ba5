//! Agents that find one another, lose one another and come back.

use std::time::{Duration, Instant};

use dfaas_protocol::NodeId;
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site, load};
use futures::future::join_all;

/// As many neighbours as there are others, so that each must have found all.
const ALL: &str = "[timeouts]\ndrain_ms = 2000";

fn site() -> Site {
    Site::new().sleeps("work", 20, 4).config(ALL)
}

async fn all_know(agents: &[Agent], count: usize) {
    join_all(agents.iter().map(|agent| agent.knows("work", count))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_agents_given_one_address_find_each_other() {
    let _machine = crate::alone().await;
    let first = site().start().await;
    let started = Instant::now();
    let others = join_all((1..10).map(|_| site().joins(&first).start())).await;
    let ready = Instant::now();
    let mut agents = vec![first];
    agents.extend(others);
    let every: Vec<NodeId> = agents.iter().map(Agent::node).collect();
    // Each hears eight neighbours at the least, which is what an agent looks for by itself; and together they are one
    // federation: from any node every other is reached over neighbours.
    until("each agent hears eight neighbours", SOON, || async {
        let heard = join_all(agents.iter().map(Agent::peers)).await;
        heard.iter().all(|peers| peers.len() >= 8).then_some(())
    })
    .await;
    println!(
        "ten agents found each other {:?} after the last was ready, {:?} after the second was started",
        ready.elapsed(),
        started.elapsed()
    );
    let mut reached = vec![every[0]];
    let mut next = 0;
    while next < reached.len() {
        let index = every.iter().position(|n| *n == reached[next]).unwrap();
        for peer in agents[index].peers().await {
            if !reached.contains(&peer.node_id) {
                reached.push(peer.node_id);
            }
        }
        next += 1;
    }
    assert_eq!(reached.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_costs_no_call_that_starts_three_seconds_later() {
    let _machine = crate::alone().await;
    let first = site().start().await;
    let second = site().joins(&first).start().await;
    let third = site().joins(&first).start().await;
    let agents = [first, second, third];
    all_know(&agents, 2).await;
    let [first, second, third] = agents;
    let node = third.node();

    // The first has four slots and needs the others, so that connections to the third exist. The two that are left have a slot for each
    // call, however slow the machine is.
    let at_once = 7;
    let warm = load::closed(first.url("/function/work"), at_once, Duration::from_secs(2)).await;
    assert!(warm.forwarded > 0, "{warm:?}");
    let directory = third.kill();
    let killed = Instant::now();
    tokio::time::sleep_until((killed + Duration::from_secs(3)).into()).await;
    let seconds = Duration::from_secs(3);
    let tally = load::closed(first.url("/function/work"), at_once, seconds).await;
    assert_eq!(tally.failed, Vec::<String>::new());
    assert_eq!(tally.served, tally.offered, "{tally:?}");
    assert_eq!(first.peers().await.len(), 1);

    // The one that comes back with its key is the same node.
    let third = site().joins(&first).start_in(directory).await;
    assert_eq!(third.node(), node);
    first.knows("work", 2).await;
    second.knows("work", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_node_that_is_down_does_not_block_the_start() {
    let _machine = crate::beside_others().await;
    // An address of its own, where no connection of other tests takes the port while nobody listens at it.
    let own = "[overlay]\nlisten = [\"/ip4/127.0.0.77/tcp/0\"]\nmdns = false";
    let down = site().replace_overlay(own).start().await;
    let address = down.ready.addresses.overlay[0].clone();
    let node = down.node();
    let ports = format!(
        "overlay.listen = [{:?}]",
        address
            .split("/p2p/")
            .next()
            .expect("an address has a port")
    );
    let directory = down.kill();
    let config = format!(
        "[overlay]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\nbootstrap = [{address:?}]"
    );
    let alone = Site::new()
        .sleeps("work", 1, 1)
        .replace_overlay(&config)
        .start()
        .await;
    let response = reqwest::get(alone.url("/function/work")).await.unwrap();
    assert_eq!(
        response.status(),
        200,
        "it serves while nobody else is there"
    );
    assert!(alone.peers().await.is_empty());

    let listen = ports.split(" = ").nth(1).expect("a list").to_owned();
    let config = format!("[overlay]\nlisten = {listen}\nmdns = false");
    let back = site().replace_overlay(&config).start_in(directory).await;
    assert_eq!(back.node(), node);
    alone.hears(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_meet_over_quic() {
    let _machine = crate::beside_others().await;
    let quic = "[overlay]\nlisten = [\"/ip4/127.0.0.1/udp/0/quic-v1\"]\nmdns = false";
    let first = site().replace_overlay(quic).start().await;
    let bootstrap = &first.ready.addresses.overlay[0];
    let config = format!("{quic}\nbootstrap = [{bootstrap:?}]");
    let second = site().replace_overlay(&config).start().await;
    first.knows("work", 1).await;
    second.knows("work", 1).await;
    until("a round trip is measured", SOON, || async {
        first.peers().await[0]
            .round_trip_ms
            .map(|ms| assert!(ms < 1e4))
    })
    .await;
}
