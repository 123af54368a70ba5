//! Clocks that are ahead, too fast or too slow.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::engine;
use dfaas_sim::policy::Policy;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::{Experiment, Scenario};

fn drawn(scenario: &str, changes: &[&str]) -> Experiment {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    Scenario::load(scenario, &changes).unwrap().draw().unwrap()
}

fn run(experiment: &Experiment, strategy: StrategyName) -> Report {
    engine::run(experiment, Policy::Strategy(strategy), &mut |_| {}).unwrap()
}

#[test]
fn clocks_that_are_only_ahead_change_nothing_as_nobody_tells_another_a_time() {
    // With tokens, deadlines, crashes and messages of every kind.
    let common = [
        "nodes={count=6,rate={uniform=[5,40]},queue=6}",
        "topology.p=0.6",
        "duration_s=8",
        "functions.0.labels={'dfaas.slo.p95_ms'='400','dfaas.priority'='7'}",
        "faults=[{at_s=2,until_s=4,what={kind='crash',nodes=['n1']}}]",
    ];
    let ahead = [&common[..], &["clocks.offset_s={uniform=[0,9]}"]].concat();
    let (right, ahead) = (drawn("grid", &common), drawn("grid", &ahead));
    assert_ne!(right.nodes[0].clock, ahead.nodes[0].clock);
    for strategy in StrategyName::ALL {
        let of = |experiment| serde_json::to_string(&run(experiment, strategy)).unwrap();
        assert_eq!(of(&right), of(&ahead), "{strategy}");
    }
}

#[test]
fn nodes_with_fast_clocks_offer_more_often() {
    let messages = |ppm: &str| {
        let drift = format!("clocks.drift_ppm={ppm}");
        let experiment = drawn("grid", &["nodes.count=8", "duration_s=20", &drift]);
        run(&experiment, StrategyName::Headroom).totals.messages as f64
    };
    let right = messages("0");
    // Each offers once more as it starts.
    assert!((1.9..2.0).contains(&(messages("1000000") / right)));
    assert!((0.5..0.6).contains(&(messages("-500000") / right)));
}

#[test]
fn who_offers_too_slowly_is_not_forgotten_by_who_counts_too_fast_while_it_answers() {
    let of_seed = |seed: u64, drift: &str| {
        let seed = format!("seed={seed}");
        drawn(
            "grid",
            &[
                "nodes={count=2,slots=4}",
                "topology={kind='full'}",
                "load=[{nodes=['n1'],shape={kind='constant',rate=120}}]",
                "duration_s=60",
                drift,
                &seed,
            ],
        )
    };
    // n0 offers every other second, which would expire after three seconds of a clock that counts two of them each second, but
    // an answer to a call is a sign of life too.
    let wrong = "clocks.drift_ppm={choice=[-500000,1000000]}";
    let drifts = |seed| [0, 1].map(|node| of_seed(seed, wrong).nodes[node].clock.drift_ppb);
    let seed = (1..100).find(|seed| drifts(*seed) == [-500_000_000, 1_000_000_000]);
    let seed = seed.unwrap();
    let forwards = |drift: &str| {
        let report = run(&of_seed(seed, drift), StrategyName::Headroom);
        report.totals.forwards as f64
    };
    let right = forwards("clocks.drift_ppm=0");
    let hundred = forwards("clocks.drift_ppm={uniform=[-100,100]}");
    assert!(
        (0.98..1.02).contains(&(hundred / right)),
        "{hundred} {right}"
    );
    let wrong = forwards(wrong);
    assert!((0.9..1.1).contains(&(wrong / right)), "{wrong} {right}");
}
