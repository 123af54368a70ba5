//! The scenarios in `configs/scenarios`: each is read, runs for a while, and shows what it is for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::path::Path;

use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::bound::bounds;
use dfaas_sim::engine;
use dfaas_sim::policy::Policy;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::{SHIPPED, Scenario};

fn run(name: &str, changes: &[&str], policy: Policy) -> Report {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    let experiment = Scenario::load(name, &changes).unwrap().draw().unwrap();
    engine::run(&experiment, policy, &mut |_| {}).unwrap()
}

fn headroom(name: &str, changes: &[&str]) -> Report {
    run(name, changes, Policy::Strategy(StrategyName::Headroom))
}

fn node(report: &Report, name: &str) -> usize {
    let mut nodes = report.nodes.iter();
    nodes.position(|node| node.node == name).unwrap()
}

/// Served of what was answered in one way or the other in these seconds.
fn served_between(report: &Report, from_s: f64, to_s: f64) -> f64 {
    let in_it = |s: f64| (from_s..to_s).contains(&s);
    let intervals = report.intervals.iter().filter(|i| in_it(i.from_s));
    let (mut served, mut all) = (0, 0);
    for interval in intervals {
        served += interval.served;
        all += interval.served + interval.refused + interval.lost;
    }
    served as f64 / all as f64
}

#[test]
fn every_file_is_shipped_and_named_as_its_file() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/scenarios");
    let mut files: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        // Grids over scenarios stand there, too.
        .filter(|name: &String| !name.ends_with("-sweep"))
        .collect();
    files.sort();
    let mut names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(names, files);
    for name in names {
        let scenario = Scenario::load(name, &[]).unwrap();
        assert_eq!(scenario.name, name);
        assert!(scenario.purpose.ends_with(['.', '?']), "{name}");
    }
}

#[test]
fn each_runs_with_every_policy_and_within_its_bounds() {
    for (name, _) in SHIPPED {
        let changes = ["duration_s=4".to_owned()];
        let experiment = Scenario::load(name, &changes).unwrap().draw().unwrap();
        let bounds = bounds(&experiment);
        assert!(bounds.no_forwarding <= bounds.one_hop + 1e-3, "{name}");
        assert!(bounds.one_hop <= bounds.multi_hop + 1e-3, "{name}");
        assert!(bounds.multi_hop <= bounds.offered + 1e-3, "{name}");
        for policy in Policy::all() {
            let report = engine::run(&experiment, policy, &mut |_| {}).unwrap();
            assert!(
                report.totals.offered > 0 && report.totals.served > 0,
                "{name} {policy}"
            );
            // The queues add a little to what is sustained, and so does chance.
            let most = bounds.multi_hop * 1.25 + 100.0;
            assert!((report.totals.served as f64) < most, "{name} {policy}");
        }
    }
}

#[test]
fn of_110_calls_a_second_ten_go_to_the_helper() {
    let report = headroom("reference-110-on-100", &[]);
    assert_eq!(report.totals.offered, 6600);
    assert!(
        report.totals.served_share > 0.999,
        "{}",
        report.totals.served_share
    );
    // Ten a second, less the first burst of ten.
    assert!(
        (585..=605).contains(&report.totals.forwards),
        "{}",
        report.totals.forwards
    );
}

#[test]
fn a_partition_cuts_help_off_until_it_heals() {
    let report = headroom("partition", &[]);
    assert!(served_between(&report, 10.0, 30.0) > 0.99);
    let cut = served_between(&report, 36.0, 60.0);
    assert!((0.8..0.985).contains(&cut), "{cut}");
    let healed = served_between(&report, 66.0, 90.0);
    assert!(healed > 0.99, "{healed}");
    assert!(report.totals.unreached > 0);
}

#[test]
fn nodes_that_crash_lose_what_ran_there_and_come_back() {
    let report = headroom("rolling-restart", &[]);
    let totals = &report.totals;
    let down = totals.refused_by["node-down"];
    // Each of eight nodes is gone for 5 of 100 seconds.
    let share = down as f64 / totals.offered as f64;
    assert!((0.03..0.07).contains(&share), "{share}");
    // At most what a node can hold: eight that run, eight that wait, and those that it had sent away.
    assert!(totals.lost > 0 && totals.lost < 8 * 40, "{}", totals.lost);
    for node in &report.nodes {
        assert!(
            node.served_share > 0.85,
            "{} {}",
            node.node,
            node.served_share
        );
    }
}

fn refusals_between(report: &Report, from_s: f64, to_s: f64) -> u64 {
    let in_it = |s: f64| (from_s..to_s).contains(&s);
    let intervals = report.intervals.iter().filter(|i| in_it(i.from_s));
    intervals.map(|i| i.peer_refusals).sum()
}

#[test]
fn a_lying_node_loses_its_standing_and_the_calls_and_gets_them_back() {
    let report = headroom("lying-node", &[]);
    let honest = headroom("lying-node", &["faults=[]"]);
    let liar = node(&report, "liar");
    // It would refuse 2400 in these thirty seconds if its word were taken throughout; the first ones are.
    let refused = report.nodes[liar].refused_peers;
    assert!((100..600).contains(&refused), "{refused}");
    let (first, rest) = (
        refusals_between(&report, 30.0, 35.0) as f64 / 5.0,
        refusals_between(&report, 35.0, 60.0) as f64 / 25.0,
    );
    assert!(rest < first, "{first} {rest} a second");
    assert!(served_between(&report, 30.0, 60.0) > 0.999);
    assert!(refusals_between(&report, 65.0, 90.0) < 30);
    // Nobody else is punished, and it runs what it would have run.
    let ran = |report: &Report, name: &str| report.nodes[node(report, name)].ran as f64;
    for name in ["liar", "honest-0", "honest-4"] {
        let share = ran(&report, name) / ran(&honest, name);
        assert!((0.9..1.15).contains(&share), "{name}: {share}");
    }
}

#[test]
fn a_node_that_is_back_is_not_overrun() {
    // It can run 80 calls a second, and its neighbours have twice as many too many.
    for seed in 1..=5 {
        let report = headroom("healing", &[&format!("seed={seed}")]);
        let between = |from_s: f64, to_s: f64| {
            let in_it = |s: f64| (from_s..to_s).contains(&s);
            let intervals = report.intervals.iter().filter(|i| in_it(i.from_s));
            intervals.fold((0, 0), |(a, b), i| (a + i.forwards, b + i.peer_refusals))
        };
        let (first, refused) = between(40.0, 41.0);
        assert!(
            first <= 80 && refused * 20 <= first,
            "{seed}: {first} {refused}"
        );
        let (second, refused) = between(41.0, 42.0);
        assert!(
            second <= 110 && refused * 3 <= second,
            "{seed}: {second} {refused}"
        );
        let (soon, _) = between(43.0, 48.0);
        assert!(soon > 5 * 100, "{seed}: it is let in all the same: {soon}");
    }
}

#[test]
fn a_slow_node_and_lost_offers_cost_little() {
    let report = headroom("slow-and-lossy", &[]);
    let ideal = headroom("slow-and-lossy", &["faults=[]"]);
    assert!(report.totals.served_share > ideal.totals.served_share - 0.05);
    let slower = report.totals.p999_ms / ideal.totals.p999_ms;
    assert!(slower > 1.2, "{slower}");
}

#[test]
fn a_loss_and_a_narrow_link_take_time() {
    let changes = ["links.mbps=1000", "links.loss=0"];
    let wide = headroom("far-cloud", &changes);
    let narrow = headroom("far-cloud", &["links.mbps=8", "links.loss=0.1"]);
    let slower = narrow.totals.p95_ms / wide.totals.p95_ms;
    assert!(slower > 1.2, "{slower}");
}

#[test]
fn a_crowd_is_carried_by_the_others() {
    let alone = run("flash-crowd", &[], Policy::Strategy(StrategyName::AllLocal));
    let helped = headroom("flash-crowd", &[]);
    let between = |report: &Report| served_between(report, 40.0, 85.0);
    assert!(
        between(&alone) < 0.6 && between(&helped) > 0.97,
        "{} {}",
        between(&alone),
        between(&helped)
    );
    assert!(helped.totals.jain > alone.totals.jain);
}
