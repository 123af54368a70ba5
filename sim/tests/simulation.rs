//! Whole runs: the same seed gives the same bytes, no call is lost, and the strategies stand where they should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::process::Command;

use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::bound::{Reach, bound};
use dfaas_sim::engine;
use dfaas_sim::policy::Policy;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::{Experiment, Scenario};

/// Ten well-connected nodes, of which three are at twice their capacity.
const SMALL: [&str; 3] = ["nodes.count=10", "topology.p=0.5", "duration_s=60"];

fn drawn(scenario: &str, changes: &[&str]) -> Experiment {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    Scenario::load(scenario, &changes).unwrap().draw().unwrap()
}

fn small(seed: u64, changes: &[&str]) -> Experiment {
    let seed = format!("seed={seed}");
    drawn("grid", &[&SMALL, &[seed.as_str()][..], changes].concat())
}

fn run(experiment: &Experiment, policy: Policy) -> Report {
    engine::run(experiment, policy, &mut |_| {}).unwrap()
}

fn with(experiment: &Experiment, strategy: StrategyName) -> Report {
    run(experiment, Policy::Strategy(strategy))
}

fn output(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_dfaas-sim"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let compare = |seed: &str, threads: &str| {
        output(&[
            "compare",
            "grid",
            "--set",
            "nodes.count=8",
            "--set",
            "duration_s=8",
            "--set",
            "load.0.shape.redraw_s=4",
            "--seeds",
            "3",
            "--json",
            "--seed",
            seed,
            "--threads",
            threads,
        ])
    };
    let first = compare("7", "1");
    assert_eq!(first, compare("7", "4"));
    assert_ne!(first, compare("8", "1"));
    let json: serde_json::Value = serde_json::from_slice(&first).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let names = rows.iter().map(|row| row["strategy"].as_str().unwrap());
    let all: Vec<&str> = Policy::all().map(Policy::as_str).collect();
    assert_eq!(names.collect::<Vec<_>>(), all);
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!((0.3..=1.0).contains(&number("served_share")), "{row}");
        assert!((0.3..=1.1).contains(&number("of_bound")), "{row}");
        assert!((0.3..=1.1).contains(&number("of_dispatcher")), "{row}");
        assert!((0.0..=1.0).contains(&number("peer_refusal_share")), "{row}");
        assert!((0.0..=2.0).contains(&number("forwards_per_call")), "{row}");
        let (p50, p99) = (number("p50_ms"), number("p99_ms"));
        assert!(p50 > 10.0 && p99 > p50, "{row}");
        assert!(row["ci95"]["served_share"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn a_report_says_the_same_as_json_and_as_csv() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let arguments = [
        "run",
        "grid",
        "--set",
        "nodes.count=6",
        "--set",
        "duration_s=5",
    ];
    let json = output(&[&arguments[..], &["--json", "--csv", path]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let rows = |name: &str| {
        let text = std::fs::read_to_string(directory.path().join(name)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let offered = json["totals"]["offered"].as_u64().unwrap();
    assert!(offered > 100);
    assert!(rows("totals.csv").contains(&format!("offered,{offered}")));
    assert_eq!(rows("nodes.csv").len(), 1 + 6);
    let sum = |list: &str, key: &str| -> u64 {
        let rows = json[list].as_array().unwrap().iter();
        rows.map(|row| row[key].as_u64().unwrap()).sum()
    };
    for key in ["offered", "served", "refused", "forwards"] {
        let total = json["totals"][key].as_u64().unwrap();
        assert_eq!(sum("nodes", key), total, "{key}");
        assert_eq!(sum("intervals", key), total, "{key}");
    }
    assert_eq!(
        rows("intervals.csv").len(),
        1 + json["intervals"].as_array().unwrap().len()
    );
    let table = String::from_utf8(output(&arguments)).unwrap();
    assert!(table.contains(&offered.to_string()), "{table}");
}

#[test]
fn every_strategy_is_brought_the_same_calls() {
    let experiment = small(3, &[]);
    let offered: Vec<u64> = Policy::all()
        .map(|policy| run(&experiment, policy).totals.offered)
        .collect();
    assert_eq!(offered, vec![offered[0]; offered.len()]);
}

#[test]
fn headroom_serves_nearly_all_that_can_be_served_and_more_than_the_others() {
    let (mut served, mut bounds, mut dispatched) = (0.0, 0.0, 0.0);
    for seed in 1..=4 {
        let experiment = small(seed, &[]);
        let headroom = with(&experiment, StrategyName::Headroom).totals.served;
        for other in [
            StrategyName::Recalc,
            StrategyName::Static,
            StrategyName::AllLocal,
        ] {
            let theirs = with(&experiment, other).totals.served;
            assert!(headroom > theirs, "{other}: {headroom} and {theirs}");
        }
        served += headroom as f64;
        bounds += bound(&experiment, Reach::OneHop);
        dispatched += run(&experiment, Policy::Dispatcher).totals.served as f64;
    }
    // Of one seed alone it may be less, where the load drawn is more than all nodes together sustain.
    assert!(
        (0.98..1.02).contains(&(served / bounds)),
        "{}",
        served / bounds
    );
    let share = served / dispatched;
    assert!((0.985..1.005).contains(&share), "{share}");
}

#[test]
fn all_local_serves_what_each_node_can_alone() {
    for seed in 1..=3 {
        let experiment = small(seed, &[]);
        let report = with(&experiment, StrategyName::AllLocal);
        assert_eq!(
            (report.totals.forwards, report.totals.peer_refusals),
            (0, 0)
        );
        let share = report.totals.served as f64 / bound(&experiment, Reach::Here);
        assert!((0.96..1.03).contains(&share), "{share}");
    }
}

#[test]
fn a_node_alone_is_a_queue_of_its_own() {
    // One hot node: every strategy does the same.
    let experiment = small(5, &["nodes.count=1", "load.0.shape.share=1"]);
    let reports: Vec<Report> = Policy::all()
        .map(|policy| run(&experiment, policy))
        .collect();
    for report in &reports {
        let totals = &report.totals;
        assert_eq!(totals.served, reports[0].totals.served);
        // At twice its capacity it refuses about half.
        assert!(
            (0.45..0.55).contains(&totals.served_share),
            "{}",
            totals.served_share
        );
    }
}

#[test]
fn one_server_waits_as_the_formula_says() {
    // M/M/1 at a load of a half: calls take twice their service time on average.
    let experiment = small(
        1,
        &[
            "nodes.count=1",
            "nodes.slots=1",
            "nodes.queue=1000",
            "duration_s=4000",
            "load=[{shape={kind='constant',rate=5}}]",
        ],
    );
    let totals = with(&experiment, StrategyName::AllLocal).totals;
    assert_eq!(totals.served, totals.offered);
    assert!(
        (190.0..210.0).contains(&totals.mean_ms),
        "{}",
        totals.mean_ms
    );
    // The times are exponentially distributed, so the median is ln 2 of the mean.
    assert!((130.0..148.0).contains(&totals.p50_ms), "{}", totals.p50_ms);
}

#[test]
fn shared_cores_wait_as_the_formula_says() {
    // M/G/1 with processor sharing at a load of a half: the mean time in the system is twice the mean service time,
    // whatever its distribution.
    for service in [
        "{kind='constant',mean_ms=100}",
        "{kind='lognormal',mean_ms=100,sigma=1}",
    ] {
        let experiment = small(
            1,
            &[
                "nodes={count=1,slots=1000,cores=1}",
                "duration_s=4000",
                &format!("functions=[{{name='f',service={service}}}]"),
                "load=[{shape={kind='constant',rate=5}}]",
            ],
        );
        let totals = with(&experiment, StrategyName::AllLocal).totals;
        assert_eq!(totals.served, totals.offered);
        assert!(
            (188.0..212.0).contains(&totals.mean_ms),
            "{service}: {}",
            totals.mean_ms
        );
    }
}

#[test]
fn functions_that_share_cores_slow_each_other() {
    let changes = |rate: u32| {
        [
            "nodes={count=1,slots=1000,cores=2}".to_owned(),
            "functions=[{name='a',service={kind='constant',mean_ms=10}},{name='b',service={kind='constant',mean_ms=10}}]".to_owned(),
            format!("load=[{{functions=['a'],shape={{kind='constant',rate=100}}}},{{functions=['b'],shape={{kind='constant',rate={rate}}}}}]"),
        ]
    };
    let [quiet, busy] = [0, 90].map(|rate| {
        let changes = changes(rate);
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        with(&small(1, &changes), StrategyName::AllLocal)
            .totals
            .mean_ms
    });
    assert!(quiet < 14.0 && busy > 20.0, "{quiet} and {busy}");
}

/// One node that starts an instance in 400 ms, where calls of 100 ms come at even distances.
fn waking(rate: f64, after_idle_s: f64, more: &[&str]) -> Report {
    let function = format!(
        "functions=[{{name='f',service={{kind='constant',mean_ms=100}},\
         cold={{start_ms=400,after_idle_s={after_idle_s:?}}}}}]"
    );
    let load = format!("load=[{{arrivals='constant',shape={{kind='constant',rate={rate:?}}}}}]");
    let changes = ["nodes={count=1,slots=8}", "duration_s=20", &function, &load];
    with(
        &small(1, &[&changes[..], more].concat()),
        StrategyName::AllLocal,
    )
}

#[test]
fn who_comes_after_idleness_waits_for_an_instance() {
    // Every two seconds: each finds it asleep after one second, and only the first after ten.
    let asleep = waking(0.5, 1.0, &[]).totals;
    assert_eq!(asleep.cold_starts, asleep.served);
    assert!((asleep.mean_ms - 500.0).abs() < 0.01, "{}", asleep.mean_ms);
    let awake = waking(0.5, 10.0, &[]).totals;
    assert_eq!((awake.cold_starts, awake.served), (1, asleep.served));
    let mean = 100.0 + 400.0 / awake.served as f64;
    assert!((awake.mean_ms - mean).abs() < 0.01, "{}", awake.mean_ms);
}

#[test]
fn who_comes_while_an_instance_starts_waits_for_the_same_one() {
    // Every 100 ms: four wait, for 400, 300, 200 and 100 ms.
    let totals = waking(10.0, 1.0, &[]).totals;
    assert_eq!((totals.cold_starts, totals.served), (1, totals.offered));
    let mean = 100.0 + 1000.0 / totals.served as f64;
    assert!((totals.mean_ms - mean).abs() < 0.01, "{}", totals.mean_ms);
    // Half as fast, it starts half as fast: eight wait, for 800 ms and less, and run for 200.
    let slow = waking(10.0, 1.0, &["nodes.slots=20", "nodes.speed=0.5"]).totals;
    let mean = 200.0 + 3600.0 / slow.served as f64;
    assert!((slow.mean_ms - mean).abs() < 0.01, "{}", slow.mean_ms);
}

#[test]
fn a_node_that_comes_back_is_cold() {
    let crash = "faults=[{at_s=5.05,until_s=10,what={kind='crash',nodes=['n0']}}]";
    let totals = waking(10.0, 1.0, &[crash]).totals;
    assert_eq!(totals.cold_starts, 2);
    assert_eq!(totals.lost, 1);
}
