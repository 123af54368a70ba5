//! `dfaas lab`, beside the simulator.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use dfaas_sim::engine::run;
use dfaas_sim::policy::Policy;
use dfaas_sim::scenario::Scenario;
use dfaas_tests::agent::program;
use serde_json::Value;

const SCENARIO: &str = r#"
name = "three"
purpose = "One of three sites, which reaches only the second, is brought more than both can serve."
duration_s = 5
functions = [{ name = "work", service = { kind = "constant", mean_ms = 100 } }]
nodes = { count = 3, slots = 2, queue = 4 }
topology = { kind = "list", links = [{ from = "n0", to = "n1" }, { from = "n1", to = "n2" }] }
links = { delay_ms = 5 }
load = [{ nodes = ["n0"], shape = { kind = "constant", rate = 60 } }]
"#;

fn dfaas(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .output()
        .expect("the command runs")
}

fn simulate(directory: &Path) {
    let scenario = Scenario::parse("three", SCENARIO, &[], directory).unwrap();
    let experiment = scenario.draw().unwrap();
    let policy = Policy::Strategy(experiment.strategy);
    let report = run(&experiment, policy, &mut |_| {}).unwrap();
    report.write_csv(&directory.join("sim")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn real_agents_serve_what_the_simulator_says() {
    let _machine = crate::alone().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let (ran, compared) = tokio::task::spawn_blocking(move || {
        std::fs::write(path.join("three.toml"), SCENARIO).unwrap();
        simulate(&path);
        let ran = dfaas(
            &path,
            &["lab", "run", "three.toml", "--out", "lab", "--json"],
        );
        let compared = dfaas(&path, &["lab", "compare", "lab", "sim", "--json"]);
        (ran, compared)
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");

    let report: Value = serde_json::from_slice(&ran.stdout).expect("JSON and nothing else");
    let total = |name: &str| report["totals"][name].as_u64().unwrap();
    let ended = total("served") + total("refused") + total("lost");
    assert_eq!(total("offered"), ended, "{report}");
    assert_eq!(total("lost"), 0, "{report}");
    // The third site is nobody's neighbour but the second's, which forwards nothing: only links of the scenario carry.
    assert_eq!(report["nodes"][2]["ran"], 0, "{report}");

    let comparison: Value = serde_json::from_slice(&compared.stdout).unwrap();
    println!("{comparison:#}");
    assert_eq!(
        compared.status.success(),
        comparison["agree"].as_bool().unwrap()
    );
    let figure = |name: &str, key: &str| {
        let figures = comparison["figures"].as_array().unwrap();
        let figure = figures.iter().find(|figure| figure["name"] == name);
        figure.unwrap()[key].as_f64().unwrap()
    };
    // Two sites of twenty calls a second each have sixty to serve.
    assert!((0.6..0.85).contains(&figure("served_share", "sim")));
    assert!(figure("served_share", "difference").abs() < 0.1);
    assert!(figure("forwards_per_call", "difference").abs() < 0.2);
    assert!(figure("p95_ms", "difference").abs() < 0.5);
}
