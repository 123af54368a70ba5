//! `dfaas lab`, beside the simulator.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use dfaas_sim::engine::run;
use dfaas_sim::policy::Policy;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::Scenario;
use dfaas_tests::agent::{SOON, program};
use dfaas_tests::wait::until;
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

const ILLS: &str = r#"
name = "ills"
purpose = "A site that becomes slow, one that falls silent beside one that needs it, and one that lies to one that believes it."
duration_s = 8
strategy = { period_s = 0.25 }
functions = [{ name = "work", service = { kind = "constant", mean_ms = 100 } }]
nodes = { slots = 4, queue = 2, groups = [{ name = "slow" }, { name = "near" }, { name = "silent" }, { name = "hot", queue = 60 }, { name = "liar", queue = 60 }] }
topology = { kind = "list", links = [{ from = "near", to = "silent" }, { from = "hot", to = "liar" }] }
links = { delay_ms = 3 }
load = [
    { nodes = ["slow"], shape = { kind = "constant", rate = 4 } },
    { nodes = ["near"], shape = { kind = "step", before = 5, after = 70, at_s = 5 } },
    { nodes = ["hot", "liar"], shape = { kind = "constant", rate = 42 } },
]
faults = [
    { at_s = 2, until_s = 5, what = { kind = "slow", nodes = ["slow"], factor = 8 } },
    { at_s = 2, what = { kind = "lose-messages", nodes = ["silent"], share = 1 } },
    { at_s = 2, what = { kind = "lie", nodes = ["liar"] } },
]
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

fn simulate(text: &str, change: impl Fn(&mut Scenario)) -> Report {
    let mut scenario = Scenario::parse("a test", text, &[], Path::new(".")).unwrap();
    change(&mut scenario);
    let experiment = scenario.draw().unwrap();
    let policy = Policy::Strategy(experiment.strategy);
    run(&experiment, policy, &mut |_| {}).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_agents_serve_what_the_simulator_says() {
    let _machine = crate::alone().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let (ran, compared) = tokio::task::spawn_blocking(move || {
        std::fs::write(path.join("three.toml"), SCENARIO).unwrap();
        let simulated = simulate(SCENARIO, |_| {});
        simulated.write_csv(&path.join("sim")).unwrap();
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

/// The report of a run of the lab.
async fn lab(text: &'static str, flags: &'static [&'static str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        std::fs::write(path.join("test.toml"), text).unwrap();
        let run = ["lab", "run", "test.toml", "--out", "lab", "--json"];
        dfaas(&path, &[&run, flags].concat())
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
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_slow_fall_silent_and_lie_as_the_scenario_says() {
    let _machine = crate::alone().await;
    let well = simulate(ILLS, |scenario| scenario.faults.clear());
    let ill = simulate(ILLS, |_| {});
    let report = lab(ILLS, &[]).await;
    let node = |name: &str| {
        let nodes = report["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["node"] == name).unwrap()
    };
    let simulated = |report: &Report, name: &str| {
        let mut nodes = report.nodes.iter();
        nodes.find(|node| node.node == name).unwrap().clone()
    };
    // Three of eight seconds of its calls took eight times as long.
    let slow = node("slow");
    assert!(slow["p50_ms"].as_f64().unwrap() < 700.0, "{slow}");
    assert!(slow["p95_ms"].as_f64().unwrap() >= 750.0, "{slow}");
    assert!(slow["busy_share"].as_f64().unwrap() > 0.12, "{slow}");
    // Who has fallen silent before it is needed is not sent anything.
    let near = node("near")["forwards"].as_u64().unwrap();
    let (without, with) = (
        simulated(&well, "near").forwards,
        simulated(&ill, "near").forwards,
    );
    assert!(without > 50, "{without}");
    assert_eq!((with, near), (0, 0));
    // Who says that it is idle is sent what could as well wait where it came.
    let hot = node("hot")["forwards"].as_u64().unwrap();
    let (without, with) = (
        simulated(&well, "hot").forwards,
        simulated(&ill, "hot").forwards,
    );
    assert!(with * 2 > without * 3, "{with} and not {without}");
    assert!(
        hot * 2 > without * 3,
        "{hot} where the simulator has {with}"
    );
}

/// The names of the networks and bridges of a lab in that process.
fn networks_of(process: u32) -> String {
    let list = |arguments: &[&str]| {
        let output = Command::new("ip")
            .args(arguments)
            .output()
            .expect("ip runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = list(&["netns", "list"]) + &list(&["-o", "link", "show", "type", "bridge"]);
    let (namespace, bridge) = (format!("dfaas-lab-{process}-"), format!("dfl{process}:"));
    let of_it = |line: &&str| line.contains(&namespace) || line.contains(&bridge);
    all.lines().filter(of_it).collect::<Vec<_>>().join("\n")
}

fn start_in_networks(directory: &Path) -> Child {
    std::fs::write(directory.join("three.toml"), SCENARIO).unwrap();
    Command::new(program())
        .args([
            "lab",
            "run",
            "three.toml",
            "--out",
            "lab",
            "--json",
            "--netns",
        ])
        .current_dir(directory)
        .env_clear()
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_agent_has_a_network_of_its_own_and_nothing_of_it_is_left() {
    let _machine = crate::alone().await;
    let directory = tempfile::tempdir().unwrap();
    let mut killed = start_in_networks(directory.path());
    let process = killed.id();
    let look = || {
        let refused = killed.try_wait().unwrap().is_some();
        let made = networks_of(process).contains(&format!("dfaas-lab-{process}-2"));
        async move { (refused || made).then_some(refused) }
    };
    let refused = until("a lab makes its networks, or says why not", SOON, look).await;
    if refused {
        let output = killed.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("--netns needs"), "{said}");
        assert!(said.contains("leave --netns out"), "{said}");
        eprintln!("skipped: no right to make networks here; the lab said so");
        return;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ne!(networks_of(process), "");

    let next = start_in_networks(directory.path());
    let own = next.id();
    let output = tokio::task::spawn_blocking(move || next.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(networks_of(process), "", "what the killed one left");
    assert_eq!(networks_of(own), "", "its own");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert!(
        report["totals"]["forwards"].as_u64().unwrap() > 0,
        "{report}"
    );
    assert!(report["totals"]["served"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["nodes"][2]["ran"], 0, "{report}");
}
