//! Connections that are opened and fall silent.

use std::time::Duration;

use dfaas_tests::adversary::{Intruder, Silence, descriptors, hold};
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;

use super::{MIB, Stage};
use crate::membership::overlay_of;

/// Clients and nodes have two seconds for a head or a handshake.
const IMPATIENT: &str = "[timeouts]\nheader_ms = 2000\nidle_ms = 2000";
/// What an agent may have open beside what is counted: its own, the client's connections and those to the platform.
const SPARE: usize = 60;
const MOST_MEMORY: usize = 64 * MIB;

/// Handshakes of one address on the peer port that are not over, see `agent/src/datapath/unproved.rs`.
const UNPROVED: usize = 128;
/// Handshakes of the overlay that are not over, see `agent/src/overlay/behaviour.rs`.
const OVERLAY: usize = 128;
/// Connections to the admin address, see `agent/src/admin/patient.rs`.
const ADMIN: usize = 256;
/// Connections of one member on the peer port, see `agent/src/datapath/allowance.rs`.
const OF_A_MEMBER: usize = 1024;

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_never_ended_give_way_to_others() {
    let _machine = crate::beside_others().await;
    let stage = Stage::start("").await;
    let (agent, stranger) = (&stage.agent, Intruder::stranger());
    let before = descriptors(agent.pid());
    let mut held = Vec::new();
    for silence in [Silence::Opened, Silence::HalfHello] {
        held.push(hold(&stranger, agent.peer(), silence, 4 * UNPROVED).await);
    }
    // Long before any of them is late.
    let mut ended = || held.iter_mut().map(|held| held.ended()).sum::<usize>();
    until("the oldest give way", SOON, || {
        let ended = ended();
        async move { (ended >= 7 * UNPROVED).then_some(()) }
    })
    .await;
    assert!(descriptors(agent.pid()) <= before + UNPROVED + SPARE);
    // A member gets through all the same.
    let (member, _) = stage.member(true);
    let answer = member.calls(agent.peer()).await;
    assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", agent.log());
    let seen = stage.end().await;
    assert_eq!(seen.others, 0);
    assert!(seen.grown < MOST_MEMORY, "{}", seen.grown);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_silent_is_ended_in_time_on_every_port() {
    let _machine = crate::beside_others().await;
    let stage = Stage::start(IMPATIENT).await;
    let agent = &stage.agent;
    let before = descriptors(agent.pid());
    let (member, _) = stage.member(true);
    let overlay = overlay_of(agent);
    let mut held = Vec::new();
    for (address, silence, count) in [
        (agent.ingress(), Silence::Opened, 200),
        (agent.ingress(), Silence::HalfHead, 200),
        (agent.peer(), Silence::Opened, 50),
        (agent.peer(), Silence::HalfHello, 50),
        (agent.peer(), Silence::Shaken("dfaas-join/1"), 10),
        (&overlay, Silence::Opened, 2 * OVERLAY),
        (&overlay, Silence::HalfHello, OVERLAY),
    ] {
        held.push((silence, hold(&member, address, silence, count).await));
    }
    assert!(descriptors(agent.pid()) <= before + 400 + 110 + OVERLAY + SPARE);
    for (silence, held) in &mut held {
        assert!(held.all_end_within(SOON).await, "{silence:?}");
    }
    until("all that they cost is given back", SOON, || async {
        (descriptors(agent.pid()) <= before + SPARE).then_some(())
    })
    .await;
    let seen = stage.end().await;
    assert_eq!(seen.others, 0);
    assert!(seen.grown < MOST_MEMORY, "{}", seen.grown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_silent_has_only_so_many_connections() {
    let _machine = crate::beside_others().await;
    let stage = Stage::start("").await;
    let agent = &stage.agent;
    let before = descriptors(agent.pid());
    let (member, _) = stage.member(true);
    let mut held = Vec::new();
    for speaks in ["dfaas-trunk/1", "dfaas-peer/1"] {
        let count = OF_A_MEMBER / 2 + 60;
        held.push(hold(&member, agent.peer(), Silence::Shaken(speaks), count).await);
    }
    until("those beyond are ended", SOON, || {
        let ended: usize = held.iter_mut().map(|held| held.ended()).sum();
        async move { (ended == 120).then_some(()) }
    })
    .await;
    assert!(descriptors(agent.pid()) <= before + OF_A_MEMBER + SPARE);
    // Another member is none the worse for it.
    let (other, _) = stage.member(true);
    assert!(!other.calls(agent.peer()).await.is_empty());
    let seen = stage.end().await;
    assert_eq!(seen.others, 0);
    println!("{} bytes for each connection", seen.grown / OF_A_MEMBER);
    assert!(seen.grown < 2 * MOST_MEMORY, "{}", seen.grown);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_silent_at_the_admin_address_keeps_nobody_from_calling() {
    let _machine = crate::beside_others().await;
    let stage = Stage::start("").await;
    let agent = &stage.agent;
    let before = descriptors(agent.pid());
    let stranger = Intruder::stranger();
    let admin = &agent.ready.addresses.admin;
    let held = hold(&stranger, admin, Silence::HalfHead, ADMIN + 100).await;
    // Those beyond wait in the kernel.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(descriptors(agent.pid()) <= before + ADMIN + SPARE);
    drop(held);
    // And as they go, it answers.
    agent.status().await;
    assert_eq!(stage.end().await.others, 0);
}
