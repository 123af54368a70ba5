//! Clients that speak HTTP/2, with and without TLS.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dfaas_tests::agent::SOON;
use dfaas_tests::client::RawClient;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Gateway, Site};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync()
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Body> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn connect(agent: &Agent) -> SendRequest<Body> {
    speak(TcpStream::connect(agent.ingress()).await.unwrap()).await
}

/// A client of an agent whose platform is the gateway.
async fn beside_a_gateway() -> (Gateway, Agent, SendRequest<Body>) {
    let gateway = Gateway::start("{}").await;
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    let client = connect(&agent).await;
    (gateway, agent, client)
}

fn post(path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://edge.example{path}"))
        .body(body)
        .unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_as_the_older_protocol() {
    let _machine = crate::beside_others().await;
    let (mut gateway, agent, mut client) = beside_a_gateway().await;
    let mut request = post("/function/f/a?b=c", full("hello"));
    for (name, value) in [
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("traceparent", "00-1-2-3"),
        ("dfaas-refused", "full"),
        ("proxy-authorization", "Basic eA=="),
    ] {
        request
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    let answer = tokio::spawn(client.send_request(request));
    let mut call = gateway.call().await;
    assert!(
        call.head.starts_with("POST /function/f/a?b=c HTTP/1.1\r\n"),
        "{}",
        call.head
    );
    for (name, value) in [
        ("host", "edge.example"),
        ("cookie", "a=1; b=2"),
        ("te", "trailers"),
        ("traceparent", "00-1-2-3"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "edge.example"),
        ("content-length", "5"),
    ] {
        assert_eq!(call.header(name), Some(value), "{name}: {}", call.head);
    }
    for gone in ["dfaas-refused", "proxy-authorization", ":authority"] {
        assert_eq!(call.header(gone), None, "{}", call.head);
    }
    assert_eq!(call.read_until("hello").await, "hello");
    call.rest.clear();
    call.answer(
        "201 Created",
        "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\n\
         Set-Cookie: b=2\r\n",
        "thanks",
    )
    .await;
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["content-length"], "6");
    assert_eq!(answer.headers()["dfaas-node-id"], agent.node().to_string());
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(answer.headers().get_all("date").iter().count(), 1);
    for gone in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(text(answer).await, "thanks");

    // Refused requests are answered like any other, and cost the others nothing.
    for (path, status) in [
        ("/function/none", 404),
        ("/function/f/%2e%2e/x", 400),
        ("/function/%66", 400),
        ("/system/secrets", 404),
    ] {
        let answer = client.send_request(post(path, full(""))).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    let healthy = client.send_request(post("/healthz", full(""))).await;
    assert_eq!(text(healthy.unwrap()).await, "OK\n");
}

/// The platform resets its connection; the client's lives on, with the other calls on it.
#[tokio::test(flavor = "multi_thread")]
async fn why_a_body_is_refused_reaches_the_client() {
    let _machine = crate::beside_others().await;
    let (mut gateway, _agent, mut client) = beside_a_gateway().await;
    let body = Bytes::from(vec![b'b'; 8 << 20]);
    for round in 0..20 {
        let why = "no".repeat([1, 15_000][round % 2]);
        let request = post("/function/f", Full::new(body.clone()).boxed_unsync());
        let answer = tokio::spawn(client.send_request(request));
        let mut call = gateway.call().await;
        call.read_until("bbb").await;
        call.answer_last("413 Payload Too Large", "", &why).await;
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.status(), 413, "round {round}");
        assert!(text(answer).await == why, "round {round}");
    }
    let healthy = client.send_request(post("/healthz", full(""))).await;
    assert_eq!(text(healthy.unwrap()).await, "OK\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_and_pieces_pass_both_ways() {
    let _machine = crate::beside_others().await;
    let (mut gateway, _agent, mut client) = beside_a_gateway().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    let (pieces, body) = tokio::sync::mpsc::unbounded_channel();
    let body = futures::stream::unfold(body, |mut body| async {
        let piece: Frame<Bytes> = body.recv().await?;
        Some((Ok(piece), body))
    });
    let mut request = post(
        "/function/f",
        StreamBody::new(Box::pin(body)).boxed_unsync(),
    );
    for (name, value) in [("te", "trailers"), ("trailer", "x-sum")] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let answer = tokio::spawn(client.send_request(request));
    pieces.send(Frame::data(Bytes::from("first"))).unwrap();
    let mut call = gateway.call().await;
    assert_eq!(call.header("transfer-encoding"), Some("chunked"));
    call.read_until("5\r\nfirst\r\n").await;
    pieces.send(Frame::data(Bytes::from("second"))).unwrap();
    call.read_until("6\r\nsecond\r\n").await;
    pieces.send(Frame::trailers(trailers)).unwrap();
    call.read_until("0\r\nx-sum: 1\r\n\r\n").await;
    call.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Took\r\n\r\n5\r\nfirst\r\n",
    )
    .await;
    let mut body = answer.await.unwrap().unwrap().into_body();
    let piece = body.frame().await.unwrap().unwrap();
    assert_eq!(piece.data_ref().unwrap(), "first");
    call.send("3\r\nend\r\n0\r\nX-Took: 5\r\n\r\n").await;
    let end = body.collect().await.unwrap();
    assert_eq!(end.trailers().unwrap()["x-took"], "5");
    assert_eq!(end.to_bytes(), "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_calls_of_their_own_across_nodes_too() {
    let _machine = crate::beside_others().await;
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let second = Site::new()
        .function("echo", "\"echo\"", 64, "\"dfaas.concurrency\" = \"64\"")
        .joins(&first)
        .start()
        .await;
    first.knows("echo", 1).await;
    for agent in [&second, &first] {
        let client = connect(agent).await;
        let calls = (0..50).map(|n| {
            let mut client = client.clone();
            async move {
                let body = Full::new(Bytes::from(vec![n; 50_000])).boxed_unsync();
                let answer = client
                    .send_request(post("/function/echo", body))
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200);
                let back = answer.into_body().collect().await.unwrap().to_bytes();
                assert!(back.len() == 50_000 && back.iter().all(|b| *b == n));
            }
        });
        futures::future::join_all(calls).await;
    }
    assert_eq!(second.executions("echo").await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_ends_its_call() {
    let _machine = crate::beside_others().await;
    let mut gateway = Gateway::start("{\"dfaas.concurrency\":\"1\"}").await;
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    let mut client = connect(&agent).await;
    let answer = tokio::spawn(client.send_request(post("/function/f", full("a"))));
    let mut call = gateway.call().await;
    answer.abort();
    call.closed().await;
    // The slot is free and the connection stands.
    let answer = tokio::spawn(client.send_request(post("/function/f", full("b"))));
    gateway.call().await.answer("200 OK", "", "next").await;
    assert_eq!(text(answer.await.unwrap().unwrap()).await, "next");
}

/// A client that opens streams only to reset them is put off before the platform has done much for it (CVE-2023-44487).
#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_the_connection() {
    let _machine = crate::beside_others().await;
    let agent = Site::new().sleeps("work", 200, 1000).start().await;
    let mut client = connect(&agent).await;
    for _ in 0..2000 {
        if client.ready().await.is_err() {
            break;
        }
        let sent = client.send_request(post("/function/work", full("")));
        let _ = tokio::time::timeout(Duration::from_millis(1), sent).await;
    }
    until("the connection ends", dfaas_tests::agent::SOON, || async {
        client.is_closed().then_some(())
    })
    .await;
    let executions = agent.executions("work").await;
    assert!(executions < 500, "{executions}");
    let response = reqwest::get(agent.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let _machine = crate::beside_others().await;
    let agent = Site::new()
        .sleeps("work", 1500, 1)
        .config("[timeouts]\nidle_ms = 500\n")
        .start()
        .await;
    let mut client = connect(&agent).await;
    let answer = client.send_request(post("/function/work", full(""))).await;
    assert_eq!(answer.unwrap().status(), 200);
    until("the connection ends", dfaas_tests::agent::SOON, || async {
        client.is_closed().then_some(())
    })
    .await;
    // So is one on which nothing comes but the preface.
    let mut silent = RawClient::connect(agent.ingress()).await;
    silent
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    silent.read_to_end().await;
}

/// Writes a new certificate and its key, and returns what trusts it.
fn certify(files: &Path) -> rustls::ClientConfig {
    let own = rcgen::generate_simple_self_signed(vec!["edge.example".to_owned()]).unwrap();
    let (cert, key) = (files.join("cert.pem"), files.join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.key_pair.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each handshake is to show the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// An agent with a certificate, and what trusts it.
async fn with_certificate(site: Site) -> (Agent, rustls::ClientConfig, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let config = certify(files.path());
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    let agent = site
        .ingress(&format!(
            "tls_certificate_file = {cert:?}\ntls_key_file = {key:?}"
        ))
        .start()
        .await;
    (agent, config, files)
}

async fn tls(agent: &Agent, config: &rustls::ClientConfig, alpn: &[&str]) -> TlsStream<TcpStream> {
    try_tls(agent, config, alpn).await.unwrap()
}

async fn try_tls(
    agent: &Agent,
    config: &rustls::ClientConfig,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = config.clone();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(agent.ingress()).await?;
    let name = ServerName::try_from("edge.example").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_connections_live() {
    let _machine = crate::beside_others().await;
    let mut gateway = Gateway::start("{}").await;
    let site = Site::new().openfaas(&gateway.url());
    let (agent, before, files) = with_certificate(site).await;
    let mut client = speak(tls(&agent, &before, &["h2"]).await).await;

    // Half a renewal cannot be used: what was at work stays.
    std::fs::write(files.path().join("cert.pem"), "no certificate").unwrap();
    agent.signal("HUP");
    until("it says so", SOON, || async {
        let log = agent.log();
        log.contains("the certificate from before stays")
            .then_some(())
    })
    .await;
    tls(&agent, &before, &["h2"]).await;

    let after = certify(files.path());
    assert!(try_tls(&agent, &after, &["h2"]).await.is_err());
    agent.signal("HUP");
    until("the new one is at work", SOON, || async {
        try_tls(&agent, &after, &["h2"]).await.ok()
    })
    .await;
    assert!(try_tls(&agent, &before, &["h2"]).await.is_err());

    // The connection from before lives.
    let answer = tokio::spawn(client.send_request(post("/function/f", full("a"))));
    gateway.call().await.answer("200 OK", "", "b").await;
    assert_eq!(text(answer.await.unwrap().unwrap()).await, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_client_chooses_the_protocol() {
    let _machine = crate::beside_others().await;
    let mut gateway = Gateway::start("{}").await;
    let site = Site::new().openfaas(&gateway.url());
    let (agent, config, _files) = with_certificate(site).await;

    let stream = tls(&agent, &config, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = speak(stream).await;
    let answer = tokio::spawn(client.send_request(post("/function/f", full("a"))));
    let call = gateway.call().await;
    assert_eq!(call.header("x-forwarded-proto"), Some("https"));
    call.answer("200 OK", "", "over h2").await;
    assert_eq!(text(answer.await.unwrap().unwrap()).await, "over h2");

    for alpn in [&["http/1.1"][..], &[]] {
        let stream = tls(&agent, &config, alpn).await;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/function/f").header("host", "edge.example");
        let request = request.body(full("")).unwrap();
        let answer = tokio::spawn(async move { sender.send_request(request).await });
        let call = gateway.call().await;
        assert_eq!(call.header("x-forwarded-proto"), Some("https"));
        call.answer("200 OK", "", "over h1").await;
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.version(), Version::HTTP_11);
        assert_eq!(text(answer).await, "over h1");
    }

    // Who does not speak TLS is not spoken to.
    let mut plain = RawClient::connect(agent.ingress()).await;
    plain.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = plain.read_to_end().await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_over_tls_too() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let _machine = crate::beside_others().await;
    let gateway = Gateway::start("{}").await;
    let site = Site::new().openfaas(&gateway.url());
    let (agent, config, _files) = with_certificate(site).await;
    let recording = gateway.record();
    let mut stream = tls(&agent, &config, &["http/1.1"]).await;
    stream
        .write_all(
            b"POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
              0\r\n\r\nGET /function/f HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(recording.take(), [""; 0]);
}

/// The conformance suite `h2spec` (<https://github.com/summerwind/h2spec>), where it is installed; `H2SPEC` names it.
#[tokio::test(flavor = "multi_thread")]
async fn h2spec_finds_nothing() {
    let _machine = crate::beside_others().await;
    let site = || Site::new().sleeps("work", 1, 100);
    let (secure, _, _files) = with_certificate(site()).await;
    let plain = site().start().await;
    // What begins with no preface is HTTP/1 where both are spoken, and is told so before the connection ends.
    let excused = "2: Sends invalid connection preface";
    for (agent, flags, excused) in [
        (&secure, &["--tls", "--insecure"][..], None),
        (&plain, &[], Some(excused)),
    ] {
        let Some(said) = h2spec(agent, flags).await else {
            println!("skipped: there is no h2spec on this machine; H2SPEC may name it");
            return;
        };
        assert!(said.contains("145 tests"), "{said}");
        let failures = said.split("Failures:").nth(1).unwrap_or_default();
        let failed: Vec<&str> = failures
            .lines()
            .filter(|line| line.contains("× "))
            .collect();
        let unexcused: Vec<_> = failed
            .iter()
            .filter(|line| !excused.is_some_and(|excused| line.contains(excused)))
            .collect();
        assert!(unexcused.is_empty(), "{said}");
    }
}

async fn h2spec(agent: &Agent, flags: &[&str]) -> Option<String> {
    let program = std::env::var_os("H2SPEC").unwrap_or_else(|| "h2spec".into());
    let (host, port) = agent.ingress().rsplit_once(':').unwrap();
    let run = tokio::process::Command::new(&program)
        .args(["--host", host, "--port", port, "--path", "/function/work"])
        .args(["--timeout", "10"])
        .args(flags)
        .output()
        .await;
    match run {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{program:?}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_holds_no_slot() {
    let _machine = crate::beside_others().await;
    let agent = Site::new()
        .function("echo", "\"echo\"", 1, "")
        .config("[functions]\nqueue = 0\n[timeouts]\nidle_ms = 500")
        .start()
        .await;
    // A stream may send nothing until the client says so, which it never does.
    let stream = TcpStream::connect(agent.ingress()).await.unwrap();
    let (mut greedy, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let large = Full::new(Bytes::from(vec![b'x'; 1024 * 1024])).boxed_unsync();
    let answer = greedy.send_request(post("/function/echo", large));
    let untaken = answer.await.unwrap();
    assert_eq!(untaken.status(), 200);

    let mut other = connect(&agent).await;
    let served = until("the slot is free", SOON, || {
        let answer = other.send_request(post("/function/echo", full("a")));
        async move {
            let answer = answer.await.unwrap();
            (answer.status() == 200).then_some(answer)
        }
    });
    assert_eq!(text(served.await).await, "a");
    // What was given up does not pass for whole.
    assert!(untaken.into_body().collect().await.is_err());
}
