//! The embedded platform through real sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dfaas_protocol::Slots;
use dfaas_sim::scenario::Service;
use futures::future::join_all;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::config::{Builtin, EmbeddedFunction, ServiceTimes};
use crate::platform::testing::{Client, DEADLINE, until};

const LONG: Builtin = Builtin::Sleep(Duration::from_secs(500));

fn function(name: &str, builtin: Builtin, concurrency: u32) -> EmbeddedFunction {
    EmbeddedFunction {
        name: name.to_owned(),
        builtin,
        concurrency: Slots::new(concurrency).unwrap(),
        labels: BTreeMap::from([("dfaas.concurrency".to_owned(), concurrency.to_string())]),
    }
}

fn start(functions: Vec<EmbeddedFunction>) -> Result<Embedded, PlatformError> {
    let config = EmbeddedConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        functions,
    };
    Embedded::start(&config, Arc::default())
}

async fn started(functions: Vec<EmbeddedFunction>) -> (Embedded, Client) {
    let platform = start(functions).unwrap();
    let client = Client::connect(&platform.gateway().authority).await;
    (platform, client)
}

async fn invocations(platform: &Embedded, name: &str) -> u64 {
    let functions = platform.functions().await.unwrap();
    let found = functions.iter().find(|f| f.name.display_name() == name);
    found.unwrap().invocations
}

/// The next bytes of an answer.
async fn next(body: &mut Incoming) -> Bytes {
    let frame = timeout(DEADLINE, body.frame()).await.unwrap();
    frame.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn paths_lead_where_a_gateway_leads_them() {
    let echo = |name| function(name, Builtin::Echo, 4);
    let (platform, mut client) = started(vec![
        echo("foo"),
        echo("bar.team"),
        echo("one.two.team"),
        function("nap", Builtin::Sleep(Duration::ZERO), 4),
    ])
    .await;
    for (method, path, status, text) in [
        ("POST", "/function/foo", 200, "body"),
        ("PUT", "/function/foo/", 200, "body"),
        ("PATCH", "/function/foo/some/path?q=1", 200, "body"),
        ("DELETE", "/function/foo?q=1", 200, "body"),
        ("OPTIONS", "/function/foo.openfaas-fn", 200, "body"),
        ("GET", "/function/bar.team", 200, "body"),
        ("POST", "/function/one.two.team/x", 200, "body"),
        ("HEAD", "/function/foo", 200, ""),
        ("TRACE", "/function/foo", 405, "method not allowed"),
        (
            "POST",
            "/function/foobar",
            404,
            "error finding function foobar",
        ),
        ("POST", "/function/fo", 404, "error finding function fo:"),
        ("POST", "/function/foo.team", 404, "foo.team"),
        ("POST", "/function/bar", 404, "bar"),
        ("POST", "/function/two.team", 404, "two.team"),
        ("POST", "/function/FOO", 404, "FOO"),
        ("POST", "/function/f%6fo", 404, "f%6fo"),
        ("POST", "/function/", 404, "error finding function"),
        ("POST", "/function//foo", 404, "error finding function"),
        ("POST", "/function", 404, "nothing"),
        ("POST", "/functions/foo", 404, "nothing"),
        ("POST", "/async-function/foo", 404, "nothing"),
        ("POST", "/function/nap", 200, "slept 0 ms"),
        ("POST", "/function/nap?ms=3", 200, "slept 3 ms"),
        ("POST", "/function/nap/x?a=b&ms=4", 200, "slept 4 ms"),
        ("POST", "/function/nap?ms=-1", 400, "ms is not usable"),
        ("POST", "/function/nap?ms=", 400, "ms is not usable"),
        ("POST", "/function/nap?ms=600001", 400, "ms is not usable"),
        ("GET", "/healthz", 200, "OK"),
        ("POST", "/healthz", 405, "method not allowed"),
        ("POST", "/system/functions", 501, "agent's configuration"),
        ("PUT", "/system/functions", 501, "agent's configuration"),
        ("DELETE", "/system/functions", 501, "agent's configuration"),
        ("GET", "/system/function/foo", 200, "\"name\":\"foo\""),
        ("GET", "/system/function/bar", 404, "bar is not deployed"),
        (
            "GET",
            "/system/function/bar?namespace=team",
            200,
            "\"namespace\":\"team\"",
        ),
        ("GET", "/system/secrets", 404, "nothing"),
        ("GET", "/", 404, "nothing"),
    ] {
        let request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(path)
            .body("body")
            .unwrap();
        let answer = client.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert!(
            answer.text().contains(text),
            "{method} {path}: {}",
            answer.text()
        );
        let called = path.starts_with("/function/");
        assert_eq!(
            answer.header("x-served-by").is_some(),
            called,
            "{method} {path}"
        );
        assert_eq!(
            answer.header("x-start-time").is_some(),
            called,
            "{method} {path}"
        );
        let ran = called && [200, 400].contains(&status);
        assert_eq!(
            answer.header("x-duration-seconds").is_some(),
            ran,
            "{method} {path}"
        );
    }
    assert_eq!(invocations(&platform, "foo").await, 6);
}

#[tokio::test]
async fn an_answer_has_the_headers_of_a_gateway() {
    let (_platform, mut client) = started(vec![function("foo", Builtin::Echo, 4)]).await;
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let request = Request::post("/function/foo")
        .header("content-type", "image/png")
        .body("x")
        .unwrap();
    let answer = client.send(request).await;
    assert_eq!(answer.header("content-type"), Some("image/png"));
    assert_eq!(answer.header("content-length"), Some("1"));
    assert_eq!(answer.header("x-call-id").unwrap().len(), 36);
    let start: u128 = answer.header("x-start-time").unwrap().parse().unwrap();
    assert!(start >= before);
    let duration = answer.header("x-duration-seconds").unwrap();
    assert_eq!(duration.split_once('.').unwrap().1.len(), 6, "{duration}");
    assert!(duration.parse::<f64>().unwrap() < 30.0);
    let served_by = answer.header("x-served-by").unwrap();
    assert!(served_by.starts_with("dfaas-embedded/"), "{served_by}");

    let request = Request::post("/function/foo")
        .header("x-call-id", "mine")
        .body("x")
        .unwrap();
    assert_eq!(client.send(request).await.header("x-call-id"), None);
}

#[tokio::test]
async fn the_system_paths_tell_of_the_functions() {
    let (_platform, mut client) = started(vec![
        function("foo", Builtin::Echo, 7),
        function("bar.team", Builtin::Hash, 1),
    ])
    .await;
    client.post("/function/foo", "x").await;
    let listed = client.get("/system/functions").await;
    assert_eq!(listed.header("content-type"), Some("application/json"));
    let listed = listed.json();
    assert_eq!(
        listed.as_array().unwrap().len(),
        1,
        "the default namespace only"
    );
    let foo = &listed[0];
    assert_eq!(foo["name"], "foo");
    assert_eq!(foo["namespace"], "openfaas-fn");
    assert_eq!(foo["image"], "builtin/echo");
    assert_eq!(foo["labels"]["dfaas.concurrency"], "7");
    assert_eq!(foo["annotations"], serde_json::json!({}));
    assert_eq!(foo["invocationCount"], 1);
    assert_eq!(foo["replicas"], 1);
    assert_eq!(foo["availableReplicas"], 1);
    assert!(foo["createdAt"].as_str().unwrap().starts_with("20"));

    let team = client.get("/system/functions?namespace=team").await.json();
    assert_eq!(team.as_array().unwrap().len(), 1);
    assert_eq!(team[0]["name"], "bar");
    let none = client.get("/system/functions?namespace=none").await.json();
    assert_eq!(none, serde_json::json!([]));
    let namespaces = client.get("/system/namespaces").await.json();
    assert_eq!(namespaces, serde_json::json!(["openfaas-fn", "team"]));
    let info = client.get("/system/info").await.json();
    assert_eq!(info["provider"]["provider"], "dfaas-embedded");
    assert_eq!(info["version"]["release"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_call_beyond_the_slots_is_refused_and_not_counted() {
    let (platform, mut client) = started(vec![function("nap", LONG, 2)]).await;
    let authority = platform.gateway().authority.clone();
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = Client::connect(&authority).await;
        others.push(tokio::spawn(async move {
            other.post("/function/nap", "x").await
        }));
    }
    until(async || invocations(&platform, "nap").await == 2).await;

    // Bodies that no function reads must not cost the connection; they are larger than what is read at a time.
    for body in [Bytes::new(), vec![0; 200_000].into(), Bytes::new()] {
        let refused = client.post("/function/nap?ms=0", body).await;
        assert_eq!(refused.status, 429);
        assert_eq!(
            refused.text(),
            "Concurrent request limit exceeded. Max concurrent requests: 2"
        );
        assert_eq!(
            refused.header("x-openfaas-internal"),
            Some("faas-middleware")
        );
        assert_eq!(refused.header("x-duration-seconds"), None);
    }
    assert_eq!(invocations(&platform, "nap").await, 2);

    // The two go away; the slots are free again.
    for other in others {
        other.abort();
    }
    until(async || client.post("/function/nap?ms=0", "x").await.status == 200).await;
    assert_eq!(invocations(&platform, "nap").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_free_as_soon_as_its_answer_is_read() {
    let (_platform, mut client) = started(vec![
        function("echo", Builtin::Echo, 1),
        function("nap", Builtin::Sleep(Duration::ZERO), 1),
        function("burn", Builtin::Burn(Duration::ZERO), 1),
        function("hash", Builtin::Hash, 1),
    ])
    .await;
    for name in ["echo", "nap", "burn", "hash"] {
        for call in 0..200 {
            let answer = client.post(&format!("/function/{name}"), "x").await;
            assert_eq!(answer.status, 200, "{name}, call {call}");
        }
    }
}

#[tokio::test]
async fn echo_streams_both_ways_and_holds_its_slot_to_the_end() {
    let (platform, mut client) = started(vec![function("echo", Builtin::Echo, 1)]).await;
    let mut other = Client::connect(&platform.gateway().authority).await;
    let request = Request::post("/function/echo").body(()).unwrap();
    let (chunks, response) = client.stream(request).await;
    let mut answer = response.into_body();
    chunks.unbounded_send("first").unwrap();
    assert_eq!(next(&mut answer).await, "first");
    assert_eq!(other.post("/function/echo", "x").await.status, 429);
    chunks.unbounded_send("last").unwrap();
    assert_eq!(next(&mut answer).await, "last");
    drop(chunks);
    let rest = timeout(DEADLINE, answer.collect()).await.unwrap().unwrap();
    assert!(rest.to_bytes().is_empty());
    assert_eq!(other.post("/function/echo", "x").await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_streams_frees_its_slot() {
    let (platform, mut client) = started(vec![function("echo", Builtin::Echo, 1)]).await;
    let mut other = Client::connect(&platform.gateway().authority).await;
    let request = Request::post("/function/echo").body(()).unwrap();
    let (_chunks, response) = client.stream(request).await;
    assert_eq!(other.post("/function/echo", "x").await.status, 429);
    drop((response, client));
    until(async || other.post("/function/echo", "x").await.status == 200).await;
}

#[tokio::test]
async fn echo_answers_a_client_that_waits_to_continue() {
    let (platform, _) = started(vec![function("echo", Builtin::Echo, 1)]).await;
    let mut stream = TcpStream::connect(&platform.gateway().authority)
        .await
        .unwrap();
    let head = "POST /function/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                Connection: close\r\nContent-Length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut continued = [0; 25];
    timeout(DEADLINE, stream.read_exact(&mut continued))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&continued, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbody"), "{answer}");
    assert!(answer.contains("content-length: 4\r\n"), "{answer}");
}

#[tokio::test]
async fn hash_is_sha_256() {
    let (_platform, mut client) = started(vec![function("hash", Builtin::Hash, 1)]).await;
    for (body, hash) in [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
    ] {
        assert_eq!(client.post("/function/hash", body).await.text(), hash);
    }
    let million_a = client.post("/function/hash", "a".repeat(1_000_000)).await;
    assert_eq!(
        million_a.text(),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    );
}

#[tokio::test]
async fn sleep_and_burn_take_their_time() {
    let (_platform, mut client) = started(vec![
        function("nap", LONG, 1),
        function("burn", Builtin::Burn(Duration::from_secs(500)), 1),
    ])
    .await;
    for name in ["nap", "burn"] {
        let answer = client.get(&format!("/function/{name}?ms=40")).await;
        assert_eq!(answer.status, 200);
        let seconds: f64 = answer
            .header("x-duration-seconds")
            .unwrap()
            .parse()
            .unwrap();
        assert!((0.039..30.0).contains(&seconds), "{name}: {seconds}");
    }
}

#[tokio::test]
async fn serve_draws_a_time_for_each_call() {
    let serve = |speed, seed| {
        Builtin::Serve(ServiceTimes {
            service: Service::Trace(vec![0.001, 0.002, 0.003, 0.004]),
            speed,
            seed,
        })
    };
    let (_platform, mut client) = started(vec![
        function("one", serve(1.0, 7), 1),
        function("same", serve(1.0, 7), 1),
        function("slow", serve(0.5, 7), 1),
    ])
    .await;
    let mut drawn = Vec::new();
    for name in ["one", "same", "slow"] {
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(
                client
                    .get(&format!("/function/{name}"))
                    .await
                    .text()
                    .to_owned(),
            );
        }
        drawn.push(answers);
    }
    assert_eq!(drawn[0], drawn[1]);
    assert!(
        drawn[0].contains(&"served for 1.000 ms\n".to_owned()),
        "{drawn:?}"
    );
    assert!(
        drawn[0].contains(&"served for 4.000 ms\n".to_owned()),
        "{drawn:?}"
    );
    assert!(
        drawn[2].contains(&"served for 8.000 ms\n".to_owned()),
        "{drawn:?}"
    );

    let answer = client.get("/function/slow?ms=20.5").await;
    assert_eq!(answer.text(), "served for 41.000 ms\n");
    for wrong in ["-1", "x", "NaN", "1e12"] {
        assert_eq!(
            client
                .get(&format!("/function/slow?ms={wrong}"))
                .await
                .status,
            400
        );
    }
}

#[tokio::test]
async fn burn_stops_when_its_client_goes_away() {
    let burn = Builtin::Burn(Duration::from_secs(500));
    let (platform, mut client) = started(vec![function("burn", burn, 1)]).await;
    let mut gone = Client::connect(&platform.gateway().authority).await;
    let call = tokio::spawn(async move { gone.post("/function/burn", "x").await });
    until(async || invocations(&platform, "burn").await == 1).await;
    call.abort();
    until(async || client.post("/function/burn?ms=0", "x").await.status == 200).await;
    // The runtime of this test ends only when its blocking threads do: with the thread still burning it would hang.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_one_time_never_exceed_the_slots() {
    let (platform, _) = started(vec![function("nap", Builtin::Sleep(Duration::ZERO), 3)]).await;
    let calls = (0..16).map(|_| async {
        let mut client = Client::connect(&platform.gateway().authority).await;
        let mut served = 0;
        for _ in 0..50 {
            served += u64::from(client.post("/function/nap?ms=1", "x").await.status == 200);
        }
        served
    });
    let served: u64 = join_all(calls).await.into_iter().sum();
    assert!(served < 16 * 50, "nothing was refused");
    assert_eq!(invocations(&platform, "nap").await, served);
    let mut client = Client::connect(&platform.gateway().authority).await;
    assert_eq!(
        client.post("/function/nap", "x").await.status,
        200,
        "a slot was lost"
    );
}

#[tokio::test]
async fn shutdown_lets_calls_end_and_closes_the_rest() {
    let (platform, mut client) = started(vec![function("nap", LONG, 1)]).await;
    let authority = platform.gateway().authority.clone();
    let idle = TcpStream::connect(&authority).await.unwrap();
    let call = tokio::spawn(async move { client.post("/function/nap?ms=300", "x").await });
    until(async || invocations(&platform, "nap").await == 1).await;
    assert!(platform.healthy().await);
    timeout(DEADLINE, platform.shutdown()).await.unwrap();
    assert!(!platform.healthy().await);
    assert_eq!(call.await.unwrap().status, 200);
    assert!(TcpStream::connect(&authority).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn functions_that_cannot_be_deployed_are_named() {
    let echo = |name| function(name, Builtin::Echo, 1);
    let hours = Builtin::Sleep(Duration::from_secs(3600));
    for (functions, reason) in [
        (vec![echo("a/b")], "letters"),
        (vec![echo("foo"), echo("foo.openfaas-fn")], "another one"),
        (vec![function("nap", hours, 1)], "at most 600000 ms"),
    ] {
        let error = start(functions).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let (platform, _client) = started(Vec::new()).await;
    let listen = platform.gateway().authority.parse().unwrap();
    let functions = Vec::new();
    let error = Embedded::start(&EmbeddedConfig { listen, functions }, Arc::default()).unwrap_err();
    assert!(matches!(error, PlatformError::Listen { .. }), "{error}");
}
