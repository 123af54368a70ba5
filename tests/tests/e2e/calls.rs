//! Calls through the ingress, here and across nodes.

use dfaas_tests::client::RawClient;
use dfaas_tests::{Agent, Site};

const MANY: u32 = 64;

fn echo(site: Site) -> Site {
    site.function("echo", "\"echo\"", MANY, "")
}

/// Two agents of which only the second has the functions, so that each call to the first crosses.
async fn across() -> (Agent, Agent) {
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let second = echo(Site::new().joins(&first))
        .function("hash", "\"hash\"", MANY, "")
        .start()
        .await;
    first.knows("echo", 1).await;
    // It refuses the calls of a node that it has not heard yet.
    second.hears(1).await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_matched_exactly() {
    let _machine = crate::beside_others().await;
    let agent = echo(Site::new())
        .function("a.b.dev", "\"echo\"", 1, "")
        .start()
        .await;
    for (path, status) in [
        ("/function/echo", 200),
        ("/function/echo/", 200),
        ("/function/echo/some/path?q=1", 200),
        ("/function/echo.openfaas-fn", 200),
        ("/function/a.b.dev", 200),
        ("/function/ech", 404),
        ("/function/echoo", 404),
        ("/function/echo.other", 404),
        ("/function/", 404),
        ("/function", 404),
        ("/functions/echo", 404),
        ("/system/functions", 200),
        ("/system/functionsx", 404),
        ("/healthz", 200),
        ("/", 404),
    ] {
        let response = reqwest::get(agent.url(path)).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(
            response.headers()["dfaas-node-id"],
            agent.node().to_string(),
            "{path}"
        );
        assert_eq!(response.headers()["x-server"], "127.0.0.1", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_node_id_changes_nothing() {
    let _machine = crate::beside_others().await;
    let (first, second) = across().await;
    for forged in [second.node(), first.node()] {
        let response = reqwest::Client::new()
            .post(first.url("/function/echo"))
            .header("DFaaS-Node-ID", forged.to_string())
            .body("hello")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        // It was forwarded, as any client's call is; a call that a node forwarded would not have been.
        assert_eq!(
            response.headers()["dfaas-forwarded-to"],
            second.node().to_string()
        );
        assert_eq!(
            response.headers()["dfaas-node-id"],
            first.node().to_string()
        );
        assert!(!response.headers().contains_key("dfaas-headroom"));
        assert_eq!(response.text().await.unwrap(), "hello");
    }
}

/// Sends a body in two pieces and sees the first come back before the second is sent.
async fn streams(agent: &Agent) {
    let mut client = RawClient::connect(agent.ingress()).await;
    client
        .send("POST /function/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.send("5\r\nfirst\r\n").await;
    let head = client.read_until("first").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    client.send("6\r\nsecond\r\n0\r\n\r\n").await;
    client.read_until("second").await;
    client.read_until("0\r\n\r\n").await;
    // The connection lives on.
    client.forget();
    client
        .send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    client.read_until("OK\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways_here() {
    let _machine = crate::beside_others().await;
    streams(&echo(Site::new()).start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways_across_nodes() {
    let _machine = crate::beside_others().await;
    let (first, _second) = across().await;
    streams(&first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_crosses_whole() {
    let _machine = crate::beside_others().await;
    let (first, _second) = across().await;
    let body: Vec<u8> = (0..8_000_000u32).map(|i| (i * 31 % 251) as u8).collect();
    let response = reqwest::Client::new()
        .post(first.url("/function/echo"))
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("dfaas-forwarded-to"));
    let back = response.bytes().await.unwrap();
    assert!(
        back == body,
        "{} bytes of {} came back",
        back.len(),
        body.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_has_no_body() {
    let _machine = crate::beside_others().await;
    let (first, second) = across().await;
    for agent in [&first, &second] {
        let mut client = RawClient::connect(agent.ingress()).await;
        client
            .send("HEAD /function/hash HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        let head = client.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "no body follows: {head}");
        client.forget();
        client
            .send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        assert!(
            client
                .read_until("OK\n")
                .await
                .starts_with("HTTP/1.1 200 OK")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_one_id_from_end_to_end() {
    let _machine = crate::beside_others().await;
    let agent = echo(Site::new()).start().await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let response = reqwest::get(agent.url("/function/echo")).await.unwrap();
            ids.push(response.headers()["x-call-id"].to_str().unwrap().to_owned());
        }
        ids
    };
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() == 36), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_beside_a_gateway_is_like_one_with_its_own_functions() {
    let _machine = crate::beside_others().await;
    // The embedded platform of one agent serves as the OpenFaaS gateway of another.
    let gateway = echo(Site::new()).sleeps("work", 5, 3).start().await;
    let agent = Site::new()
        .openfaas(&gateway.ready.addresses.platform)
        .start()
        .await;
    let status = agent.status().await;
    assert!(status.platform_up);
    let function = |name: &str| {
        let full = format!("{name}.openfaas-fn");
        status
            .functions
            .iter()
            .find(|f| f.name == full)
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(function("work").slots, Some(3));
    assert_eq!(
        function("echo").slots,
        Some(16),
        "a missing label is the default"
    );
    let response = reqwest::get(agent.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(gateway.executions("work").await, 1);
    assert_eq!(
        agent.executions("work").await,
        1,
        "the list is the platform's own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_down_is_no_end() {
    let _machine = crate::beside_others().await;
    let agent = Site::new().openfaas("http://127.0.0.1:9").start().await;
    assert!(!agent.status().await.platform_up);
    let response = reqwest::get(agent.url("/function/work")).await.unwrap();
    // What it has nobody knows, so that a 404 could be wrong.
    assert_eq!(response.status(), 503);
    // With a neighbour that has the function it forwards.
    let other = Site::new().sleeps("work", 1, 1).joins(&agent).start().await;
    agent.knows("work", 1).await;
    let response = reqwest::get(agent.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["dfaas-forwarded-to"],
        other.node().to_string()
    );
}
