//! Any scenario: no panic, no lost call, no call sent too often or on from where it was forwarded.
//!
//! `DFAAS_CASES` is how many are drawn (600), from `DFAAS_FIRST` on (0), and `DFAAS_CASE` replays the one with that number, which
//! a failure prints. Every policy has as many of them as any other. `DFAAS_EVERY` has the number told after so many.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dfaas_protocol::delivery::MAX_ATTEMPTS;
use dfaas_sim::engine;
use dfaas_sim::policy::Policy;
use dfaas_sim::scenario::Scenario;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn one<'a>(of: &[&'a str], rng: &mut impl Rng) -> &'a str {
    of[rng.random_range(0..of.len())]
}

fn number(low: f64, high: f64, rng: &mut impl Rng) -> f64 {
    // Three digits, so that the text is short.
    ((low + (high - low) * rng.random::<f64>()) * 1e3).round() / 1e3
}

/// What a function declares: what it can take, who goes first, how soon it is to be answered, and where it may run.
fn labels(rng: &mut impl Rng) -> String {
    let mut labels = Vec::new();
    for (share, some) in [
        (
            0.4,
            &["'dfaas.maxrate'='30'", "'dfaas.concurrency'='2'"][..],
        ),
        (0.4, &["'dfaas.priority'='0'", "'dfaas.priority'='9'"]),
        (
            0.3,
            &["'dfaas.slo.p95_ms'='20'", "'dfaas.slo.p95_ms'='300'"],
        ),
        (
            0.2,
            &[
                "'dfaas.privacy'='local'",
                "'dfaas.region'='north'",
                "'dfaas.require'='gpu=yes'",
            ],
        ),
    ] {
        if rng.random_bool(share) {
            labels.push(one(some, rng));
        }
    }
    labels.join(",")
}

fn text(case: u64) -> String {
    let rng = &mut ChaCha8Rng::seed_from_u64(case);
    let nodes = rng.random_range(1..12usize);
    let functions = rng.random_range(1..4usize);
    let mut text = format!(
        "name='any'\npurpose='Any.'\nseed={case}\nduration_s={:?}\n",
        number(0.1, 2.0, rng)
    );
    text += &format!("strategy={{period_s={:?}}}\n", number(0.05, 1.0, rng));
    let make = one(
        &[
            "slots={choice=[1,2,8]}",
            "rate={uniform=[0.5,200]}",
            "cores={choice=[0.5,2]}",
            "slots=3,cores=1.5",
            "slots=2,node_slots=3",
            "slots=4,node_slots=1",
            "rate=30,node_slots=2",
            "rate=50,cores=1",
        ],
        rng,
    );
    let speed = number(0.1, 3.0, rng);
    let queue = rng.random_range(0..12u32);
    text += &format!("nodes={{count={nodes},{make},speed={speed:?},queue={queue}}}\n");
    let topology = match rng.random_range(0..7u32) {
        0 if nodes > 4 => "{kind='regular',degree=4}".to_owned(),
        1 if nodes > 2 => "{kind='small-world',degree=2,rewire=0.5}".to_owned(),
        2 if nodes > 2 => "{kind='scale-free',edges=2}".to_owned(),
        3 if nodes > 2 => "{kind='geographic',nearest=2,side_km=900}".to_owned(),
        4 => "{kind='full'}".to_owned(),
        5 => "{kind='list',links=[]}".to_owned(),
        _ => format!("{{kind='erdos-renyi',p={:?}}}", number(0.0, 1.0, rng)),
    };
    text += &format!("topology={topology}\n");
    let clocks = one(
        &[
            "{}",
            "{drift_ppm={uniform=[-100,100]},offset_s={uniform=[0,5]}}",
            "{drift_ppm={uniform=[-500000,1000000]},offset_s=1}",
        ],
        rng,
    );
    text += &format!("clocks={clocks}\n");
    let mbps = one(&["", ",mbps=1.5"], rng);
    let (delay, jitter, loss) = (
        number(0.0, 60.0, rng),
        number(0.0, 9.0, rng),
        number(0.0, 0.3, rng),
    );
    text += &format!("links={{delay_ms={delay:?},jitter_ms={jitter:?},loss={loss:?}{mbps}}}\n");
    let some = |rng: &mut ChaCha8Rng| {
        let count = rng.random_range(1..=nodes);
        let names: Vec<String> = (0..count)
            .map(|_| format!("'n{}'", rng.random_range(0..nodes)))
            .collect();
        format!("nodes=[{}]", names.join(","))
    };
    let mut listed = Vec::new();
    for function in 0..functions {
        let service = one(
            &[
                "{kind='constant',mean_ms=5}",
                "{kind='exponential',mean_ms=70}",
                "{kind='lognormal',mean_ms=40,sigma=2}",
                "{kind='trace',times_ms=[1,900]}",
            ],
            rng,
        );
        let labels = labels(rng);
        let cold = one(
            &[
                "",
                ",cold={start_ms=120,after_idle_s=0.2}",
                ",cold={start_ms=0,after_idle_s=0}",
            ],
            rng,
        );
        let deadline = one(
            &["", ",deadline_ms=0", ",deadline_ms=40", ",deadline_ms=400"],
            rng,
        );
        let where_ = if rng.random_bool(0.5) {
            format!(",{}", some(rng))
        } else {
            String::new()
        };
        listed.push(format!(
            "{{name='f{function}',service={service},body_bytes=2000,labels={{{labels}}}{cold}{deadline}{where_}}}"
        ));
    }
    text += &format!("functions=[{}]\n", listed.join(","));
    listed = (0..rng.random_range(1..4u32))
        .map(|_| {
            let shape = one(
                &[
                    "{kind='constant',rate={uniform=[0,90]}}",
                    "{kind='hot',share=0.4,redraw_s=0.7}",
                    "{kind='sinusoid',mean=30,amplitude=50,period_s=2}",
                    "{kind='step',before=0,after=80,at_s=1}",
                    "{kind='ramp',from=80,to=0,start_s=0.5,end_s=2}",
                    "{kind='bursts',base=1,peak=150,every_s=1,length_s=0.2,phase=0.3}",
                    "{kind='trace',rates=[5,0,60],step_s=0.4}",
                ],
                rng,
            );
            let arrivals = one(&["poisson", "constant"], rng);
            format!("{{{},arrivals='{arrivals}',shape={shape}}}", some(rng))
        })
        .collect();
    text += &format!("load=[{}]\n", listed.join(","));
    listed = (0..rng.random_range(0..4u32))
        .map(|_| {
            let at = number(0.0, 2.0, rng);
            let until = if rng.random_bool(0.7) {
                format!(",until_s={:?}", at + 0.5)
            } else {
                String::new()
            };
            let which = some(rng);
            let what = one(
                &[
                    "'crash',N",
                    "'partition',N",
                    "'slow',N,factor=5",
                    "'lose-messages',N,share=0.5",
                    "'lie',N",
                    "'cordon',N",
                ],
                rng,
            );
            format!(
                "{{at_s={at:?}{until},stagger_s=0.1,what={{kind={}}}}}",
                what.replace('N', &which)
            )
        })
        .collect();
    text + &format!("faults=[{}]\n", listed.join(","))
}

fn check(case: u64) {
    let scenario = Scenario::parse("any", &text(case), &[], Path::new(".")).unwrap();
    let experiment = scenario.draw().unwrap();
    let policies: Vec<Policy> = Policy::all().collect();
    let policy = policies[(case % policies.len() as u64) as usize];
    // The engine itself asserts of every call that it is answered once, and of every forward that the call came from a
    // client, was sent to so many neighbours at most, to another each time, and not out of its fence; and of every start
    // that it is not after the call's deadline.
    let report = engine::run(&experiment, policy, &mut |_| {}).unwrap();
    let totals = report.totals;
    assert_eq!(totals.offered, totals.served + totals.refused + totals.lost);
    assert!(totals.forwards <= MAX_ATTEMPTS as u64 * totals.offered);
    assert!(totals.peer_refusals + totals.unreached <= totals.forwards);
    assert!(totals.lost == 0 || !experiment.faults.is_empty());
    let by_reason: u64 = totals.refused_by.values().sum();
    assert_eq!(by_reason, totals.refused);
    let ran: u64 = report.nodes.iter().map(|node| node.ran).sum();
    assert!(
        ran >= totals.served && ran <= totals.served + totals.lost,
        "{ran} ran"
    );
}

#[test]
#[allow(
    clippy::print_stderr,
    reason = "of a million cases one wants to know how many were run"
)]
fn any_scenario_keeps_the_rules() {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(case) = variable("DFAAS_CASE") {
        return check(case);
    }
    let first = variable("DFAAS_FIRST").unwrap_or(0);
    let every = variable("DFAAS_EVERY").unwrap_or(u64::MAX);
    for case in first..first + variable("DFAAS_CASES").unwrap_or(600) {
        if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
            panic!(
                "replay it with DFAAS_CASE={case}; the scenario is\n{}",
                text(case)
            );
        }
        if (case + 1).is_multiple_of(every) {
            eprintln!("{} cases", case + 1);
        }
    }
}
