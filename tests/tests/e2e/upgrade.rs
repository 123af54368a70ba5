//! Calls that change their connection to another protocol.

use dfaas_tests::client::RawClient;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Gateway, Site};

const ASK: &str = "GET /function/f/chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const SLOTS: &str = "{\"dfaas.concurrency\":\"1\"}";

async fn free_slots(agent: &Agent, free: i64) {
    until(
        "the slots are as they should be",
        dfaas_tests::agent::SOON,
        || async {
            let status = agent.status().await;
            let f = status
                .functions
                .iter()
                .find(|f| f.name == "f.openfaas-fn")?;
            (f.free.map(i64::from) == Some(free)).then_some(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_change_the_protocol_here() {
    let _machine = crate::beside_others().await;
    let gateway = Gateway::start(SLOTS).await;
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    changes_the_protocol(agent.ingress(), &agent, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_change_the_protocol_across() {
    let _machine = crate::beside_others().await;
    let gateway = Gateway::start(SLOTS).await;
    let first = Site::new().start().await;
    let second = Site::new()
        .openfaas(&gateway.url())
        .joins(&first)
        .start()
        .await;
    first.knows("f", 1).await;
    changes_the_protocol(first.ingress(), &second, gateway).await;
}

async fn changes_the_protocol(ingress: &str, runs: &Agent, mut gateway: Gateway) {
    for client_ends in [true, false] {
        free_slots(runs, 1).await;
        let mut client = RawClient::connect(ingress).await;
        client.send(ASK).await;
        let mut call = gateway.call().await;
        assert_eq!(call.header("upgrade"), Some("websocket"), "{}", call.head);
        assert_eq!(call.header("connection"), Some("upgrade"), "{}", call.head);
        assert_eq!(
            call.header("sec-websocket-key"),
            Some("dGhlIHNhbXBsZSBub25jZQ==")
        );
        // The platform may speak at once.
        call.send(format!("{SWITCH}welcome")).await;
        let head = client.read_until("welcome").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        for line in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ] {
            assert!(
                head.to_lowercase()
                    .contains(&format!("\r\n{}\r\n", line.to_lowercase())),
                "{line}: {head}"
            );
        }
        assert!(
            !head.contains("transfer-encoding") && !head.contains("content-length"),
            "{head}"
        );
        // Bytes pass both ways, whatever they look like.
        client.forget();
        for n in 0..5 {
            client.send(format!("GET / up {n}\n\0\r\n\r\n")).await;
            call.read_until(&format!("up {n}\n\0")).await;
            call.send(format!("down {n}")).await;
            client.read_until(&format!("down {n}")).await;
        }
        free_slots(runs, 0).await;
        if client_ends {
            client.half_close().await;
            call.closed().await;
            call.send("last words").await;
            client.read_until("last words").await;
        }
        drop(call);
        client.read_to_end().await;
        drop(client);
    }
    free_slots(runs, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_may_refuse_to_change() {
    let _machine = crate::beside_others().await;
    let mut gateway = Gateway::start(SLOTS).await;
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    let mut client = RawClient::connect(agent.ingress()).await;
    client.send(ASK).await;
    gateway.call().await.answer("403 Forbidden", "", "no").await;
    let answer = client.read_until("\r\n\r\nno").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    free_slots(&agent, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_a_protocol_unasked() {
    let _machine = crate::beside_others().await;
    let mut gateway = Gateway::start(SLOTS).await;
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    for ask in [
        "GET /function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        "GET /function/f HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    ] {
        free_slots(&agent, 1).await;
        let mut client = RawClient::connect(agent.ingress()).await;
        client.send(ask).await;
        let mut call = gateway.call().await;
        assert_eq!(call.header("upgrade"), None, "{}", call.head);
        assert_eq!(call.header("http2-settings"), None, "{}", call.head);
        call.send(SWITCH).await;
        let answer = client.read_until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{ask}: {answer}");
        // The connection is of no use to anybody, least of all to the next call.
        call.closed().await;
        client
            .send("GET /function/f HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        gateway.call().await.answer("200 OK", "", "next").await;
        client.read_until("next").await;
    }
}

/// Bytes that a client sends before it knows the answer are a request if the protocol stays, and never reach the platform
/// as one if it changes.
#[tokio::test(flavor = "multi_thread")]
async fn early_bytes_belong_to_the_protocol_that_comes() {
    let _machine = crate::beside_others().await;
    let mut gateway = Gateway::start(SLOTS).await;
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    let early = "GET /function/f/early HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = RawClient::connect(agent.ingress()).await;
    client.send(format!("{ASK}{early}")).await;
    let mut call = gateway.call().await;
    call.send(SWITCH).await;
    assert_eq!(call.read_until(early).await, early);
    drop(call);
    client.read_to_end().await;

    let mut client = RawClient::connect(agent.ingress()).await;
    client.send(format!("{ASK}{early}")).await;
    gateway.call().await.answer("200 OK", "", "stays").await;
    let call = gateway.call().await;
    assert!(
        call.head.starts_with("GET /function/f/early "),
        "{}",
        call.head
    );
    call.answer("200 OK", "", "early").await;
    client.read_until("early").await;
}
