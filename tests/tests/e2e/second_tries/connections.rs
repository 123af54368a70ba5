//! Connections that were used before.

use super::*;

/// An answer that came before the end of the call's body leaves its connection busy with the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_busy_with_a_body_is_not_used_for_another_call() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for (function, first) in WAYS {
        let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
        let acts: String = first
            .iter()
            .map(|name| format!("X-At-{name}: early\r\n"))
            .collect();
        slow.send(format!(
            "POST /function/{function} HTTP/1.1\r\nHost: x\r\nX-Call-Id: slow-{function}\r\n{acts}\
             Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        ))
        .await;
        slow.read_until(&format!("\r\n\r\nslow-{function}")).await;
        for _ in 0..10 {
            sites.plain(function).await;
        }
        slow.send("4\r\nlast\r\n0\r\n\r\n").await;
        slow.forget();
        slow.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        slow.read_until("OK\n").await;
        let fate = sites.ledger.fate(&format!("slow-{function}"));
        assert_eq!((fate.seen, fate.executed), (1, 1));
    }
}

/// A refusal that came before the end of the call's body: the body goes elsewhere, and the connection is closed, since its
/// other end still waits for the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_attempt_lets_go_of_a_body_that_still_comes() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
    slow.send(
        "POST /function/work HTTP/1.1\r\nHost: x\r\nX-Call-Id: slow\r\nX-At-a: limit\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    )
    .await;
    until("the gateway's connection is closed", SOON, || async {
        (sites.gateways[0].broken() == 1).then_some(())
    })
    .await;
    slow.send("4\r\nlast\r\n0\r\n\r\n").await;
    let receipt = format!(" 9 {}", checksum(b"firstlast"));
    slow.read_until(&receipt).await;
    assert_eq!(
        sites.ledger.fate("slow"),
        Fate {
            seen: 2,
            executed: 1,
            served: 1
        }
    );

    // Nobody takes it: the client is told, and is not kept waiting for its own body's end.
    let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
    slow.send(
        "POST /function/work HTTP/1.1\r\nHost: x\r\nX-Call-Id: none\r\nX-At-a: limit\r\n\
         X-At-b: limit\r\nX-At-c: limit\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    )
    .await;
    let answer = slow.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(sites.ledger.fate("none").executed, 0);
}

/// Bytes behind an answer are nobody's: the call after it gets its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let _machine = crate::beside_others().await;
    let sites = Sites::start().await;
    for round in 0..100 {
        let (function, first) = WAYS[round % 2];
        let call = at(sites.call(function), first, "extra");
        let answer = call.send().await;
        assert_served(&call, &answer);
        let call = sites.call(function);
        let answer = call.send().await;
        assert_served(&call, &answer);
        let Answer::Whole(head, _) = answer else {
            unreachable!()
        };
        assert_eq!(head.header("x-forged"), None);
    }
}

/// Clients go away at any byte of the request or of the answer; the calls after them see no byte of theirs.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_sees_a_byte_of_one_that_was_abandoned() {
    let _machine = crate::beside_others().await;
    let sites = Arc::new(Sites::start().await);
    let mut workers = JoinSet::new();
    for worker in 0..8u64 {
        let sites = Arc::clone(&sites);
        workers.spawn(async move {
            let mut rng = StdRng::seed_from_u64(worker);
            for _ in 0..60 {
                let (function, first) = *WAYS.choose(&mut rng).unwrap();
                let bytes = *[10, 5_000, 200_000].choose(&mut rng).unwrap();
                let kind = *["big", "bigchunks"].choose(&mut rng).unwrap();
                let body = *BODIES.choose(&mut rng).unwrap();
                let call = at(sites.call(function), first, &format!("{kind}={bytes}")).body(body);
                let request = call.request();
                if rng.random_bool(0.5) {
                    let sent = match rng.random_bool(0.5) {
                        true => request.len(),
                        false => rng.random_range(1..request.len()),
                    };
                    let read = rng.random_range(0..bytes + 200);
                    call.abandon(sent, read).await;
                } else {
                    let answer = call.send().await;
                    let Answer::Whole(_, received) = &answer else {
                        panic!("{call:?}: {answer:?}")
                    };
                    let start = String::from_utf8_lossy(&received[..received.len().min(100)]);
                    assert!(
                        *received == pattern(call.id(), bytes),
                        "{call:?}: {:?}, {} bytes: {start}",
                        answer.status(),
                        received.len()
                    );
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    assert!(sites.ledger.all().values().all(|fate| fate.executed <= 1));
    sites.plain("work").await;
    sites.plain("away").await;
}
