//! What is passed on of the headers.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_passed_on_as_they_should_be_here() {
    let _machine = crate::beside_others().await;
    headers(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_passed_on_as_they_should_be_across() {
    let _machine = crate::beside_others().await;
    headers(across("").await).await;
}

async fn headers(mut way: Way) {
    let (mut client, call) = way
        .call(&format!(
            "{GET}Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\n\
             Upgrade: websocket\r\nAuthorization: Bearer t\r\nCookie: a=1\r\nCookie: b=2\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
             tracestate: a=b,c=d\r\nX-Empty:\r\nX-Latin: \u{e9}\r\nDFaaS-Refused: full\r\n\r\n"
        ))
        .await;
    for gone in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "connection",
        "dfaas-refused",
        "transfer-encoding",
        "expect",
    ] {
        assert_eq!(call.header(gone), None, "{gone}: {}", call.head);
    }
    for (name, value) in [
        ("host", "edge.example"),
        ("authorization", "Bearer t"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "a=b,c=d"),
        ("x-empty", ""),
        ("x-forwarded-host", "edge.example"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(call.header(name), Some(value), "{name}: {}", call.head);
    }
    assert!(
        call.head.contains("\r\ncookie: a=1\r\ncookie: b=2\r\n"),
        "{}",
        call.head
    );
    let from: std::net::SocketAddr = call.header("x-forwarded-for").unwrap().parse().unwrap();
    assert_eq!(from, client.local_address());
    let id = call.header("x-call-id").unwrap().to_owned();
    let start = call.header("x-start-time").unwrap().to_owned();
    let nanos: u128 = start.parse().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    assert!(
        nanos <= now && now - nanos < 60_000_000_000,
        "{nanos} {now}"
    );

    call.answer(
        "203 Odd Reason",
        "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Duration-Seconds: 0.5\r\nDFaaS-Headroom: 9/9\r\n",
        "hello",
    )
    .await;
    let answer = client.read_until("hello").await;
    assert!(answer.starts_with("HTTP/1.1 203 "), "{answer}");
    for gone in ["x-hop", "keep-alive", "dfaas-headroom"] {
        assert!(
            !answer.contains(&format!("\r\n{gone}: ")),
            "{gone}: {answer}"
        );
    }
    for there in [
        &format!("x-call-id: {id}"),
        &format!("x-start-time: {start}"),
        "x-duration-seconds: 0.5",
        "set-cookie: a=1\r\nset-cookie: b=2",
        "date: Thu, 01 Jan 1970 00:00:00 GMT",
        "content-length: 5",
    ] {
        assert!(
            answer.contains(&format!("\r\n{there}\r\n")),
            "{there}: {answer}"
        );
    }
    for once in [
        "\r\ndate: ",
        "\r\nx-call-id: ",
        "\r\nx-start-time: ",
        "\r\ncontent-length: ",
    ] {
        assert_eq!(answer.matches(once).count(), 1, "{once:?}: {answer}");
    }

    // What a proxy before us has said stands, and the answer has one date whoever gives it.
    let (mut client, call) = way
        .call(&format!(
            "{GET}X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: h\r\nX-Forwarded-Proto: https\r\n\
             X-Call-Id: mine\r\n\r\n"
        ))
        .await;
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "h"),
        ("x-forwarded-proto", "https"),
        ("x-call-id", "mine"),
    ] {
        assert_eq!(call.header(name), Some(value), "{name}: {}", call.head);
        let lower = call.head.to_lowercase();
        assert_eq!(
            lower.matches(&format!("\r\n{name}: ")).count(),
            1,
            "{lower}"
        );
    }
    call.answer("200 OK", "", "hello").await;
    let answer = client.read_until("hello").await;
    assert_eq!(answer.matches("\r\ndate: ").count(), 1, "{answer}");
    assert!(!answer.contains("x-call-id"), "{answer}");
}

/// Calls that are relayed as bytes say the same.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_plain_calls_are_passed_on_here() {
    let _machine = crate::beside_others().await;
    plain_headers(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_plain_calls_are_passed_on_across() {
    let _machine = crate::beside_others().await;
    plain_headers(across("").await).await;
}

async fn plain_headers(mut way: Way) {
    let (mut client, call) = way
        .call(&format!(
            "{GET}Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eA==\r\n\
             Authorization: Bearer t\r\ntraceparent: 00-0af7-b7ad-01\r\ntracestate: a=b,c=d\r\n\
             X-Start-Time: 1\r\nDFaaS-Refused: full\r\n\r\n"
        ))
        .await;
    for gone in [
        "keep-alive",
        "proxy-authorization",
        "connection",
        "dfaas-refused",
    ] {
        assert_eq!(call.header(gone), None, "{gone}: {}", call.head);
    }
    for (name, value) in [
        ("host", "edge.example"),
        ("authorization", "Bearer t"),
        ("traceparent", "00-0af7-b7ad-01"),
        ("tracestate", "a=b,c=d"),
        ("x-forwarded-host", "edge.example"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(call.header(name), Some(value), "{name}: {}", call.head);
    }
    let from: std::net::SocketAddr = call.header("x-forwarded-for").unwrap().parse().unwrap();
    assert_eq!(from, client.local_address());
    assert_eq!(
        call.head.to_lowercase().matches("x-start-time: ").count(),
        1
    );
    assert_eq!(call.header("x-start-time").unwrap().len(), 19);
    call.answer(
        "200 OK",
        "Keep-Alive: timeout=5\r\nX-Start-Time: 7\r\nX-Call-Id: theirs\r\nDFaaS-Headroom: 9/9\r\n\
         Connection: X-Hop\r\nX-Hop: 1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        "hello",
    )
    .await;
    let answer = client.read_until("hello").await.to_lowercase();
    for once in [
        "date: thu, 01 jan 1970",
        "x-start-time: 7",
        "content-length: 5",
    ] {
        assert_eq!(
            answer.matches(&format!("\r\n{once}")).count(),
            1,
            "{once}: {answer}"
        );
        let name = once.split(':').next().unwrap();
        assert_eq!(
            answer.matches(&format!("\r\n{name}: ")).count(),
            1,
            "{name}: {answer}"
        );
    }
    assert_eq!(answer.matches("\r\nx-call-id: ").count(), 1, "{answer}");
    for gone in ["keep-alive", "dfaas-headroom", "x-hop"] {
        assert!(
            !answer.contains(&format!("\r\n{gone}: ")),
            "{gone}: {answer}"
        );
    }
}
