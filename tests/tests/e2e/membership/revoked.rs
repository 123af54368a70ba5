//! Members that are members no more.

use std::time::{Duration, Instant};

use dfaas_protocol::membership::Certificate;
use dfaas_tests::adversary::Intruder;
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Federation, Site, load};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{dfaas_federation, overlay_of, printed};

/// Within so long live connections are cut.
const LIMIT: Duration = Duration::from_secs(5);

fn site() -> Site {
    Site::new().sleeps("work", 20, 4)
}

/// One with the key and the certificate of an agent.
fn double_of(agent: &Agent) -> Intruder {
    let own = std::fs::read_to_string(agent.state().join("membership/certificate")).unwrap();
    let own: Certificate = own.parse().unwrap();
    Intruder::with_key_in(&agent.state()).showing(own.to_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_cuts_what_lives_and_outlives_restarts() {
    let _machine = crate::alone().await;
    let federation = Federation::new();
    let issuer = federation.start_issuer(site()).await;
    // The last one knows the others by the second alone.
    let second = federation.start(site().joins(&issuer)).await;
    let revoked = federation.start(site().joins(&issuer)).await;
    for agent in [&issuer, &second, &revoked] {
        agent.knows("work", 2).await;
    }
    let warm = load::constant(revoked.url("/function/work"), 250.0, Duration::from_secs(2)).await;
    assert!(warm.forwarded > 0, "{warm:?}");

    // Connections that live: HTTP and a trunk, to the agent with the authority and to one that only hears of it.
    let double = double_of(&revoked);
    let mut live = Vec::new();
    for agent in [&issuer, &second] {
        let mut http = double.connect(agent.peer(), "dfaas-peer/1").await.unwrap();
        http.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 12];
        http.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        live.push(http);
        live.push(double.connect(agent.peer(), "dfaas-trunk/1").await.unwrap());
    }

    let (path, node) = (federation.path(), revoked.node().to_string());
    let words = ["revoke", "--dir", path.to_str().unwrap(), &node];
    let since = Instant::now();
    printed(&dfaas_federation(&words));
    for stream in &mut live {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest));
        let _ = end.await.expect("a live connection is cut");
    }
    for agent in [&issuer, &second] {
        until("it is no neighbour any more", LIMIT, || async {
            let peers = agent.peers().await;
            peers
                .iter()
                .all(|peer| peer.node_id != revoked.node())
                .then_some(())
        })
        .await;
    }
    until("it hears nobody any more", LIMIT, || async {
        revoked.peers().await.is_empty().then_some(())
    })
    .await;
    assert!(since.elapsed() < LIMIT, "{:?}", since.elapsed());
    println!("everything was cut within {:?}", since.elapsed());

    // It serves its own clients, and the others serve each other.
    let response = reqwest::get(revoked.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    issuer.knows("work", 1).await;

    // The one that only heard of it knows it after a restart, with nobody there to tell it again.
    let directory = second.kill();
    drop(issuer);
    let second = site().federation("").start_in(directory).await;
    assert_eq!(double.calls(second.peer()).await, b"");
    assert_eq!(double.greets(&overlay_of(&second)).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_handed_to_any_agent() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let first = federation.start(site()).await;
    let second = federation.start(site().joins(&first)).await;
    first.knows("work", 1).await;
    let (path, node) = (federation.path(), second.node().to_string());
    let admin = &first.ready.addresses.admin;
    let words = [
        "revoke",
        "--dir",
        path.to_str().unwrap(),
        &node,
        "--admin",
        admin,
    ];
    printed(&dfaas_federation(&words));
    first.hears(0).await;
    let shown = printed(&dfaas_federation(&["show", "--admin", admin]));
    assert!(shown.contains("REVOKED"), "{shown}");
    // It is told after its handshake, and does not take that for a connection.
    until("it says that it is not let in", SOON, || async {
        let log = second.log();
        log.contains("it ended the connection at once")
            .then_some(())
    })
    .await;
    let log = second.log();
    let reached = log.matches("connected to a bootstrap node").count();
    assert!(reached <= 1, "{log}");

    // One that no authority of this federation signed is not taken up.
    let other = Federation::new();
    let revocation = other
        .authority()
        .revoke(first.node(), dfaas_agent::membership::now());
    let response = reqwest::Client::new()
        .put(format!("http://{admin}/v1/federation/revocations"))
        .json(&serde_json::json!({ "revocation": revocation.unwrap().to_string() }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    let said = response.text().await.unwrap();
    assert!(said.contains("it is of the federation"), "{said}");
}
