//! Scenario files: what is read, what is refused, and what is drawn.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::path::Path;
use std::time::Duration;

use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Capacity, Time};
use dfaas_sim::scenario::{Experiment, Links, Scenario, Trouble};

const SMALL: &str = r#"
name = "small"
purpose = "A test."
duration_s = 100
[[functions]]
name = "f"
service = { kind = "exponential", mean_ms = 100 }
[nodes]
count = 50
slots = { choice = [4, 8, 16] }
[topology]
kind = "erdos-renyi"
p = 0.1
[links]
delay_ms = { uniform = [2.5, 10] }
[[load]]
shape = { kind = "hot", share = 0.3, redraw_s = 30 }
"#;

fn scenario(changes: &[&str]) -> Scenario {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    Scenario::parse("a test", SMALL, &changes, Path::new(".")).unwrap()
}

fn drawn(changes: &[&str]) -> Experiment {
    scenario(changes).draw().unwrap()
}

fn refused(changes: &[&str]) -> String {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    let parsed = Scenario::parse("a test", SMALL, &changes, Path::new("."));
    parsed
        .and_then(|scenario| scenario.draw())
        .unwrap_err()
        .to_string()
}

fn degrees(links: &Links, nodes: usize) -> Vec<usize> {
    (0..nodes).map(|n| links.neighbours(n).len()).collect()
}

fn is_connected(links: &Links, nodes: usize) -> bool {
    let mut reached = vec![false; nodes];
    reached[0] = true;
    let mut next = vec![0];
    while let Some(node) = next.pop() {
        for to in links.neighbours(node) {
            if !std::mem::replace(&mut reached[*to as usize], true) {
                next.push(*to as usize);
            }
        }
    }
    reached.into_iter().all(|is| is)
}

#[test]
fn keys_that_are_unknown_and_rules_that_do_not_hold_are_refused() {
    for (change, part) in [
        ("nodes.cuont=3", "cuont"),
        ("nodes.count=0", "from one to a million nodes"),
        ("topology.p=1.5", "topology.p is a share"),
        ("topology={kind='regular',degree=3}", "degree is even"),
        ("load.0.shape.redraw_s=0", "redraw_s is seconds"),
        ("load.0.nodes=['x']", "no group \"x\""),
        ("load.0.functions=['x']", "function \"x\""),
        ("load.3.nodes=['x']", "--set"),
        (
            "functions.0.labels={'dfaas.maxrate'='many'}",
            "dfaas.maxrate",
        ),
        ("strategy.name=hedroom", "hedroom"),
        (
            "functions.0.labels={'dfaas.priority'='10'}",
            "dfaas.priority",
        ),
        (
            "faults=[{at_s=5,until_s=4,what={kind='crash',nodes=['n1']}}]",
            "before it is over",
        ),
        ("links.delay_ms={choice=[]}", "delay_ms is from 0"),
        ("nonsense", "--set nonsense"),
    ] {
        let message = refused(&[change]);
        assert!(message.contains(part), "{change}: {message}");
    }
}

#[test]
fn overrides_change_single_values() {
    let changed = scenario(&[
        "nodes.count=7",
        "strategy.name=recalc",
        "load.0.shape.share=0.5",
        "seed=9",
    ]);
    assert_eq!(changed.nodes.count, Some(7));
    assert_eq!(changed.strategy.name, StrategyName::Recalc);
    assert_eq!(changed.seed, 9);
    assert_eq!(changed.draw().unwrap().nodes.len(), 7);
}

#[test]
fn a_scenario_that_is_written_is_read_again() {
    let written = toml::to_string(&scenario(&[])).unwrap();
    let read = Scenario::parse("a test", &written, &[], Path::new(".")).unwrap();
    assert_eq!(read, scenario(&[]));
}

#[test]
fn the_same_seed_draws_the_same_and_another_one_does_not() {
    let [a, b, c] = [drawn(&[]), drawn(&[]), drawn(&["seed=2"])].map(|d| format!("{d:?}"));
    assert_eq!(a, b);
    assert_ne!(a, c);
}

#[test]
fn every_topology_is_what_it_says() {
    for seed in 1..6 {
        let seed = format!("seed={seed}");
        let with = |topology: &str| drawn(&[&seed, &format!("topology={topology}")]).links;
        let sparse = with("{kind='erdos-renyi',p=0}");
        assert!(is_connected(&sparse, 50));
        assert_eq!(sparse.len(), 2 * 49);
        let dense = with("{kind='erdos-renyi',p=0.3}").len();
        // 49 + 0.3 * 1225 less those drawn twice, give or take.
        assert!((2 * 320..2 * 480).contains(&dense), "{dense}");
        assert_eq!(with("{kind='erdos-renyi',p=1}").len(), 50 * 49);
        assert_eq!(with("{kind='full'}").len(), 50 * 49);
        assert_eq!(degrees(&with("{kind='regular',degree=4}"), 50), [4; 50]);
        let small_world = with("{kind='small-world',degree=6,rewire=0.2}");
        assert_eq!(small_world.len(), 50 * 6);
        let scale_free = with("{kind='scale-free',edges=2}");
        assert!(is_connected(&scale_free, 50));
        assert_eq!(scale_free.len(), 2 * (3 + 47 * 2));
        let near = with("{kind='geographic',nearest=5,side_km=100,ms_per_km=1}");
        assert!(degrees(&near, 50).into_iter().all(|degree| degree >= 5));
        assert!(
            near.of(0)
                .all(|link| link.delay > Duration::from_micros(2500))
        );
    }
    let regular =
        [1, 2].map(|s| drawn(&[&format!("seed={s}"), "topology={kind='regular',degree=4}"]));
    assert_ne!(
        regular[0].links.neighbours(0),
        regular[1].links.neighbours(0)
    );
}

#[test]
fn links_have_the_same_delay_both_ways() {
    let links = drawn(&[]).links;
    for node in 0..50 {
        for link in links.of(node) {
            assert_eq!(links.between(link.to, node).unwrap().delay, link.delay);
            assert!((2.5..=10.0).contains(&(link.delay.as_secs_f64() * 1e3)));
        }
    }
}

#[test]
fn the_hot_share_has_twice_its_capacity() {
    let drawn = drawn(&[]);
    for at in [0, 30, 60, 90] {
        let time = Time::ZERO + Duration::from_secs(at);
        let parts = drawn
            .sources
            .iter()
            .map(|source| source.rate_at(time) / drawn.sustained(source.node, source.function));
        let (hot, cold): (Vec<f64>, Vec<f64>) = parts.partition(|part| *part > 1.0);
        assert_eq!(hot, [2.0; 15]);
        assert!(cold.iter().all(|part| (0.2..0.6).contains(part)));
    }
    assert_ne!(
        drawn.sources[0].rates[0].per_second,
        drawn.sources[0].rates[1].per_second
    );
}

#[test]
fn groups_faults_and_shapes_name_nodes() {
    let drawn = drawn(&[
        "nodes={groups=[{name='edge',count=3,slots=2,speed=0.5},{name='cloud',rate=400,queue=99}]}",
        "topology={kind='list',links=[{from='edge',to='cloud',delay_ms=20}]}",
        "functions.0.labels={}",
        "load=[{nodes=['edge'],shape={kind='constant',rate=5}},{nodes=['edge-1'],shape={kind='step',before=0,after=7,at_s=10}}]",
        "faults=[{at_s=4,until_s=6,stagger_s=10,what={kind='crash',nodes=['edge']}}]",
    ]);
    let names: Vec<&str> = drawn.nodes.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["edge-0", "edge-1", "edge-2", "cloud"]);
    assert_eq!(drawn.sustained(0, 0), 10.0);
    assert_eq!(drawn.sustained(3, 0), 400.0);
    assert!(matches!(
        drawn.nodes[3].functions[0].unwrap().capacity,
        Capacity::Rate(_)
    ));
    assert_eq!(degrees(&drawn.links, 4), [1, 1, 1, 3]);
    assert_eq!(
        drawn.links.of(0).next().unwrap().delay,
        Duration::from_millis(20)
    );
    let rates = [9, 10].map(|s| drawn.sources[1].rate_at(Time::ZERO + Duration::from_secs(s)));
    assert_eq!(rates, [5.0, 12.0]);
    let begin: Vec<u64> = drawn
        .faults
        .iter()
        .map(|f| f.at.as_nanos() / 1_000_000_000)
        .collect();
    assert_eq!(begin, [4, 14, 24]);
    assert_eq!(drawn.faults[2].what, Trouble::Crash(2));
}

#[test]
fn traces_and_links_come_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("links.txt", "# two links\nn0 n1\n1 2 7.5\n");
    write("rates.json", r#"{"f": {"n0": [3, 4], "n2": [5]}}"#);
    write("times.txt", "10\n30\n");
    write(
        "scenario.toml",
        r#"
name = "files"
purpose = "A test."
duration_s = 10
functions = [{ name = "f", service = { kind = "trace", file = "times.txt" } }]
nodes = { count = 3, slots = 1 }
topology = { kind = "file", path = "links.txt" }
load = [{ shape = { kind = "trace-file", path = "rates.json", step_s = 2 } }]
"#,
    );
    let path = directory.path().join("scenario.toml");
    let drawn = Scenario::load(path.to_str().unwrap(), &[])
        .unwrap()
        .draw()
        .unwrap();
    assert_eq!(drawn.sustained(0, 0), 50.0);
    assert_eq!(
        drawn.links.between(2, 1).unwrap().delay,
        Duration::from_micros(7500)
    );
    assert_eq!(drawn.links.between(0, 2), None);
    let nodes: Vec<usize> = drawn.sources.iter().map(|source| source.node).collect();
    assert_eq!(nodes, [0, 2]);
    let at = |s| drawn.sources[0].rate_at(Time::ZERO + Duration::from_secs(s));
    assert_eq!([at(1), at(2), at(4)], [3.0, 4.0, 0.0]);
}
