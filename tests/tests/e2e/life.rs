//! Starting, stopping, and what an operator sees.

use std::process::Command;
use std::time::Duration;

use dfaas_tests::agent::{SOON, program};
use dfaas_tests::wait::until;
use dfaas_tests::{Site, load};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_running_calls_end() {
    let _machine = crate::beside_others().await;
    let mut agent = Site::new().sleeps("work", 1500, 4).start().await;
    let url = agent.url("/function/work");
    let running = tokio::spawn(reqwest::get(url.clone()));
    until("the call runs", SOON, || async {
        (agent.status().await.functions[0].free == Some(3)).then_some(())
    })
    .await;
    agent.signal("TERM");
    let response = running
        .await
        .unwrap()
        .expect("the running call is answered");
    assert_eq!(response.status(), 200);
    assert!(agent.ended().await.success());
    assert!(reqwest::get(url).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_drains_costs_no_call() {
    let _machine = crate::alone().await;
    let site = || Site::new().sleeps("work", 50, 4);
    let first = site().start().await;
    let mut second = site().joins(&first).start().await;
    let third = site().joins(&first).start().await;
    first.knows("work", 2).await;
    // The first has four slots; the others take the rest, also when one of them goes, however slow the machine is.
    let time = Duration::from_secs(5);
    let running = tokio::spawn(load::closed(first.url("/function/work"), 7, time));
    until("the neighbour has work", SOON, || async {
        (second.executions("work").await > 5).then_some(())
    })
    .await;
    second.signal("TERM");
    assert!(second.ended().await.success());
    let tally = running.await.unwrap();
    assert_eq!(tally.failed, Vec::<String>::new());
    assert_eq!(tally.served, tally.offered, "{tally:?}");
    assert!(third.executions("work").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_private_and_never_logged() {
    let _machine = crate::beside_others().await;
    use std::os::unix::fs::PermissionsExt;
    let site = || Site::new().config("[log]\nfilter = \"trace\"");
    let agent = site().start().await;
    let node = agent.node();
    let log = agent.log();
    let directory = agent.kill();
    let key = directory.path().join("state/node.key");
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // The secret half of the key, in the forms in which a log would show it.
    let bytes = std::fs::read(&key).unwrap();
    let pair = libp2p::identity::Keypair::from_protobuf_encoding(&bytes).unwrap();
    let secret = pair.try_into_ed25519().unwrap().secret();
    let secret = secret.as_ref();
    let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    for form in [hex.clone(), hex.to_uppercase(), format!("{secret:?}")] {
        assert!(!log.contains(&form), "the log shows the key");
    }
    assert!(log.len() > 100, "the log was on: {log}");
    let again = site().start_in(directory).await;
    assert_eq!(again.node(), node, "the same key, the same node");
}

fn dfaas(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program())
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_node_and_its_peers() {
    let _machine = crate::beside_others().await;
    let first = Site::new().sleeps("work", 1, 4).start().await;
    let second = Site::new().sleeps("work", 1, 4).joins(&first).start().await;
    first.knows("work", 1).await;
    let admin = first.ready.addresses.admin.clone();
    let (node, peer) = (first.node().to_string(), second.node());

    let (ok, table, _) = dfaas(&["status", "--admin", &admin]);
    assert!(
        ok && table.contains(&node) && table.contains("headroom"),
        "{table}"
    );
    let (ok, json, _) = dfaas(&["status", "--json", "--admin", &admin]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        ok && json["node_id"] == node.as_str() && json["neighbours"] == 1,
        "{json}"
    );
    let (ok, table, _) = dfaas(&["peers", "--admin", &admin]);
    assert!(ok && table.contains(&peer.short()), "{table}");
    let (ok, json, _) = dfaas(&["peers", "--json", "--admin", &admin]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        ok && json[0]["node_id"] == peer.to_string().as_str(),
        "{json}"
    );

    let metrics = reqwest::get(format!("http://{admin}/metrics"))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("dfaas_neighbours 1"), "{metrics}");
    assert!(
        metrics.contains("function_name=\"work.openfaas-fn\""),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_with_what_to_do() {
    let _machine = crate::beside_others().await;
    let (ok, _, error) = dfaas(&["status", "--admin", "127.0.0.1:9"]);
    assert!(
        !ok && error.contains("no agent answers at 127.0.0.1:9"),
        "{error}"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    std::fs::write(&path, "[ingress]\nlisten = \"127.0.0.1:0\"\nthreds = 2\n").unwrap();
    let path = path.to_str().unwrap();
    let (ok, _, error) = dfaas(&["agent", "--config", path]);
    assert!(
        !ok && error.contains("line 3") && error.contains("threds"),
        "{error}"
    );
    let (ok, _, error) = dfaas(&["strategy", "fastest"]);
    assert!(!ok && error.contains("headroom"), "{error}");
}
