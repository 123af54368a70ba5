//! HTTP in its corners: what passes through a node, or two, must be what was sent.

use std::time::Duration;

use dfaas_tests::client::RawClient;
use dfaas_tests::gateway::Call;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Gateway, Site};

/// An agent, and the gateway where its calls arrive; in between, another agent or none.
struct Way {
    first: Agent,
    second: Option<Agent>,
    gateway: Gateway,
}

const SLOTS: &str = "{\"dfaas.concurrency\":\"4\"}";

async fn here(config: &str) -> Way {
    let gateway = Gateway::start(SLOTS).await;
    let site = Site::new().openfaas(&gateway.url()).config(config);
    Way {
        first: site.start().await,
        second: None,
        gateway,
    }
}

/// Calls cross from the first agent to the second, as the first has no functions.
async fn across(config: &str) -> Way {
    let gateway = Gateway::start(SLOTS).await;
    let first = Site::new().config(config).start().await;
    let second = Site::new()
        .openfaas(&gateway.url())
        .joins(&first)
        .start()
        .await;
    first.knows("f", 1).await;
    Way {
        first,
        second: Some(second),
        gateway,
    }
}

impl Way {
    async fn client(&self) -> RawClient {
        RawClient::connect(self.first.ingress()).await
    }

    /// Sends a request and returns the client and the call that it becomes.
    async fn call(&mut self, request: &str) -> (RawClient, Call) {
        let mut client = self.client().await;
        client.send(request).await;
        (client, self.gateway.call().await)
    }

    /// Waits until no call holds a slot.
    async fn all_slots_are_free(&self) {
        let runs = self.second.as_ref().unwrap_or(&self.first);
        until("all slots are free", dfaas_tests::agent::SOON, || async {
            let status = runs.status().await;
            let f = status
                .functions
                .iter()
                .find(|f| f.name == "f.openfaas-fn")?;
            (f.free == Some(4)).then_some(())
        })
        .await;
    }
}

const GET: &str = "GET /function/f HTTP/1.1\r\nHost: edge.example\r\n";

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
         Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
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
    for gone in ["keep-alive", "dfaas-headroom"] {
        assert!(
            !answer.contains(&format!("\r\n{gone}: ")),
            "{gone}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_bodies_are_passed_on_here() {
    let _machine = crate::beside_others().await;
    statuses(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_bodies_are_passed_on_across() {
    let _machine = crate::beside_others().await;
    statuses(across("").await).await;
}

async fn statuses(mut way: Way) {
    let mut client = way.client().await;
    // On one connection: each answer must be framed right for the next to be read.
    for (method, status, head, end) in [
        ("GET", "204 No Content", "", "\r\n\r\n"),
        (
            "GET",
            "304 Not Modified",
            "etag: \"a\"\r\ncontent-length: 7\r\n",
            "\r\n\r\n",
        ),
        ("HEAD", "200 OK", "content-length: 7\r\n", "\r\n\r\n"),
        (
            "HEAD",
            "200 OK",
            "transfer-encoding: chunked\r\n",
            "\r\n\r\n",
        ),
        (
            "GET",
            "302 Found",
            "location: http://x/\r\ncontent-length: 0\r\n",
            "\r\n\r\n",
        ),
        (
            "GET",
            "500 Internal Server Error",
            "content-length: 3\r\n\r\nbad",
            "bad",
        ),
        (
            "GET",
            "429 Too Many Requests",
            "content-length: 3\r\n\r\nown",
            "own",
        ),
        (
            "GET",
            "200 OK",
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            "0\r\n\r\n",
        ),
        (
            "GET",
            "103 Early Hints\r\n\r\nHTTP/1.1 200 OK",
            "content-length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "OPTIONS",
            "200 OK",
            "allow: GET\r\ncontent-length: 0\r\n",
            "\r\n\r\n",
        ),
        ("DELETE", "410 Gone", "content-length: 0\r\n", "\r\n\r\n"),
        ("GET", "799 Odd", "content-length: 3\r\n\r\nabc", "abc"),
    ] {
        client.forget();
        client
            .send(format!("{method} /function/f HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let mut call = way.gateway.call().await;
        assert!(
            call.head.starts_with(&format!("{method} /function/f ")),
            "{}",
            call.head
        );
        let end_of_head = if head.contains("\r\n\r\n") && !head.contains("chunked") {
            ""
        } else {
            "\r\n"
        };
        call.send(format!("HTTP/1.1 {status}\r\n{head}{end_of_head}"))
            .await;
        call.release();
        let answer = client.read_until(end).await;
        let code = status
            .rsplit("HTTP/1.1 ")
            .next()
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code} ")),
            "{status}: {answer}"
        );
        if method == "HEAD" && head.starts_with("content-length") {
            assert!(answer.contains("\r\ncontent-length: 7\r\n"), "{answer}");
        }
        if code == "204" {
            assert!(!answer.contains("content-length"), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_platform_is_no_old_node() {
    let _machine = crate::beside_others().await;
    let mut way = here("").await;
    let (mut client, mut call) = way.call(&format!("{GET}\r\n")).await;
    // Its body ends with its connection: of a plain call so does ours, else it is chunked.
    call.send("HTTP/1.0 200 OK\r\n\r\nold").await;
    drop(call);
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nold"), "{answer}");
    let (mut client, mut call) = way.call(&format!("{GET}TE: gzip\r\n\r\n")).await;
    call.send("HTTP/1.0 200 OK\r\n\r\nold").await;
    drop(call);
    let answer = client.read_until("\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{answer}"
    );
    client.forget();
    client.send(format!("{GET}\r\n")).await;
    way.gateway.call().await.answer("200 OK", "", "again").await;
    client.read_until("again").await;
    // And an old client gets what it can read.
    let (mut client, mut call) = way.call("GET /function/f HTTP/1.0\r\n\r\n").await;
    call.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nnew\r\n0\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nnew"), "{answer}");
    assert!(!answer.contains("chunked"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_when_it_is_wanted_here() {
    let _machine = crate::beside_others().await;
    continues(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_when_it_is_wanted_across() {
    let _machine = crate::beside_others().await;
    continues(across("").await).await;
}

const EXPECT: &str = "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";

async fn continues(mut way: Way) {
    let (mut client, mut call) = way
        .call(&format!("POST /function/f HTTP/1.1\r\nHost: x\r\n{EXPECT}"))
        .await;
    let seen = client.read_until("\r\n\r\n").await;
    assert_eq!(seen, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(call.header("content-length"), Some("4"));
    client.send("body").await;
    assert_eq!(call.read_until("body").await, "body");
    call.answer("200 OK", "", "thanks").await;
    let seen = client.read_until("thanks").await;
    assert_eq!(seen.matches("100 Continue").count(), 1, "{seen}");

    // Nobody wants the body of a call that is refused.
    let mut client = way.client().await;
    client
        .send(format!(
            "POST /function/none HTTP/1.1\r\nHost: x\r\n{EXPECT}"
        ))
        .await;
    let seen = client.read_to_end().await;
    assert!(seen.starts_with("HTTP/1.1 404 "), "{seen}");
    assert!(seen.contains("\r\nconnection: close\r\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways_here() {
    let _machine = crate::beside_others().await;
    trailers(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways_across() {
    let _machine = crate::beside_others().await;
    trailers(across("").await).await;
}

async fn trailers(mut way: Way) {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Took\r\n\r\n\
                          3\r\nabc\r\n0\r\nX-Took: 5\r\n\r\n";
    let post = "POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    let body = "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n";
    let (mut client, mut call) = way
        .call(&format!(
            "{post}TE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n\r\n{body}"
        ))
        .await;
    assert_eq!(call.header("te"), Some("trailers"), "{}", call.head);
    assert_eq!(call.header("trailer"), Some("X-Sum"), "{}", call.head);
    let came = call.read_until("\r\n0\r\nx-sum: 1\r\n\r\n").await;
    assert!(came.starts_with("4\r\nbody\r\n"), "{came}");
    call.rest.clear();
    call.send(ANSWER).await;
    call.release();
    let answer = client.read_until("0\r\nx-took: 5\r\n\r\n").await;
    assert!(answer.contains("\r\ntrailer: X-Took\r\n"), "{answer}");
    assert!(answer.contains("\r\n3\r\nabc\r\n"), "{answer}");

    // A client that did not ask for trailers gets a body that ends without them, and the connection lives on.
    client.forget();
    client.send(format!("{post}\r\n0\r\n\r\n")).await;
    let mut call = way.gateway.call().await;
    assert_eq!(call.header("te"), None);
    call.read_until("0\r\n\r\n").await;
    call.rest.clear();
    call.send(ANSWER).await;
    call.release();
    let answer = client.read_until("3\r\nabc\r\n0\r\n\r\n").await;
    assert!(!answer.contains("x-took: 5"), "{answer}");
    client.forget();
    client
        .send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    client.read_until("OK\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_one_by_one_here() {
    let _machine = crate::beside_others().await;
    events(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_one_by_one_across() {
    let _machine = crate::beside_others().await;
    events(across("").await).await;
}

async fn events(mut way: Way) {
    for (kind, first, last) in [
        ("text/event-stream", "data: 1\n\n", "data: 2\n\n"),
        ("application/x-ndjson", "{\"n\":1}\n", "{\"n\":2}\n"),
    ] {
        let (mut client, mut call) = way.call(&format!("{GET}Accept: {kind}\r\n\r\n")).await;
        assert_eq!(call.header("accept"), Some(kind));
        call.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
        let head = client.read_until("\r\n\r\n").await.to_lowercase();
        assert!(
            head.contains(&format!("\r\ncontent-type: {kind}\r\n")),
            "{head}"
        );
        let chunk = |event: &str| format!("{:x}\r\n{event}\r\n", event.len());
        call.send(chunk(first)).await;
        client.read_until(first).await;
        call.send(chunk(last)).await;
        client.read_until(last).await;
        call.send("0\r\n\r\n").await;
        client.read_until("\r\n0\r\n\r\n").await;
        call.release();
    }
    way.all_slots_are_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_before_the_body_has_here() {
    let _machine = crate::beside_others().await;
    early_answers(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_before_the_body_has_across() {
    let _machine = crate::beside_others().await;
    early_answers(across("").await).await;
}

async fn early_answers(mut way: Way) {
    let (mut client, mut call) = way
        .call("POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
        .await;
    call.read_until("begin").await;
    call.send(
        "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
    )
    .await;
    let answer = client.read_until("big").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    drop(call);
    way.all_slots_are_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let _machine = crate::beside_others().await;
    let mut way = here("").await;
    let mut client = way.client().await;
    let post = |n: u32| {
        format!("POST /function/f/{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{n:03}")
    };
    // Cut where it hurts: within heads and within bodies.
    let all: String = (0..5).map(post).collect();
    let (a, rest) = all.split_at(100);
    let (b, c) = rest.split_at(35);
    for piece in [a, b, c] {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    for n in 0..5 {
        let mut call = way.gateway.call().await;
        assert!(
            call.head.starts_with(&format!("POST /function/f/{n} ")),
            "{}",
            call.head
        );
        assert_eq!(call.read_until(&format!("{n:03}")).await, format!("{n:03}"));
        call.rest.clear();
        call.answer("200 OK", "", &format!("answer {n}")).await;
        client.read_until(&format!("answer {n}")).await;
    }
    client.send(post(9)).await;
    way.gateway.call().await.answer("200 OK", "", "last").await;
    client.read_until("last").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_call_here() {
    let _machine = crate::beside_others().await;
    goes_away(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_call_across() {
    let _machine = crate::beside_others().await;
    goes_away(across("").await).await;
}

async fn goes_away(mut way: Way) {
    // Before the answer, within the answer, within its own body, and with another request behind.
    let (client, mut call) = way.call(&format!("{GET}\r\n")).await;
    drop(client);
    call.closed().await;

    let (mut client, mut call) = way.call(&format!("{GET}\r\n")).await;
    call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    client.read_until("abc").await;
    drop(client);
    call.closed().await;

    let (client, mut call) = way
        .call("POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        .await;
    call.read_until("abc").await;
    drop(client);
    call.closed().await;

    let (client, mut call) = way.call(&format!("{GET}\r\n{GET}\r\n")).await;
    drop(client);
    call.closed().await;
    way.all_slots_are_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_refused_and_an_idle_connection_closed() {
    let _machine = crate::beside_others().await;
    let mut way = here("[timeouts]\nheader_ms = 300\nidle_ms = 900\n").await;
    // Nothing was sent, and nothing is answered.
    let mut silent = way.client().await;
    // A head that grows by a byte now and then is as slow as one that does not.
    let mut slow = way.client().await;
    let began = tokio::time::Instant::now();
    slow.send("GET /function/f HTTP/1.1\r\nHost: x\r\nA: ")
        .await;
    let mut dripped = 0;
    while slow.try_send("a").await.is_ok() && dripped < 1000 {
        dripped += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(answer) = slow.try_read() {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            break;
        }
    }
    let answer = slow.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(silent.read_to_end().await, "");

    // A connection that served a call is closed when it has been idle, and not while a call runs.
    let (mut client, call) = way.call(&format!("{GET}\r\n")).await;
    let began = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    call.answer("200 OK", "", "late").await;
    client.read_until("late").await;
    let idle = tokio::time::Instant::now();
    let answer = client.read_to_end().await;
    assert!(answer.ends_with("late"), "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(2500));
    assert!(
        idle.elapsed() >= Duration::from_millis(600),
        "{:?}",
        idle.elapsed()
    );
    // The second head on a connection has its own time.
    let (mut client, call) = way.call(&format!("{GET}\r\n")).await;
    call.answer("200 OK", "", "first").await;
    client.read_until("first").await;
    client.forget();
    client.send("GET /func").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_answer_loses_it() {
    let _machine = crate::beside_others().await;
    let mut way = here("[timeouts]\nidle_ms = 500\n").await;
    let (client, mut call) = way.call(&format!("{GET}\r\n")).await;
    call.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        .await;
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while call.try_send(&piece).await.is_ok() {
        sent += 1;
        assert!(sent < 900, "somebody took it all");
    }
    way.all_slots_are_free().await;
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_take_its_answer_slowly() {
    let _machine = crate::beside_others().await;
    let mut way = here("[timeouts]\nidle_ms = 1000\nrequest_ms = 300\n").await;
    for lane in ["", "TE: gzip\r\n"] {
        let (mut client, mut call) = way.call(&format!("{GET}{lane}\r\n")).await;
        // More than the sockets between hold, so that it waits for the client.
        let body = vec![b'x'; 32 << 20];
        let length = body.len();
        call.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
        let sent = tokio::spawn(async move {
            call.send(&body).await;
            call
        });
        let head = client.read_until("\r\n\r\n").await;
        let start = head.find("\r\n\r\n").unwrap() + 4;
        let mut read = head.len() - start;
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            read += client.skip(1 << 20).await;
        }
        while read < length {
            read += client.skip(1 << 20).await;
        }
        assert_eq!(read, length);
        drop(sent.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_has_the_time_that_it_is_given_here() {
    let _machine = crate::beside_others().await;
    let gateway =
        Gateway::start("{\"dfaas.timeout_ms\":\"300\",\"dfaas.concurrency\":\"4\"}").await;
    let first = Site::new().openfaas(&gateway.url()).start().await;
    takes_too_long(Way {
        first,
        second: None,
        gateway,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_has_the_time_that_it_is_given_across() {
    let _machine = crate::beside_others().await;
    takes_too_long(across("[timeouts]\nrequest_ms = 300\n").await).await;
}

async fn takes_too_long(mut way: Way) {
    let (mut client, mut call) = way.call(&format!("{GET}\r\n")).await;
    let answer = client.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    call.closed().await;
    // It is the client's own fault if its body does not come.
    let (mut client, mut call) = way
        .call("POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        .await;
    let answer = client.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    call.closed().await;
    // A small one is waited for before anything is sent on.
    let mut client = way.client().await;
    client
        .send("POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    way.all_slots_are_free().await;
    // The head has come in time; the body may take longer.
    let (mut client, mut call) = way.call(&format!("{GET}\r\n")).await;
    call.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        .await;
    client.read_until("\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    call.send("hello").await;
    client.read_until("hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_made_is_given_up() {
    let _machine = crate::beside_others().await;
    // A listener whose queue is full: connections to it are neither made nor refused.
    let mut gateway = Gateway::start(SLOTS).await;
    let agent = Site::new()
        .openfaas(&gateway.url())
        .config("[timeouts]\nconnect_ms = 200\n")
        .start()
        .await;
    let _full = gateway.stop_taking().await;
    let began = tokio::time::Instant::now();
    let response = reqwest::get(agent.url("/function/f")).await.unwrap();
    assert!(response.status().is_server_error(), "{response:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
