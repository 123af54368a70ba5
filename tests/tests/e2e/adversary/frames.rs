//! Mutated frames of every kind, from members and from strangers, at every port.
//!
//! `DFAAS_FRAMES` says how many: some thousands where nothing is said, as each has to be read by a build without optimisation.

use std::collections::BTreeSet;

use dfaas_agent::admin::view;
use dfaas_protocol::membership::{InvitationId, JoinRequest, Secret};
use dfaas_tests::adversary::{
    Gossip, Mutation, ask_to_join, frames, hellos, messages, requests, send_calls, send_messages,
    send_raw, send_requests,
};
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use futures::future::BoxFuture;

use super::{MIB, Stage};

/// No message and no call is ignored for being one too many: all are to be read.
const UNLIMITED: &str = "[limits]\nmessages_per_second = 0\nmessage_bytes_per_second = 0\n\
                         calls_per_second = 0\ncall_bytes_per_second = 0";
/// By how much an agent may grow at most, whatever it is sent. Its tables are bounded; a build without optimisation and its
/// allocator keep a multiple of what they hold.
const MOST_MEMORY: usize = 192 * MIB;

fn all() -> usize {
    let said = std::env::var("DFAAS_FRAMES").ok();
    said.map_or(20_000, |said| said.parse().unwrap())
}

/// What one attacker has to report: how many frames were read, how many calls were answered with 200, and of how many it is not
/// known.
struct Report {
    name: &'static str,
    read: usize,
    served: usize,
    unknown: usize,
    may_call: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn mutated_frames_of_every_kind_do_nothing_but_cost_their_senders() {
    let _machine = crate::beside_others().await;
    let all = all();
    let stage = Stage::start(UNLIMITED).await;
    let agent = &stage.agent;
    let mut members = BTreeSet::from([agent.node()]);
    let mut reports: Vec<BoxFuture<'static, Report>> = Vec::new();

    // Messages: most of all frames, as they are what members say most.
    for seed in 0..3 {
        let (member, shown) = stage.member(true);
        members.insert(member.node());
        let mut mutation = Mutation::new(messages(&shown), seed);
        let mut gossip = Gossip::connect(&member, &agent.ready.addresses.overlay[0]);
        let count = all / 4;
        reports.push(Box::pin(async move {
            Report {
                name: "messages",
                read: send_messages(&mut gossip, &mut mutation, count).await,
                served: 0,
                unknown: 0,
                may_call: false,
            }
        }));
    }

    // Calls, from a member that may bring them and is a neighbour, and from one that may not.
    for may_call in [true, false] {
        let (member, _) = stage.member(may_call);
        members.insert(member.node());
        let mut gossip = Gossip::connect(&member, &agent.ready.addresses.overlay[0]);
        let offering = gossip.offers(1).await;
        until("it is a neighbour", SOON, || async {
            let peers = agent.peers().await;
            let found = peers.iter().any(|peer| peer.node_id == member.node());
            found.then_some(())
        })
        .await;
        let (peer, caller) = (agent.peer().to_owned(), member.clone());
        let count = all / 10;
        reports.push(Box::pin(async move {
            let mut requests = Mutation::new(requests("bait"), 10 + u64::from(may_call));
            let mut frames = Mutation::new(frames("bait"), 20);
            let both = (&mut requests, &mut frames);
            let answered = send_calls(&caller, &peer, both, count).await;
            drop((gossip, offering));
            Report {
                name: "frames of trunks",
                read: answered.read,
                served: answered.served,
                unknown: answered.last,
                may_call,
            }
        }));
        let peer = agent.peer().to_owned();
        let count = all / 50;
        reports.push(Box::pin(async move {
            let mut requests = Mutation::new(requests("bait"), 30 + u64::from(may_call));
            let answered = send_requests(&member, &peer, &mut requests, count).await;
            Report {
                name: "requests to the peer channel",
                read: answered.read,
                served: answered.served,
                // One whose client has gone may have been executed all the same.
                unknown: answered.read - answered.served,
                may_call,
            }
        }));
    }

    // Strangers, at every port. At the ingress they are clients, who may call.
    let scrapes = ["/metrics", "/v1/status", "/v1/peers", "/v1/federation"];
    let scrapes = scrapes.map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let overlay = crate::membership::overlay_of(agent);
    for (name, address, from, is_ingress) in [
        (
            "bytes to the ingress",
            agent.ingress(),
            requests("bait"),
            true,
        ),
        ("bytes to the peer port", agent.peer(), hellos(), false),
        ("bytes to the overlay", &overlay, hellos(), false),
        (
            "bytes to the admin address",
            &agent.ready.addresses.admin,
            scrapes.map(String::into_bytes).to_vec(),
            false,
        ),
    ] {
        let address = address.to_owned();
        let mut mutation = Mutation::new(from, 40);
        let count = all / 400;
        reports.push(Box::pin(async move {
            let said = send_raw(&address, &mut mutation, count).await;
            Report {
                name,
                read: said.ended,
                served: if is_ingress { said.served } else { 0 },
                unknown: 0,
                may_call: is_ingress,
            }
        }));
    }
    let peer = agent.peer().to_owned();
    reports.push(Box::pin(async move {
        let invited = JoinRequest::Invited {
            invitation: InvitationId([7; 16]),
            secret: Secret::new([8; 32]),
        };
        let from = vec![invited.to_bytes(), JoinRequest::Renew.to_bytes()];
        let mut mutation = Mutation::new(from, 50);
        // It listens to ten strangers a second.
        let (heard, answered) = ask_to_join(&peer, &mut mutation, (all / 400).min(2000)).await;
        println!("requests to join: {heard} heard, {answered} answered");
        assert!(heard > 0 && answered > 0);
        Report {
            name: "requests to join",
            read: heard,
            served: 0,
            unknown: 0,
            may_call: false,
        }
    }));

    let running = reports.into_iter().map(tokio::spawn);
    let ended = futures::future::join_all(running).await;
    let ended: Vec<Report> = ended.into_iter().map(Result::unwrap).collect();
    for report in &ended {
        println!(
            "{:>8} {} ({} served)",
            report.read, report.name, report.served
        );
        if !report.may_call {
            assert_eq!(report.served, 0, "{}", report.name);
        }
    }
    let read: usize = ended.iter().map(|report| report.read).sum();
    println!("{read} in all");
    assert!(read >= all * 99 / 100, "{read} of {all}");

    // What was said to be read was decoded, or refused by its length: nothing was passed over.
    let messages: usize = ended
        .iter()
        .filter(|report| report.name == "messages")
        .map(|report| report.read)
        .sum();
    let malformed = stage.metric("dfaas_messages_malformed_total").await;
    let received = stage.metric("dfaas_messages_received_total").await;
    println!("{malformed} messages malformed, {received} received");
    assert!(malformed + received >= messages);
    assert!(malformed > messages / 4 && received > messages / 20);
    assert_eq!(stage.metric("dfaas_messages_ignored_total").await, 0);

    // Nobody was let in by it, and nobody was put out.
    let known: view::Federation = agent.admin("/v1/federation").await;
    let known: BTreeSet<_> = known.members.iter().map(|member| member.node_id).collect();
    assert_eq!(known, members);
    assert!(!agent.log().contains("a certificate was issued"));

    let may: usize = ended
        .iter()
        .map(|r| if r.may_call { r.served + r.unknown } else { 0 })
        .sum();
    let served: usize = ended.iter().map(|r| r.served).sum();
    let seen = stage.end().await;
    println!(
        "{} calls were executed that members and clients may bring",
        seen.others
    );
    assert!(
        (served..=may).contains(&(seen.others as usize)),
        "{served} {may}"
    );
    assert!(served > 0, "some got to the platform");
    assert!(seen.grown < MOST_MEMORY, "it grew by {} bytes", seen.grown);
}
