use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::source::Stopping;
use super::super::view::Decisions;
use super::*;
use crate::admin::sample::{Sample, serve_sample};

/// Sends a request as it stands and reads the answer: its status, its head and its body.
async fn exchange(at: SocketAddr, request: String) -> (u16, String, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn get(at: SocketAddr, path: &str) -> (u16, String, String) {
    exchange(
        at,
        format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
    )
    .await
}

async fn put(at: SocketAddr, headers: &str, body: &str) -> (u16, String, String) {
    let length = body.len();
    exchange(
        at,
        format!(
            "PUT /v1/strategy HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ),
    )
    .await
}

const JSON: &str = "Host: localhost\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn the_views_are_served_as_json() {
    let (at, sample) = serve_sample().await;
    let (status, head, body) = get(at, "/v1/status").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(sent, serde_json::to_value(sample.status()).unwrap());
    let (status, _, body) = get(at, "/v1/peers").await;
    assert_eq!(status, 200);
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(sent, serde_json::to_value(sample.peers()).unwrap());
    assert_eq!(get(at, "/v1/nothing").await.0, 404);
    let (status, _, body) = get(at, "/v1/calls/a%2Fb%201").await;
    assert_eq!(status, 200, "{body}");
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    let calls = sample.explain_call("a/b 1").unwrap();
    assert_eq!(sent, serde_json::to_value(calls).unwrap());
    let (status, _, body) = get(at, "/v1/functions/resize/decisions").await;
    assert_eq!(status, 200, "{body}");
    let sent: Decisions = serde_json::from_str(&body).unwrap();
    let resize = FunctionName::parse("resize").unwrap();
    assert_eq!(sent, sample.decisions(&resize).unwrap());
}

#[tokio::test]
async fn what_cannot_be_explained_is_answered_with_what_to_do() {
    let (at, _sample) = serve_sample().await;
    for (path, code, advice) in [
        ("/v1/calls/gone", 404, "X-Call-Id"),
        ("/v1/calls/%FF", 400, "UTF-8"),
        ("/v1/calls/", 404, "/v1/calls/ID"),
        ("/v1/functions/other/decisions", 404, "dfaas status"),
        ("/v1/functions/a%20b/decisions", 400, "a b"),
    ] {
        let (status, _, body) = get(at, path).await;
        assert_eq!(status, code, "{path}");
        assert!(body.contains(advice), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_strategy_is_shown_and_set() {
    let (at, sample) = serve_sample().await;
    let (status, _, body) = put(at, JSON, r#"{"strategy": "all-local"}"#).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(sample.strategy(), StrategyName::AllLocal);
    let (_, _, body) = get(at, "/v1/strategy").await;
    let shown: StrategyChoice = serde_json::from_str(&body).unwrap();
    assert_eq!(shown.strategy, StrategyName::AllLocal);
}

#[tokio::test]
async fn a_strategy_that_cannot_be_set_is_refused_with_a_sentence() {
    let (at, sample) = serve_sample().await;
    let (status, _, body) = put(at, JSON, r#"{"strategy": "best"}"#).await;
    assert_eq!(status, 400);
    let unknown = "best".parse::<StrategyName>().unwrap_err();
    assert_eq!(body.trim_end(), unknown.to_string());
    for wrong in ["", "recalc", "{}", r#"{"strategy": "recalc", "x": 1}"#] {
        assert_eq!(put(at, JSON, wrong).await.0, 400, "{wrong}");
    }
    let large = format!(r#"{{"strategy": "{}"}}"#, "x".repeat(MAX_BODY));
    assert_eq!(put(at, JSON, &large).await.0, 413);
    let form = "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(put(at, form, r#"{"strategy": "recalc"}"#).await.0, 415);
    sample.stopping.store(true, Ordering::Relaxed);
    let (status, _, body) = put(at, JSON, r#"{"strategy": "recalc"}"#).await;
    assert_eq!(
        (status, body.trim_end()),
        (503, Stopping.to_string().as_str())
    );
    assert_eq!(sample.strategy(), StrategyName::Headroom);
}

#[tokio::test]
async fn what_a_web_page_could_send_is_refused() {
    let (at, sample) = serve_sample().await;
    let body = r#"{"strategy": "recalc"}"#;
    for headers in [
        format!("{JSON}Origin: http://site.example\r\n"),
        format!("{JSON}Origin: null\r\n"),
        JSON.replace("localhost", "site.example"),
        JSON.replace("localhost", "site.example:31602"),
        JSON.replace("localhost", "127.0.0.1.site.example"),
        JSON.replace("Host: localhost\r\n", ""),
    ] {
        let (status, _, answer) = put(at, &headers, body).await;
        assert_eq!(status, 403, "{headers}{answer}");
    }
    assert_eq!(sample.strategy(), StrategyName::Headroom);
    for host in [
        "localhost",
        "LOCALHOST:31602",
        "127.0.0.1",
        "[::1]:31602",
        "[::1]",
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(at, request).await.0, 200, "{host}");
    }
}

#[tokio::test]
async fn health_says_why_not() {
    let (at, sample) = serve_sample().await;
    let (status, _, body) = get(at, "/healthz").await;
    assert_eq!((status, body.trim_end()), (200, "ok"));
    sample.stopping.store(true, Ordering::Relaxed);
    let (status, _, body) = get(at, "/healthz").await;
    assert_eq!((status, body.trim_end()), (503, "draining"));
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let (at, sample) = serve_sample().await;
    let (status, head, body) = get(at, "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        head.contains(&format!("content-type: {OPENMETRICS}")),
        "{head}"
    );
    assert_eq!(body, sample.metrics());
}

#[tokio::test]
async fn serving_ends_when_it_is_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let listener = AdminListener::tcp(listener).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(
        listener,
        Access::open(),
        Arc::new(Sample::new()),
        async {
            let _ = stopped.await;
        },
    ));
    assert_eq!(get(at, "/healthz").await.0, 200);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(at).await.is_err());
}
