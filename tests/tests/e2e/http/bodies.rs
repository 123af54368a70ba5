//! Statuses, bodies and what frames them.

use super::*;

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
    // Its body ends with its connection, and ours says where it ends.
    for lane in ["", "TE: gzip\r\n"] {
        let (mut client, mut call) = way.call(&format!("{GET}{lane}\r\n")).await;
        call.send("HTTP/1.0 200 OK\r\n\r\nold").await;
        drop(call);
        let answer = client.read_until("\r\n0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("\r\ntransfer-encoding: chunked\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n3\r\nold\r\n0\r\n\r\n"), "{answer}");
        client.forget();
        client.send(format!("{GET}\r\n")).await;
        way.gateway.call().await.answer("200 OK", "", "again").await;
        client.read_until("again").await;
    }
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
async fn an_answer_that_breaks_off_does_not_look_whole_here() {
    let _machine = crate::beside_others().await;
    broken_answers(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_does_not_look_whole_across() {
    let _machine = crate::beside_others().await;
    broken_answers(across("").await).await;
}

async fn broken_answers(mut way: Way) {
    for lane in ["", "TE: gzip\r\n"] {
        for framing in [
            "",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
        ] {
            let (mut client, mut call) = way.call(&format!("{GET}{lane}\r\n")).await;
            let half = if framing.starts_with('T') {
                "5\r\nhalf"
            } else {
                "half"
            };
            call.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{half}"))
                .await;
            client.read_until("half").await;
            call.reset();
            let answer = client.read_to_end().await;
            let says_length = answer.contains("\r\nContent-Length: 5\r\n")
                || answer.contains("\r\ncontent-length: 5\r\n");
            let in_chunks = answer.contains("\r\ntransfer-encoding: chunked\r\n")
                || answer.contains("\r\nTransfer-Encoding: chunked\r\n");
            assert!(says_length || in_chunks, "{answer}");
            assert!(!answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
        }
    }
    way.all_slots_are_free().await;
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
async fn a_body_that_nobody_reads_holds_up_no_refusal_here() {
    let _machine = crate::beside_others().await;
    unread_bodies(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_reads_holds_up_no_refusal_across() {
    let _machine = crate::beside_others().await;
    unread_bodies(across("").await).await;
}

/// The platform answers in the midst of the body, and neither reads on nor closes the connection.
async fn unread_bodies(mut way: Way) {
    let bytes = vec![b'b'; 64 << 20];
    for (body, close) in [
        (64 << 20, "close"),
        (64 << 20, "keep-alive"),
        (60_000, "close"),
    ] {
        let mut client = way.client().await;
        client
            .send(format!(
                "POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: {body}\r\n\r\n"
            ))
            .await;
        let refuses = async {
            let mut call = way.gateway.call().await;
            call.read_until("bbb").await;
            let head = format!(
                "HTTP/1.1 413 Too Much\r\nConnection: {close}\r\nContent-Length: 3\r\n\r\nbig"
            );
            call.send(head).await;
            call
        };
        let (answer, call) =
            tokio::join!(client.read_while_sending(&bytes[..body], "big"), refuses);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        way.all_slots_are_free().await;
        drop(call);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_body_is_refused_reaches_the_client_here() {
    let _machine = crate::beside_others().await;
    refused_bodies(here("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_body_is_refused_reaches_the_client_across() {
    let _machine = crate::beside_others().await;
    refused_bodies(across("").await).await;
}

/// The platform answers in the midst of the body and closes with most of it unread, so that its kernel resets the connection.
async fn refused_bodies(mut way: Way) {
    for round in 0..60 {
        let body = [8 << 20, 8 << 20, 60_000][round % 3];
        let status = ["413 Payload Too Large", "503 Service Unavailable"][round / 3 % 2];
        let why = "no".repeat([1, 15_000][round / 6 % 2]);
        let mut client = way.client().await;
        let sends = async {
            let head = format!(
                "POST /function/f HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {body}\r\n\r\n"
            );
            client.send(head).await;
            // It may be cut off before the end.
            let _ = client.try_send(vec![b'b'; body]).await;
            client.read_to_end().await
        };
        let refuses = async {
            let mut call = way.gateway.call().await;
            call.read_until("bbb").await;
            call.answer_last(status, "Connection: close\r\n", &why)
                .await;
        };
        let (answer, ()) = tokio::join!(sends, refuses);
        let (head, said_why) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let said = head.starts_with(&format!("HTTP/1.1 {status}\r\n"));
        assert!(said, "round {round}: {answer}");
        assert!(said_why == why, "round {round}: {} bytes", said_why.len());
    }
    way.all_slots_are_free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_this_node_refuses_a_body_reaches_the_client() {
    let _machine = crate::beside_others().await;
    let way = here("").await;
    for body in [60_000, 8 << 20] {
        for _ in 0..10 {
            let mut client = way.client().await;
            let head = format!(
                "POST /function/none HTTP/1.1\r\nHost: x\r\nContent-Length: {body}\r\n\r\n"
            );
            client.send(head).await;
            let _ = client.try_send(vec![b'b'; body]).await;
            let answer = client.read_until("no neighbour offers it").await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
    }
}

/// Bytes that nobody reads would make the kernel reset the connection, and destroy the answer on its way.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_answer_reaches_a_client_that_has_sent_more() {
    let _machine = crate::beside_others().await;
    let mut way = here("").await;
    for lane in ["", "TE: gzip\r\n"] {
        let more = "x".repeat(300_000);
        let request = format!("{GET}{lane}Connection: close\r\n\r\n{more}");
        let (mut client, call) = way.call(&request).await;
        call.answer("200 OK", "", "last").await;
        let (answer, end) = client.read_to_its_end().await;
        assert!(answer.ends_with("last"), "{answer}");
        assert!(end.is_ok(), "{end:?}");
    }
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
