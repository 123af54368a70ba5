//! Priorities, objectives, and how fast a step of load is met.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::path::Path;

use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::engine;
use dfaas_sim::policy::Policy;
use dfaas_sim::report::{FunctionFigures, Report};
use dfaas_sim::scenario::Scenario;

/// Two functions of calls of 100 ms share the 8 slots of each of ten nodes, so that a node sustains 80 calls a second of
/// both together.
const SHARED: &str = r#"
name = "shared"
purpose = "A test."
duration_s = 60
functions = [
    { name = "high", labels = { "dfaas.priority" = "8" }, service = { kind = "exponential", mean_ms = 100 } },
    { name = "low", labels = { "dfaas.priority" = "2" }, service = { kind = "exponential", mean_ms = 100 } },
]
nodes = { count = 10, cores = 8, node_slots = 8 }
topology = { kind = "regular", degree = 4 }
links = { delay_ms = 2 }
load = [
    { functions = ["high"], shape = { kind = "constant", rate = 56 } },
    { functions = ["low"], shape = { kind = "constant", rate = 104 } },
]
"#;

fn run(text: &str, changes: &[&str]) -> Report {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    let scenario = Scenario::parse("a test", text, &changes, Path::new(".")).unwrap();
    let policy = Policy::Strategy(StrategyName::Headroom);
    engine::run(&scenario.draw().unwrap(), policy, &mut |_| {}).unwrap()
}

fn share(figures: &FunctionFigures) -> f64 {
    figures.served as f64 / figures.offered as f64
}

#[test]
fn the_higher_priority_loses_nothing_while_the_lower_has_something_to_lose() {
    for seed in ["seed=1", "seed=2", "seed=3"] {
        let report = run(SHARED, &[seed]);
        let [high, low] = &report.functions[..] else {
            panic!("two functions");
        };
        assert!(share(high) >= 0.999, "{seed}: {high:?}");
        // 24 of 104 calls a second are left to it.
        assert!((0.18..0.28).contains(&share(low)), "{seed}: {low:?}");
    }
}

#[test]
fn without_priorities_both_lose() {
    let same = "functions.0.labels={}";
    let report = run(SHARED, &[same, "functions.1.labels={}"]);
    assert!(share(&report.functions[0]) < 0.9, "{:?}", report.functions);
}

#[test]
fn what_is_served_keeps_to_the_objective_under_overload() {
    let objective = |ms: u32| {
        format!(
            "functions=[{{name='f',labels={{'dfaas.slo.p95_ms'='{ms}'}},service={{kind='exponential',mean_ms=100}}}}]"
        )
    };
    let load = "load=[{shape={kind='constant',rate=160}}]";
    // A queue of 64 at 8 slots would make a call wait for 800 ms.
    let nodes = "nodes={count=10,slots=8,queue=64}";
    let with = |functions: &str| run(SHARED, &[functions, load, nodes]);
    let none = with("functions=[{name='f',service={kind='exponential',mean_ms=100}}]");
    assert!(none.totals.p95_ms > 900.0, "{}", none.totals.p95_ms);
    for ms in [340, 400, 600] {
        let report = with(&objective(ms));
        let totals = &report.totals;
        assert!(totals.p95_ms <= f64::from(ms), "{ms}: {}", totals.p95_ms);
        // Half of what comes can be served.
        assert!(totals.served_share > 0.48, "{ms}: {}", totals.served_share);
        assert!(totals.refused_by.contains_key("dropped"), "{ms}");
    }
}

/// Nobody knows how long a call will take, so that none can keep to less than 95 % of all calls do that need not wait, and a
/// forwarded one takes 4 ms more: 303.6 ms of exponential times, 386.8 of log-normal ones with sigma 1.5, 104 of constant ones, the
/// mean being 100.
#[test]
fn an_objective_holds_from_four_per_cent_above_the_bound_on_whatever_the_distribution() {
    let nodes = "nodes={count=10,slots=8,queue=64}";
    for (service, bound) in [
        ("kind='exponential',mean_ms=100", 303.6),
        ("kind='lognormal',mean_ms=100,sigma=1.5", 386.8),
        ("kind='constant',mean_ms=100", 104.0),
    ] {
        let ms = (bound * 1.04_f64).ceil();
        for rate in [90, 160] {
            let load = format!("load=[{{shape={{kind='constant',rate={rate}}}}}]");
            let functions = format!(
                "functions=[{{name='f',labels={{'dfaas.slo.p95_ms'='{ms}'}},service={{{service}}}}}]"
            );
            let report = run(SHARED, &[&functions, &load, nodes, "duration_s=120"]);
            let p95 = report.totals.p95_ms;
            assert!(p95 <= ms, "{service} at {rate}: {p95} for {ms}");
        }
    }
}

/// Five nodes whose power is dirty and five where it is clean, at 40 % of what they can.
const GREEN: &str = r#"
name = "green"
purpose = "A test."
duration_s = 60
functions = [{ name = "f", service = { kind = "exponential", mean_ms = 100 } }]
links = { delay_ms = 10 }
load = [{ shape = { kind = "constant", rate = 32 } }]
[topology]
kind = "full"
[nodes]
slots = 8
[[nodes.groups]]
name = "dirty"
count = 5
labels = { "energy.gco2_kwh" = "600" }
[[nodes.groups]]
name = "clean"
count = 5
labels = { "energy.gco2_kwh" = "60" }
"#;

#[test]
fn a_weight_for_energy_buys_less_carbon_with_more_latency() {
    // Grams for a kilowatt-hour of each call that ran, on average.
    let carbon = |report: &Report| {
        let ran = |prefix: &str| {
            let nodes = report.nodes.iter();
            let nodes = nodes.filter(|node| node.node.starts_with(prefix));
            nodes.map(|node| node.ran).sum::<u64>() as f64
        };
        (600.0 * ran("dirty") + 60.0 * ran("clean")) / (ran("dirty") + ran("clean"))
    };
    let without = run(GREEN, &[]);
    let half = run(GREEN, &["strategy.energy_weight=0.3"]);
    let full = run(GREEN, &["strategy.energy_weight=0.8"]);
    let all = [&without, &half, &full];
    let [a, b, c] = all.map(carbon);
    assert!((320.0..340.0).contains(&a), "{a}");
    assert!(b < 0.9 * a && c < 0.9 * b, "{a} {b} {c}");
    let [x, y, z] = all.map(|report| report.totals.mean_ms);
    assert!(x < y && y < z && z < 1.3 * x, "{x} {y} {z}");
    assert!(all.iter().all(|report| report.totals.served_share > 0.999));
}

/// After 5 seconds 30 of 100 nodes are brought twice their capacity, a call every 6.25 ms of which each takes 100 ms, so
/// that the ninth finds no slot; all together still have room.
const STEP: &str = r#"
name = "step"
purpose = "A test."
duration_s = 10
functions = [{ name = "f", service = { kind = "constant", mean_ms = 100 } }]
nodes = { groups = [{ name = "hot", count = 30, slots = 8 }, { name = "cold", count = 70, slots = 8 }] }
topology = { kind = "regular", degree = 20 }
links = { delay_ms = 5 }
[[load]]
nodes = ["hot"]
arrivals = "constant"
shape = { kind = "step", before = 8, after = 160, at_s = 5 }
[[load]]
nodes = ["cold"]
arrivals = "constant"
shape = { kind = "constant", rate = 32 }
"#;

#[test]
fn a_step_of_load_is_diverted_at_once() {
    let report = run(STEP, &["interval_s=0.01"]);
    let first = report.intervals.iter().find(|i| i.forwards > 0).unwrap();
    // No slot is free from 5.04 s at the earliest, where calls were still running, and from 5.06 s at the latest.
    assert!((5.035..5.105).contains(&first.from_s), "{first:?}");
}

#[test]
fn the_new_optimum_is_reached_within_a_second() {
    let report = run(STEP, &["interval_s=0.1"]);
    // 30 times 16 and 70 times 3.2 calls in a tenth of a second: all of them can be served.
    let optimum = 704.0;
    let after = |i: &&dfaas_sim::report::Interval| (6.0..9.95).contains(&(i.from_s + 1e-6));
    let windows: Vec<_> = report.intervals.iter().filter(after).collect();
    assert!(windows.len() >= 39);
    for window in windows {
        assert!(window.served as f64 >= 0.95 * optimum, "{window:?}");
        assert_eq!(window.refused, 0, "{window:?}");
    }
}
