//! Clients and platforms that take their time, or go away.

use super::*;

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
    let mut way = here("[timeouts]\nidle_ms = 2000\nrequest_ms = 1500\n").await;
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
        for _ in 0..25 {
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

/// Where a queue is full the kernel drops a connection's first packet, as a network may. It is sent again after a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_first_packet_is_lost_is_made() {
    let _machine = crate::beside_others().await;
    let mut way = here("").await;
    let (listener, _waiting) = way.gateway.stop_taking().await;
    let mut client = way.client().await;
    client.send(format!("{GET}\r\n")).await;
    until("the call has a slot", dfaas_tests::agent::SOON, || async {
        let status = way.first.status().await;
        (status.functions[0].free == Some(3)).then_some(())
    })
    .await;
    way.gateway.take_connections(listener);
    way.gateway.call().await.answer("200 OK", "", "made").await;
    client.read_until("made").await;
}

/// Who takes no bytes for a while is not dead: neither a client in the midst of its answer nor a platform in that of a body.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_either_end_breaks_no_call_across() {
    /// Longer than a neighbour's machine may be silent.
    const PAUSE: Duration = Duration::from_secs(13);
    let _machine = crate::beside_others().await;
    let mut way = across("").await;
    // More than the sockets between hold.
    let bytes = vec![b'b'; 32 << 20];
    let length = bytes.len();
    let (mut taker, mut gives) = way.call(&format!("{GET}TE: gzip\r\n\r\n")).await;
    let mut giver = way.client().await;
    let head = format!("POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    giver.send(head).await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let mut takes = way.gateway.call().await;
    let takes_late = async {
        tokio::time::sleep(PAUSE).await;
        let here = takes.skip(length).await;
        takes.answer("200 OK", "", &format!("{here} bytes")).await;
    };
    let reads_late = async {
        let head = taker.read_until("\r\n\r\n").await;
        let start = head.find("\r\n\r\n").unwrap() + 4;
        let mut read = head.len() - start;
        tokio::time::sleep(PAUSE).await;
        while read < length {
            read += taker.skip(1 << 20).await;
        }
    };
    let whole = format!("{length} bytes");
    let gives_all = async {
        gives.send(head).await;
        gives.send(&bytes).await;
    };
    tokio::join!(
        takes_late,
        reads_late,
        gives_all,
        giver.read_while_sending(&bytes, &whole)
    );
}
