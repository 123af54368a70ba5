//! The client of an OpenFaaS gateway against gateways on real sockets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use dfaas_protocol::{Capacity, Slots};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::config::{Builtin, EmbeddedConfig, EmbeddedFunction};
use crate::platform::Embedded;
use crate::platform::testing::Client;

/// A gateway that answers as told; returns its URL.
async fn gateway(
    answer: impl Fn(&Request<Incoming>) -> (u16, Bytes) + Send + Sync + 'static,
) -> String {
    let answer = Arc::new(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let (status, body) = answer(&request);
                let response = Response::builder()
                    .status(status)
                    .header("location", "/elsewhere")
                    .body(Full::new(body))
                    .unwrap();
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                let connection = http1::Builder::new();
                // A client that breaks off is part of the tests.
                connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
    });
    format!("http://{address}")
}

/// A gateway without namespaces that lists `json`.
async fn listing(json: &'static str) -> OpenFaas {
    let url = gateway(|request| match request.uri().path() {
        "/system/functions" => (200, json.into()),
        _ => (404, "".into()),
    });
    client(url.await, None)
}

fn client(url: String, basic_auth: Option<BasicAuthFiles>) -> OpenFaas {
    let config = OpenFaasConfig {
        url,
        basic_auth,
        poll: Duration::from_secs(5),
    };
    let second = Duration::from_secs(1);
    let timeouts = Timeouts {
        connect: second,
        request: second,
        header: second,
        idle: second,
        drain: second,
        notice: Duration::from_millis(500),
    };
    OpenFaas::connect(&config, &timeouts).unwrap()
}

async fn names(platform: &OpenFaas) -> Vec<String> {
    let functions = platform.functions().await.unwrap();
    functions.iter().map(|f| f.name.to_string()).collect()
}

#[tokio::test]
async fn the_embedded_platform_looks_the_same_from_outside() {
    let function = |name: &str| EmbeddedFunction {
        name: name.to_owned(),
        builtin: Builtin::Echo,
        concurrency: Slots::new(3).unwrap(),
        labels: BTreeMap::from([("dfaas.concurrency".to_owned(), "3".to_owned())]),
    };
    let config = EmbeddedConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        functions: vec![function("foo"), function("bar"), function("foo.team")],
    };
    let embedded = Embedded::start(&config, Arc::default()).unwrap();
    let mut caller = Client::connect(&embedded.gateway().authority).await;
    caller.post("/function/foo.team", "x").await;

    let openfaas = client(embedded.gateway().url(), None);
    assert!(openfaas.healthy().await);
    assert_eq!(openfaas.gateway(), embedded.gateway());
    let listed = openfaas.functions().await.unwrap();
    assert_eq!(listed, embedded.functions().await.unwrap());
    let seen: Vec<_> = listed
        .iter()
        .map(|f| (f.name.as_str(), f.invocations))
        .collect();
    let expected = [
        ("bar.openfaas-fn", 0),
        ("foo.openfaas-fn", 0),
        ("foo.team", 1),
    ];
    assert_eq!(seen, expected);
    let three = Capacity::Slots(Slots::new(3).unwrap());
    assert_eq!(Capacity::declared(&listed[0].labels), Ok(Some(three)));
}

#[tokio::test]
async fn fields_that_a_gateway_leaves_out_have_defaults() {
    let platform = listing(
        r#"[{"name":"cold","labels":null,"usage":{"cpu":1}},
            {"name":"warm","namespace":"team","labels":{"a":"b"},"replicas":3,"invocationCount":7.0}]"#,
    );
    let functions = platform.await.functions().await.unwrap();
    let cold = DeployedFunction {
        name: FunctionName::parse("cold.openfaas-fn").unwrap(),
        labels: BTreeMap::new(),
        replicas: 0,
        invocations: 0,
    };
    let warm = DeployedFunction {
        name: FunctionName::parse("warm.team").unwrap(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        replicas: 3,
        invocations: 7,
    };
    assert_eq!(functions, [cold, warm]);
}

#[tokio::test]
async fn a_broken_entry_does_not_spoil_the_rest() {
    let platform = listing(
        r#"[{"name":"a/b"}, {"name":"b","replicas":"many"}, {}, 7, null, {"name":"good"}]"#,
    )
    .await;
    assert_eq!(names(&platform).await, ["good.openfaas-fn"]);
    assert_eq!(platform.unusable.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn no_functions_may_be_an_empty_list_or_null() {
    assert!(names(&listing("[]").await).await.is_empty());
    assert!(names(&listing("null").await).await.is_empty());
}

#[tokio::test]
async fn each_of_several_namespaces_is_asked() {
    let url = gateway(|request| match request.uri().to_string().as_str() {
        "/system/namespaces" => (200, r#"["openfaas-fn","team","bad&name=x"]"#.into()),
        "/system/functions?namespace=team" => (200, r#"[{"name":"foo"}]"#.into()),
        "/system/functions?namespace=openfaas-fn" => (200, r#"[{"name":"bar"}]"#.into()),
        _ => (500, "".into()),
    });
    let platform = client(url.await, None);
    assert_eq!(names(&platform).await, ["bar.openfaas-fn", "foo.team"]);
}

#[tokio::test]
async fn without_namespaces_the_default_one_is_asked() {
    for (status, answer) in [
        (404, ""),
        (500, ""),
        (200, "[]"),
        (200, "null"),
        (200, "<html>"),
    ] {
        let url = gateway(move |request| match request.uri().to_string().as_str() {
            "/system/functions" => (200, r#"[{"name":"foo"}]"#.into()),
            _ => (status, answer.into()),
        });
        let platform = client(url.await, None);
        assert_eq!(
            names(&platform).await,
            ["foo.openfaas-fn"],
            "{status} {answer}"
        );
    }
}

#[tokio::test]
async fn credentials_come_from_files_and_may_change() {
    // "admin:secret" and "admin:rotated" in base 64.
    let expected = Arc::new(Mutex::new("Basic YWRtaW46c2VjcmV0"));
    let asked = expected.clone();
    let url = gateway(move |request| {
        let given = request.headers().get("authorization");
        match given.is_some_and(|given| given == *asked.lock().unwrap()) {
            true => (200, "[]".into()),
            false => (401, "invalid credentials".into()),
        }
    })
    .await;

    let error = client(url.clone(), None).functions().await.unwrap_err();
    assert!(matches!(error, PlatformError::Unauthorized { .. }));
    for key in [
        "platform.basic_auth_user_file",
        "platform.basic_auth_password_file",
    ] {
        assert!(error.to_string().contains(key), "{error}");
    }

    let directory = tempfile::tempdir().unwrap();
    let files = BasicAuthFiles {
        user_file: directory.path().join("user"),
        password_file: directory.path().join("password"),
    };
    let platform = client(url, Some(files.clone()));
    let error = platform.functions().await.unwrap_err();
    assert!(matches!(error, PlatformError::Credentials(_)), "{error}");
    std::fs::write(&files.user_file, "admin\n").unwrap();
    std::fs::write(&files.password_file, "secret\r\n").unwrap();
    platform.functions().await.unwrap();
    assert!(!format!("{platform:?}").contains("secret"));

    *expected.lock().unwrap() = "Basic YWRtaW46cm90YXRlZA==";
    let error = platform.functions().await.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    std::fs::write(&files.password_file, "rotated").unwrap();
    platform.functions().await.unwrap();
}

#[tokio::test]
async fn answers_that_are_no_listing_are_errors() {
    for (status, body) in [
        (500, "[]"),
        (204, ""),
        (302, "[]"),
        (200, "<html>"),
        (200, "{}"),
    ] {
        let platform = client(gateway(move |_| (status, body.into())).await, None);
        let error = platform.functions().await.unwrap_err();
        let expected = match status {
            200 => matches!(error, PlatformError::Malformed { .. }),
            _ => matches!(error, PlatformError::Status { .. }),
        };
        assert!(expected, "{status} {body}: {error}");
        assert_eq!(platform.healthy().await, status != 500, "{status}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_refused() {
    let huge = Bytes::from(vec![b' '; MAX_ANSWER + 1]);
    let platform = client(gateway(move |_| (200, huge.clone())).await, None);
    let error = platform.functions().await.unwrap_err();
    assert!(matches!(error, PlatformError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_an_error_and_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let platform = client(format!("http://{address}"), None);
    let error = platform.functions().await.unwrap_err();
    assert!(matches!(error, PlatformError::Request { .. }), "{error}");
    assert!(error.to_string().contains("/system/"), "{error}");
    assert!(!platform.healthy().await);
}

#[tokio::test]
async fn a_client_for_https_can_be_made() {
    let platform = client("https://faas.example".to_owned(), None);
    assert_eq!(platform.gateway().url(), "https://faas.example:443");
}
