//! More of what is right than anybody needs.

use std::time::Duration;

use dfaas_tests::adversary::{
    Gossip, Intruder, Mutation, client_hello, messages, requests, send_raw,
};
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use futures::{AsyncReadExt, AsyncWriteExt};

use super::{MIB, Stage};
use crate::membership::overlay_of;

const MOST_MEMORY: usize = 96 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_floods_is_ignored_and_then_cut_off() {
    let _machine = crate::beside_others().await;
    let stage = Stage::start("").await;
    let agent = &stage.agent;
    let (member, shown) = stage.member(true);
    let right = messages(&shown);
    let mut gossip = Gossip::connect(&member, &agent.ready.addresses.overlay[0]);
    let (mut theirs, mut ours) = gossip.substream().await.split();
    let listening = tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while theirs.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
    });
    let flood = async {
        for message in right.iter().cycle() {
            let frame = [&(message.len() as u32).to_be_bytes()[..], message].concat();
            if ours.write_all(&frame).await.is_err() || ours.flush().await.is_err() {
                break;
            }
        }
    };
    let flooded = tokio::time::timeout(SOON, flood).await;
    flooded.expect("the member is cut off");
    listening.await.unwrap();
    assert!(stage.metric("dfaas_messages_ignored_total").await > 0);
    until("it is counted", SOON, || async {
        (stage.metric("dfaas_nodes_cut_off_total").await > 0).then_some(())
    })
    .await;
    let seen = stage.end().await;
    assert_eq!(seen.others, 0);
    assert!(seen.grown < MOST_MEMORY, "{}", seen.grown);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_connections_and_requests_leave_nothing_behind() {
    let _machine = crate::beside_others().await;
    let stage = Stage::start("").await;
    let agent = &stage.agent;
    let before = dfaas_tests::adversary::descriptors(agent.pid());
    let overlay = overlay_of(agent);
    let hello = client_hello(b"dfaas-peer/1");
    let mut running = Vec::new();
    for (address, bytes) in [
        (agent.peer(), &hello[..]),
        (agent.peer(), b""),
        (&overlay, b"\x13/multistream/1.0.0\n"),
        (agent.ingress(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (&agent.ready.addresses.admin, b"GET /metrics HTTP/1.1\r\n"),
    ] {
        let (address, bytes) = (address.to_owned(), bytes.to_vec());
        running.push(tokio::spawn(async move {
            for _ in 0..400 {
                let stream = tokio::net::TcpStream::connect(&address).await;
                let mut stream = stream.expect("it listens");
                // Gone before anybody answers.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
            }
        }));
    }
    // Handshakes of strangers to their ends.
    let peer = agent.peer().to_owned();
    running.push(tokio::spawn(async move {
        let stranger = Intruder::stranger();
        for _ in 0..100 {
            assert_eq!(stranger.calls(&peer).await, b"");
        }
    }));
    // Clients without end, who are served: nobody limits them here.
    let ingress = agent.ingress().to_owned();
    let clients = tokio::spawn(async move {
        let mut right = Mutation::new(vec![requests("bait").swap_remove(0)], 1);
        send_raw(&ingress, &mut right, 600).await.served
    });
    for one in running {
        one.await.unwrap();
    }
    let served = clients.await.unwrap();
    until("all is given back", Duration::from_secs(90), || async {
        let open = dfaas_tests::adversary::descriptors(agent.pid());
        (open <= before + 40).then_some(())
    })
    .await;
    let seen = stage.end().await;
    assert!(seen.others as usize >= served);
    assert!(seen.grown < MOST_MEMORY, "{}", seen.grown);
}
