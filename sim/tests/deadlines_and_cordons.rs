//! What clients say of deadlines and operators of cordons, in a scenario.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::path::Path;

use dfaas_sim::engine;
use dfaas_sim::policy::Policy;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::Scenario;

/// A site with twice what it can serve beside one with nothing to do, twenty milliseconds away; four calls may wait.
const TEXT: &str = r#"
name = "two"
purpose = "A test."
duration_s = 12
functions = [{ name = "f", service = { kind = "constant", mean_ms = 100 } }]
nodes = { count = 2, slots = 4, queue = 4 }
links = { delay_ms = 20 }
load = [{ nodes = ["n0"], shape = { kind = "constant", rate = 80 } }]
"#;

fn run(more: &str, changes: &[&str]) -> Report {
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    let text = format!("{TEXT}{more}");
    let scenario = Scenario::parse("two", &text, &changes, Path::new(".")).unwrap();
    let experiment = scenario.draw().unwrap();
    let policy = Policy::Strategy(experiment.strategy);
    engine::run(&experiment, policy, &mut |_| {}).unwrap()
}

#[test]
fn nobody_is_answered_after_the_deadline_of_a_constant_time() {
    let patient = run("", &[]);
    assert!(patient.totals.max_ms > 130.0 && patient.totals.forwards > 100);
    // Once the service time is known, which the first periods measure, nothing is begun that would end too late.
    let hasty = run("", &["functions.0.deadline_ms=150"]);
    let late = hasty
        .intervals
        .iter()
        .filter(|interval| interval.from_s >= 3.0);
    for interval in late {
        assert!(interval.p99_ms <= 151.0, "{interval:?}");
    }
    assert!(
        hasty.totals.forwards > 100,
        "the way there and back leaves time"
    );
    assert!(hasty.totals.served < patient.totals.served);
    // Nobody has any use for an answer at once.
    let never = run("", &["functions.0.deadline_ms=0"]);
    assert_eq!(never.totals.refused, never.totals.offered);
    assert_eq!(never.totals.refused_by.keys().collect::<Vec<_>>(), ["late"]);
}

#[test]
fn a_cordoned_node_is_sent_nothing_and_sends_as_before() {
    let cordon = |node: &str| {
        run(
            &format!(
                "faults = [{{ at_s = 4, until_s = 8, what = {{ kind = \"cordon\", nodes = [\"{node}\"] }} }}]"
            ),
            &[],
        )
    };
    let forwards = |report: &Report, from: f64, to: f64| -> u64 {
        let in_it = |s: f64| (from..to).contains(&s);
        let intervals = report.intervals.iter().filter(|i| in_it(i.from_s));
        intervals.map(|interval| interval.forwards).sum()
    };
    let there = cordon("n1");
    assert!(forwards(&there, 2.0, 4.0) > 40);
    assert_eq!(forwards(&there, 5.0, 8.0), 0);
    assert!(
        forwards(&there, 9.0, 11.0) > 40,
        "it is told at once that it is over"
    );
    let here = cordon("n0");
    assert!(forwards(&here, 5.0, 8.0) > 60);
}
