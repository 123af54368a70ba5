//! Those who are no members.

use std::time::{Duration, SystemTime};

use dfaas_protocol::membership::{Certificate, UnixTime};
use dfaas_tests::adversary::{CALL, Intruder, line};
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Federation, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::overlay_of;

fn site() -> Site {
    Site::new()
        .sleeps("work", 1, 4)
        .config("[log]\nfilter = \"dfaas_agent=debug,warn\"")
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap().as_secs())
}

fn earlier(time: Duration) -> UnixTime {
    UnixTime::from_secs(now().as_secs() - time.as_secs())
}

/// Tries every way in, and expects that nothing is said to it, nothing is run for it, and that the reason is the right one.
async fn is_refused(agent: &Agent, intruder: &Intruder, reason: &str) {
    let executed = agent.executions("work").await;
    let logged = agent.log().matches(reason).count();
    for said in [
        intruder.calls(agent.peer()).await,
        intruder.opens_a_trunk(agent.peer()).await,
        intruder.greets(&overlay_of(agent)).await,
    ] {
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(said, "", "{reason}");
    }
    until("the reason is logged each time", SOON, || async {
        (agent.log().matches(reason).count() >= logged + 3).then_some(())
    })
    .await;
    assert_eq!(agent.executions("work").await, executed);
}

/// One who shows a certificate that the authority signed for it, or what an alteration makes of it.
fn with_certificate(
    federation: &Federation,
    at: UnixTime,
    alter: impl FnOnce(&mut Vec<u8>),
) -> Intruder {
    let mut intruder = Intruder::stranger();
    let terms = dfaas_tests::federation::lasting(Duration::from_secs(3600));
    let certificate = federation.authority().sign(intruder.node(), &terms, at);
    let mut bytes = certificate.unwrap().to_bytes();
    alter(&mut bytes);
    intruder.shows = Some(bytes);
    intruder
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_whoever_is_no_member() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let agent = federation.start_issuer(site()).await;

    // One with a good certificate is heard on every way, so that the ways are the right ones.
    let good = with_certificate(&federation, now(), |_| {});
    let answer = String::from_utf8(good.calls(agent.peer()).await).unwrap();
    assert!(
        answer.contains("dfaas-refused: not-a-neighbour"),
        "{answer}"
    );
    let greeting = good.greets(&overlay_of(&agent)).await;
    assert_eq!(greeting, line("/multistream/1.0.0\n"));

    let none = "the node shows no membership certificate";
    is_refused(&agent, &Intruder::stranger(), none).await;
    let hour = Duration::from_secs(3600);
    let expired = with_certificate(&federation, earlier(hour), |_| {});
    is_refused(&agent, &expired, "the certificate ended at").await;
    let early = with_certificate(&federation, now().after(hour), |_| {});
    is_refused(&agent, &early, "issued in the future").await;
    let foreign = with_certificate(&Federation::new(), now(), |_| {});
    is_refused(&agent, &foreign, "it is of the federation").await;
    // The last bit of the signature, and the last of what is signed: the rights.
    for from_end in [1, 65] {
        let altered = with_certificate(&federation, now(), |bytes| {
            let place = bytes.len() - from_end;
            bytes[place] ^= 1;
        });
        is_refused(
            &agent,
            &altered,
            "the signature is not that of the authority",
        )
        .await;
    }
    let cut = with_certificate(&federation, now(), |bytes| bytes.truncate(100));
    is_refused(
        &agent,
        &cut,
        "no membership certificate or revocation that this release reads",
    )
    .await;
    let stolen = Intruder::stranger().showing(good.shows.clone().unwrap());
    is_refused(&agent, &stolen, "the certificate is that of").await;
    let revoked = with_certificate(&federation, now(), |_| {});
    federation
        .authority()
        .revoke(revoked.node(), now())
        .unwrap();
    until("the agent heard of it", SOON, || async {
        agent
            .log()
            .contains("the membership of a node was revoked")
            .then_some(())
    })
    .await;
    is_refused(&agent, &revoked, "the authority revoked the membership").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_speaks_of_joining_and_of_nothing_else() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let issuer = federation.start_issuer(site()).await;
    let member = federation.start(site()).await;
    let stranger = Intruder::stranger();
    // With the issuer it gets through the handshake, and a call is no frame there.
    let mut stream = stranger
        .connect(issuer.peer(), "dfaas-join/1")
        .await
        .unwrap();
    let _ = stream.write_all(CALL.as_bytes()).await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert_eq!(said, b"", "{}", String::from_utf8_lossy(&said));
    assert_eq!(issuer.executions("work").await, 0);
    // One who says nothing is not waited for.
    let mut stream = stranger
        .connect(issuer.peer(), "dfaas-join/1")
        .await
        .unwrap();
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    let _ = tokio::time::timeout(Duration::from_secs(20), end)
        .await
        .unwrap();
    assert_eq!(said, b"");
    // Who does not issue does not even speak of that.
    let refused = match stranger.connect(member.peer(), "dfaas-join/1").await {
        Ok(mut stream) => matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)),
        Err(_) => true,
    };
    assert!(refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_of_members_has_no_other_way_in() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let agent = federation.start(site()).await;
    for other in [
        "/noise",
        "/tls/1.0.0",
        "/plaintext/2.0.0",
        "/ipfs/id/1.0.0",
        "/dfaas/kad/1",
    ] {
        let mut stream = TcpStream::connect(overlay_of(&agent)).await.unwrap();
        stream
            .write_all(&line("/multistream/1.0.0\n"))
            .await
            .unwrap();
        stream
            .write_all(&line(&format!("{other}\n")))
            .await
            .unwrap();
        let expected = [line("/multistream/1.0.0\n"), line("na\n")].concat();
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, expected, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_nodes_and_other_federations_do_not_meet_members() {
    let _machine = crate::beside_others().await;
    let (ours, theirs) = (Federation::new(), Federation::new());
    let agent = ours.start(site()).await;
    let open = site().joins(&agent).start().await;
    let foreign = theirs.start(site().joins(&agent)).await;
    for other in [&open, &foreign] {
        until("it was not let in", SOON, || async {
            other
                .log()
                .contains("bootstrap node not reached")
                .then_some(())
        })
        .await;
    }
    // A member that comes after them is heard at once.
    let member = ours.start(site().joins(&agent)).await;
    agent.hears(1).await;
    assert_eq!(agent.peers().await[0].node_id, member.node());
    assert!(open.peers().await.is_empty());
    assert!(foreign.peers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_node_does_not_start_an_agent() {
    let federation = Federation::new();
    let directory = tempfile::tempdir().unwrap();
    let state = dfaas_tests::agent::state_in(directory.path());
    let terms = dfaas_agent::membership::Terms::default();
    let own: Certificate = federation.authority().enrol(&state, &terms).unwrap();
    std::fs::remove_file(state.join("node.key")).unwrap();
    let config = directory.path().join("agent.toml");
    std::fs::write(
        &config,
        format!("state_dir = {state:?}\n[platform]\nkind = \"embedded\"\n"),
    )
    .unwrap();
    let output = std::process::Command::new(dfaas_tests::agent::program())
        .args(["agent", "--config"])
        .arg(&config)
        .env_clear()
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&own.node().to_string()), "{said}");
    assert!(said.contains("join with this node's own key"), "{said}");
}
