//! Input that no honest client sends. What it becomes is fixed: a 4xx, a closed connection where the framing is in doubt,
//! and at the platform nothing at all.

use dfaas_tests::client::RawClient;
use dfaas_tests::gateway::Recording;
use dfaas_tests::{Agent, Gateway, Site};

async fn agent(config: &str) -> (Agent, Recording) {
    let gateway = Gateway::start("{}").await;
    let agent = Site::new()
        .openfaas(&gateway.url())
        .config(config)
        .start()
        .await;
    (agent, gateway.record())
}

/// Sends bytes on a new connection, and a request behind them that must not be answered; returns all that came back.
async fn refused(agent: &Agent, bytes: &[u8]) -> String {
    let mut client = RawClient::connect(agent.ingress()).await;
    client.send(bytes).await;
    client
        .send("GET /function/f/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    client.read_to_end().await
}

/// The statuses of all answers in what came back.
fn statuses(answers: &str) -> Vec<&str> {
    answers
        .split("\r\n")
        .flat_map(|line| line.rsplit('\n').next())
        .filter_map(|line| line.rsplit_once("HTTP/1.1 ")?.1.get(..3))
        .filter(|status| status.parse::<u16>().is_ok())
        .collect()
}

const POST: &str = "POST /function/f HTTP/1.1\r\nHost: x\r\n";

/// Heads after which nobody can say where the next request begins: each is refused and the connection closed.
fn doubtful_heads() -> Vec<(Vec<u8>, u16)> {
    let mut cases: Vec<(Vec<u8>, u16)> = Vec::new();
    // Fields behind a request line and Host.
    for fields in [
        // Lengths.
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\ntransfer-encoding: chunked\r\n",
        // Codings.
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \r\n",
        // Field lines.
        "Transfer-Encoding : chunked\r\n",
        "Content-Length\t: 5\r\n",
        "Content-Length : 5\r\nContent-Length: 5\r\n",
        "A: b\r\n c\r\n",
        "A: b\r\n\tTransfer-Encoding: chunked\r\n",
        " A: b\r\n",
        "A: b\nTransfer-Encoding: chunked\r\n",
        "A: b\rTransfer-Encoding: chunked\r\n",
        "A: b\0c\r\n",
        "A\0: b\r\n",
        "A b: c\r\n",
        ": b\r\n",
        "A\r\n",
        "A(B): c\r\n",
        "A: b\r\r\n",
        // Hosts.
        "Host: y\r\n",
        "Host: x\r\n",
    ] {
        cases.push((format!("{POST}{fields}\r\n").into(), 400));
    }
    // Whole heads.
    for head in [
        "GET /function/f HTTP/1.1\r\n\r\n",
        "GET /function/f HTTP/1.1\r\nHost: x, y\r\n\r\n",
        "GET /function/f HTTP/1.1\r\nHost: x y\r\n\r\n",
        "GET /function/f HTTP/1.1\r\nHost: u@x\r\n\r\n",
        "GET /function/f HTTP/1.1\r\nHost: x/y\r\n\r\n",
        "POST /function/f HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /function/f\r\n",
        "GET /function/f\r\n\r\n",
        "GET /function/f HTTP/0.9\r\n\r\n",
        "GET /function/f HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /function/f HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /function/f HTTP/1.10\r\nHost: x\r\n\r\n",
        "GET /function/f http/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET  /function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET\t/function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f#a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f\r HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\0T /function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET HTTP://x/function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /function/f HTTP/1.1\nHost: x\n\n",
        "GET /function/f HTTP/1.1\r\nHost: x\n\r\n",
        "\n\nGET /function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "hello\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
        "\0",
        "SSH-2.0-x\r\n",
    ] {
        cases.push((head.into(), 400));
    }
    // Too much.
    let long = "a".repeat(40_000);
    cases.push((format!("{POST}A: {long}\r\n\r\n").into(), 431));
    cases.push((format!("{POST}{long}").into(), 431));
    cases.push((format!("GET /function/f?{long} HTTP/1.1\r\n").into(), 431));
    cases.push((format!("{POST}{}\r\n", "A: b\r\n".repeat(101)).into(), 431));
    cases.push((format!("{POST}{}\r\n", "A: b\r\n".repeat(9000)).into(), 431));
    cases.push(("\r\n".repeat(20_000).into(), 431));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_in_doubt_is_refused_and_the_connection_closed() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    // Alone, behind a call that is relayed as bytes, and behind one that is relayed as a message.
    let chunked = format!("{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    for (before, served) in [
        ("", 0),
        ("GET /function/f HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        (&chunked, 1),
    ] {
        for (bytes, status) in doubtful_heads() {
            let what = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
            let answer = refused(&agent, &[before.as_bytes(), &bytes].concat()).await;
            let mut expected = vec!["200"; served];
            let status = status.to_string();
            expected.push(&status);
            assert_eq!(statuses(&answer), expected, "{what:?}: {answer}");
            let last = &answer[answer.rfind("HTTP/1.1 4").unwrap()..];
            assert!(last.contains("connection: close\r\n"), "{what:?}: {answer}");
            assert_eq!(recording.take().len(), served, "{what:?}");
        }
    }
    // Nothing came late either.
    let response = reqwest::get(agent.url("/function/f/last")).await.unwrap();
    assert_eq!(response.status(), 200);
    let arrived = recording.take();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert!(
        arrived[0].starts_with("GET /function/f/last "),
        "{arrived:?}"
    );
}

/// The same, byte by byte: nothing may depend on how bytes come in packets.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_in_doubt_is_refused_however_it_comes() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    for (bytes, status) in doubtful_heads() {
        if bytes.len() > 500 {
            continue;
        }
        let mut client = RawClient::connect(agent.ingress()).await;
        for byte in &bytes {
            if client.try_send([*byte]).await.is_err() {
                break; // It was refused before its end.
            }
            tokio::task::yield_now().await;
        }
        let answer = client.read_to_end().await;
        let what = String::from_utf8_lossy(&bytes);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{what:?}: {answer}"
        );
        assert_eq!(statuses(&answer).len(), 1, "{what:?}: {answer}");
        assert_eq!(recording.take(), [""; 0], "{what:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_answered_in_its_turn() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    let good = "POST /function/f/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab";
    let bad = "POST /function/f/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab";
    let answer = refused(&agent, format!("{good}{good}{bad}{good}").as_bytes()).await;
    assert_eq!(statuses(&answer), ["200", "200", "400"], "{answer}");
    assert_eq!(recording.take().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_doubt_ends_its_call() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    let extension = "x".repeat(2000);
    for body in [
        "xyz\r\n",
        "-1\r\nab\r\n",
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1\na\r\n",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\ra\r\n",
        "\r\n",
        "11111111111111111\r\n",
        "fffffffffffffffff\r\na\r\n",
        "1;a\nb\r\na\r\n",
        "1;a\0b\r\na\r\n",
        &format!("1;{extension}\r\na\r\n"),
        "0\r\nA: b\n\r\n",
        "0\r\nA b: c\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        &format!("0\r\nA: {}\r\n\r\n", "b".repeat(20_000)),
    ] {
        for first in ["", "3\r\nabc\r\n"] {
            let bytes = format!("{POST}Transfer-Encoding: chunked\r\n\r\n{first}{body}");
            let what = &body[..body.len().min(60)];
            let answer = refused(&agent, bytes.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{what:?}: {answer}");
            assert_eq!(statuses(&answer).len(), 1, "{what:?}: {answer}");
            assert!(
                answer.contains("connection: close\r\n"),
                "{what:?}: {answer}"
            );
            for request in recording.take() {
                // What streamed before the fault may have arrived; it must not look whole.
                assert!(
                    request.ends_with(Recording::BROKEN_OFF),
                    "{what:?}: {request}"
                );
                assert!(!request.contains("smuggled"), "{what:?}: {request}");
            }
        }
    }
    // The platform is not to blame for any of it, and calls still run.
    let status = agent.status().await;
    assert!(status.platform_up);
    let response = reqwest::get(agent.url("/function/f")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_not_completed() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    for body in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n",
    ] {
        let mut client = RawClient::connect(agent.ingress()).await;
        client.send(format!("{POST}{body}")).await;
        client.half_close().await;
        let answer = client.read_to_end().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        for request in recording.take() {
            assert!(
                request.ends_with(Recording::BROKEN_OFF),
                "{body:?}: {request}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_to_the_platform_itself() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    for (path, status) in [
        ("/function/f%2f", 400),
        ("/function/f%2F..", 400),
        ("/function/%66", 400),
        ("/function/f%2eopenfaas-fn", 400),
        ("/function/f%00", 400),
        ("/function/..", 400),
        ("/function/.", 400),
        ("/function/../system/functions", 400),
        ("/function/%2e%2e/system/functions", 400),
        ("/function/.%2e/system/functions", 400),
        ("/function/..%2fsystem%2ffunctions", 400),
        ("/function/f/..", 400),
        ("/function/f/../../system/functions", 400),
        ("/function/f/%2e%2e/%2E%2E/system/functions", 400),
        ("/function/f/..%2f..%2fsystem", 400),
        ("/function/f/%252e%252e/%252e%252e/system", 400),
        ("/function/f/a/../../../system", 400),
        ("/function/f//../../system", 400),
        ("/function/f/..;/..;/system", 400),
        ("/function/f/..\\..\\system", 400),
        ("/function/f/..%5c..%5csystem", 400),
        ("/function/f/a%00", 400),
        ("/function//f", 400),
        ("/function/f;a", 400),
        ("/function/f:80", 400),
        ("/function/f@x", 400),
        ("//function/f", 404),
        ("/./function/f", 404),
        ("/x/../function/f", 404),
        ("/system/functions/../secrets", 404),
        ("/system/functions/", 404),
        ("/system/secrets", 404),
        ("/system%2ffunctions", 404),
        ("/%66unction/f", 404),
        ("/FUNCTION/f", 404),
        ("/function/F", 404),
        ("/async-function/f", 404),
        ("/ui/", 404),
        ("/metrics", 404),
    ] {
        let mut client = RawClient::connect(agent.ingress()).await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let answer = client.read_until("\r\n\r\n").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
        assert_eq!(recording.take(), [""; 0], "{path}");
    }
    // What stays within the function goes on as it came.
    for path in [
        "/function/f/a/../b",
        "/function/f/a%2fb?c=../../d",
        "/function/f/a..b/...",
        "/function/f/%e2%82%ac",
    ] {
        let mut client = RawClient::connect(agent.ingress()).await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        client.read_until("ok").await;
        let requests = recording.take();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(
            requests[0].starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{requests:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_but_right_is_served() {
    let _machine = crate::beside_others().await;
    let (agent, recording) = agent("").await;
    for (request, arrives) in [
        ("\r\nGET /function/f HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        ("GET /function/f HTTP/1.0\r\n\r\n", ""),
        ("M-ODD! /function/f HTTP/1.1\r\nhOsT:\t x:80 \t\r\n\r\n", ""),
        ("GET /function/f HTTP/1.1\r\nHost:\r\n\r\n", ""),
        (
            "GET /function/f HTTP/1.1\r\nHost: [::1]:80\r\nA:\r\nB: \u{e9}\r\n\r\n",
            "",
        ),
        (
            "POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 002\r\n\r\nab",
            "ab",
        ),
        (
            "POST /function/f HTTP/1.1\r\nHost: x\r\ntransfer-encoding:  CHUNKED\r\n\r\n2;a=\"b\"\r\nab\r\n00\r\n\r\n",
            "2\r\nab\r\n0\r\n\r\n",
        ),
        (
            "GET /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "1\r\na\r\n0\r\n\r\n",
        ),
    ] {
        let mut client = RawClient::connect(agent.ingress()).await;
        client.send(request).await;
        let answer = client.read_until("ok").await;
        assert!(answer.contains(" 200 OK\r\n"), "{request:?}: {answer}");
        let requests = recording.take();
        assert_eq!(requests.len(), 1, "{request:?}: {requests:?}");
        let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
        assert!(
            head.split("\r\n").next().unwrap().ends_with(" HTTP/1.1"),
            "{head}"
        );
        assert_eq!(
            head.to_lowercase().matches("\r\nhost: ").count(),
            1,
            "{head}"
        );
        assert_eq!(body, arrives, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_may_take_so_much() {
    let _machine = crate::beside_others().await;
    let gateway = Gateway::start("{}").await;
    let agent = Site::new()
        .openfaas(&gateway.url())
        .ingress("max_connections_per_client = 2\nmax_requests_per_second_per_client = 5")
        .start()
        .await;
    let _recording = gateway.record();
    let mut first = RawClient::connect(agent.ingress()).await;
    let get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    first.send(get).await;
    first.read_until("OK\n").await;
    let second = RawClient::connect(agent.ingress()).await;
    let mut third = RawClient::connect(agent.ingress()).await;
    let answer = third.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.ends_with("too many connections here\n"), "{answer}");
    drop((second, third));
    // More requests than a second's at once; the connection stays.
    first.forget();
    for _ in 0..20 {
        first.send(get).await;
    }
    let answer = first.read_until("HTTP/1.1 429 ").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = first.read_until("too many requests; try again\n").await;
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    // Time brings new ones.
    dfaas_tests::wait::until("the client may go on", dfaas_tests::agent::SOON, || async {
        let mut client = RawClient::connect(agent.ingress()).await;
        client.send(get).await;
        let answer = client.read_until("\r\n\r\n").await;
        answer.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}
