//! What an agent tells of its calls: metrics and the access log.

use dfaas_tests::agent::SOON;
use dfaas_tests::openmetrics::Scrape;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};

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
    let gone = gone
        .timeout(std::time::Duration::from_millis(300))
        .send()
        .await;
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
