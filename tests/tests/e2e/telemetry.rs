//! What an agent tells of its calls: metrics and the access log.

use std::io::BufRead;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dfaas_tests::agent::SOON;
use dfaas_tests::client::RawClient;
use dfaas_tests::openmetrics::Scrape;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use serde_json::Value;
use tokio::task::JoinSet;

async fn scrape(agent: &Agent) -> Scrape {
    let url = format!("http://{}/metrics", agent.ready.addresses.admin);
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    Scrape::read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_each_call_once_by_outcome_and_by_status() {
    let _machine = crate::beside_others().await;
    let queue = "[functions]\nqueue = 0";
    let first = Site::new()
        .sleeps("work", 30, 1)
        .sleeps("long", 3000, 1)
        .config(queue)
        .start()
        .await;
    // Before any call, and before any neighbour.
    scrape(&first).await;
    let second = Site::new()
        .sleeps("there", 1, 9)
        .joins(&first)
        .start()
        .await;
    first.knows("there", 1).await;
    for _ in 0..5 {
        for function in ["work", "there"] {
            let response = reqwest::get(first.url(&format!("/function/{function}"))).await;
            assert_eq!(response.unwrap().status(), 200);
        }
    }
    let url = first.url("/function/long");
    let long = tokio::spawn(reqwest::get(url.clone()));
    let name = ("function_name", "long.openfaas-fn");
    until("the long call is in flight", SOON, || async {
        let scrape = scrape(&first).await;
        (scrape.sum("dfaas_calls_in_flight", &[name]) == 1.0).then_some(())
    })
    .await;
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 503);
    let metrics = scrape(&first).await;
    assert_eq!(
        metrics.sum("gateway_function_invocation_started", &[name]),
        2.0
    );
    assert_eq!(
        metrics.sum("gateway_function_invocation_total", &[name]),
        1.0
    );
    assert_eq!(long.await.unwrap().unwrap().status(), 200);
    // A client that goes away.
    let gone = reqwest::Client::new().get(&url);
    let gone = gone.timeout(Duration::from_millis(300)).send().await;
    assert!(gone.unwrap_err().is_timeout());

    let metrics = until("every call has ended", SOON, || async {
        let scrape = scrape(&first).await;
        (scrape.sum("dfaas_calls_in_flight", &[]) == 0.0).then_some(scrape)
    })
    .await;
    for (function, outcome, code, count) in [
        ("work", "run_here", "200", 5.0),
        ("there", "forwarded", "200", 5.0),
        ("long", "run_here", "200", 1.0),
        ("long", "refused", "503", 1.0),
        ("long", "failed", "499", 1.0),
    ] {
        let name = format!("{function}.openfaas-fn");
        let name = ("function_name", name.as_str());
        let (by_outcome, by_code) = ([name, ("outcome", outcome)], [name, ("code", code)]);
        for (metric, labels) in [
            ("dfaas_calls_total", by_outcome),
            ("dfaas_call_seconds_count", by_outcome),
            ("gateway_function_invocation_total", by_code),
            ("gateway_functions_seconds_count", by_code),
        ] {
            assert_eq!(metrics.sum(metric, &labels), count, "{metric} {labels:?}");
        }
    }
    assert_eq!(
        metrics.sum("gateway_function_invocation_started", &[]),
        13.0
    );
    let work = ("function_name", "work.openfaas-fn");
    let seconds = metrics.sum("gateway_functions_seconds_sum", &[work]);
    assert!(
        (0.15..5.0).contains(&seconds),
        "five times 30 ms: {seconds}"
    );
    let up_to = |le| metrics.sum("gateway_functions_seconds_bucket", &[work, ("le", le)]);
    assert_eq!((up_to("0.025"), up_to("10.0")), (0.0, 5.0));
    let peer = second.node().to_string();
    let healthy = [("node_id", peer.as_str()), ("state", "healthy")];
    assert_eq!(metrics.sum("dfaas_peer_health", &healthy), 1.0);
    assert_eq!(metrics.sum("dfaas_peer_health", &[]), 1.0);
    let healthy = [("state", "healthy")];
    assert_eq!(metrics.sum("dfaas_platform_health", &healthy), 1.0);
}

/// The lines of an access log, each an object.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

fn access_log(path: &Path) -> String {
    format!("[log]\naccess = \"json\"\naccess_file = {path:?}\n[functions]\nqueue = 0\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_one_line_for_each_call() {
    let _machine = crate::beside_others().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.json");
    let first = Site::new()
        .function("echo", "\"echo\"", 64, "")
        .sleeps("long", 2000, 1)
        .config(&access_log(&path))
        .start()
        .await;
    let second = Site::new()
        .sleeps("there", 1, 9)
        .joins(&first)
        .start()
        .await;
    first.knows("there", 1).await;
    let client = reqwest::Client::new();
    let body = "x".repeat(100_000);
    for i in 0..10 {
        let echo = client.post(first.url("/function/echo/a/b?token=secret"));
        let echo = echo.header("X-Call-Id", format!("call-{i}"));
        let echo = echo
            .header("Authorization", "Bearer secret")
            .body(body.clone());
        let response = echo.send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap().len(), body.len());
        let there = client.get(first.url("/function/there")).send().await;
        assert_eq!(there.unwrap().status(), 200);
    }
    let unknown = client.get(first.url("/function/unknown")).send().await;
    assert_eq!(unknown.unwrap().status(), 404);
    // One that is refused beside one whose client goes away.
    let url = first.url("/function/long");
    let gone = tokio::spawn(client.get(&url).timeout(Duration::from_millis(1000)).send());
    until("the long call is in flight", SOON, || async {
        let in_flight = scrape(&first).await.sum("dfaas_calls_in_flight", &[]);
        (in_flight == 1.0).then_some(())
    })
    .await;
    assert_eq!(client.get(&url).send().await.unwrap().status(), 503);
    assert!(gone.await.unwrap().unwrap_err().is_timeout());
    // What is no call is not logged.
    client.get(first.url("/healthz")).send().await.unwrap();

    let logged = until("all calls are logged", SOON, || async {
        let lines = lines(&path);
        (lines.len() >= 23).then_some(lines)
    })
    .await;
    assert_eq!(logged.len(), 23);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("secret"));
    let of = |function: &str| -> Vec<&Value> {
        let name = format!("{function}.openfaas-fn");
        logged.iter().filter(|l| l["function"] == *name).collect()
    };
    let (own, other) = (first.node().to_string(), second.node().to_string());
    for (i, line) in of("echo").into_iter().enumerate() {
        assert_eq!(line["call_id"], format!("call-{i}"));
        assert_eq!(line["path"], "/function/echo/a/b");
        assert_eq!(
            (&line["method"], &line["status"]),
            (&"POST".into(), &200.into())
        );
        assert_eq!(
            (&line["outcome"], &line["node"]),
            (&"run_here".into(), &own.clone().into())
        );
        assert_eq!(
            (&line["bytes_in"], &line["bytes_out"]),
            (&100_000.into(), &100_000.into())
        );
        assert_eq!(
            (&line["attempts"], &line["client"]),
            (&1.into(), &"127.0.0.1".into())
        );
        assert!(line["ms"].as_f64().unwrap() >= line["upstream_ms"].as_f64().unwrap());
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!((of("echo").len(), of("there").len()), (10, 10));
    for line in of("there") {
        assert_eq!(
            (&line["outcome"], &line["node"]),
            (&"forwarded".into(), &other.clone().into())
        );
    }
    let mut long: Vec<_> = of("long")
        .iter()
        .map(|l| (l["status"].as_u64(), l["outcome"].clone()))
        .collect();
    long.sort_by_key(|(status, _)| *status);
    assert_eq!(
        long,
        [(Some(499), "failed".into()), (Some(503), "refused".into())]
    );

    // Rotated: the file is moved away, and opened anew on SIGHUP.
    let old = directory.path().join("access.json.1");
    std::fs::rename(&path, &old).unwrap();
    first.signal("HUP");
    until("the log is opened anew", SOON, || async {
        first.log().contains("opened anew").then_some(())
    })
    .await;
    client
        .get(first.url("/function/echo"))
        .send()
        .await
        .unwrap();
    until("the call is in the new file", SOON, || async {
        (lines(&path).len() == 1).then_some(())
    })
    .await;
    assert_eq!(lines(&old).len(), 23);
    let written = scrape(&first)
        .await
        .sum("dfaas_access_log_lines_total", &[]);
    assert_eq!(written, 24.0);
}

/// An agent whose access log is a pipe that nobody reads yet.
async fn logs_to_a_pipe(path: &Path) -> Agent {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    // Slots that are learned on a busy machine may be fewer than the clients of a test.
    Site::new()
        .function("echo", "\"echo\"", 64, "\"dfaas.concurrency\" = \"64\"")
        .config(&access_log(path))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_no_call() {
    let _machine = crate::alone().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let mut agent = logs_to_a_pipe(&path).await;
    // More than the buffer holds. The writer waits for a reader all the while.
    let calls = 10_000;
    let mut clients = JoinSet::new();
    for _ in 0..10 {
        let url = agent.url("/function/echo");
        clients.spawn(async move {
            let client = reqwest::Client::new();
            for _ in 0..calls / 10 {
                let answer = client.get(&url).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let metrics = scrape(&agent).await;
    assert_eq!(metrics.sum("dfaas_access_log_lines_total", &[]), 0.0);
    let dropped = metrics.sum("dfaas_access_log_dropped_total", &[]);
    assert!(dropped > 0.0 && dropped < f64::from(calls), "{dropped}");

    // Whoever reads at last gets all that was kept.
    let reading = std::thread::spawn(move || {
        let pipe = std::fs::File::open(path).unwrap();
        let mut count = 0;
        for line in std::io::BufReader::new(pipe).lines() {
            serde_json::from_str::<Value>(&line.unwrap()).unwrap();
            count += 1;
        }
        f64::from(count)
    });
    let kept = f64::from(calls) - dropped;
    until("what was kept is written", SOON, || async {
        let written = scrape(&agent)
            .await
            .sum("dfaas_access_log_lines_total", &[]);
        (written == kept).then_some(())
    })
    .await;
    agent.signal("TERM");
    assert!(agent.ended().await.success());
    assert_eq!(reading.join().unwrap(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_stops_though_nobody_reads_its_log() {
    let _machine = crate::beside_others().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let mut agent = logs_to_a_pipe(&path).await;
    let answer = reqwest::get(agent.url("/function/echo")).await.unwrap();
    assert_eq!(answer.status(), 200);
    agent.signal("TERM");
    assert!(agent.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_becomes_a_call_is_counted_and_logged_by_its_reason() {
    let _machine = crate::beside_others().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.json");
    let agent = Site::new()
        .function("echo", "\"echo\"", 64, "")
        .ingress("max_requests_per_second_per_client = 3")
        .config(&access_log(&path))
        .start()
        .await;
    // Those that are wrong count against nobody's rate: they come first.
    for request in [
        "GET /function/echo HTTP/1.1\nHost: h\r\n\r\n",
        "GET /function/echo HTTP/1.1\r\n\r\n",
    ] {
        let mut client = RawClient::connect(agent.ingress()).await;
        client.send(request).await;
        assert!(client.read_to_end().await.contains(" 400 "));
    }
    for (path, status) in [("/nowhere", 404), ("/function/nobody", 404)] {
        let response = reqwest::get(agent.url(path)).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let limited = until("a request is one too many", SOON, || async {
        let response = reqwest::get(agent.url("/function/echo")).await.unwrap();
        (response.status() == 429).then_some(())
    });
    limited.await;

    let metrics = scrape(&agent).await;
    let expected = [
        ("malformed", 2),
        ("no_such_path", 1),
        ("no_function", 1),
        ("too_many_requests", 1),
    ];
    let mut sum = 0;
    for (reason, count) in expected {
        let counted = metrics.sum("dfaas_turned_away_total", &[("reason", reason)]);
        assert_eq!(counted, f64::from(count), "{reason}");
        sum += count;
    }
    assert_eq!(metrics.sum("dfaas_turned_away_total", &[]), f64::from(sum));
    let logged = until("every line is written", SOON, || async {
        let mut lines = self::lines(&path);
        lines.retain(|line| !line["turned_away"].is_null());
        (lines.len() == sum as usize).then_some(lines)
    })
    .await;
    for (reason, count) in expected {
        let of: Vec<&Value> = logged
            .iter()
            .filter(|line| line["turned_away"] == reason)
            .collect();
        assert_eq!(of.len(), count as usize, "{reason}");
        for line in of {
            assert_eq!(line["outcome"], "refused");
            assert_eq!(line["client"], "127.0.0.1");
        }
    }
}
