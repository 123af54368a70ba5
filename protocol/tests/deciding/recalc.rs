//! `recalc` against figures worked out by hand.

use std::time::Duration;

use dfaas_protocol::Capacity;
use dfaas_protocol::NodeId;
use dfaas_protocol::delivery::{Admission, Decision, Delivery, Rejection, Why, admit};
use dfaas_protocol::policy::Terms;
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{Recalc, StrategyName};

use crate::site::{Site, at_ms, node, rate, rng, route_of, slots};

const F: &str = "f.openfaas-fn";

/// M = 100 of `f`, u from clients, and p for each of the neighbours 1, 2, …, all of which offer it.
fn observed(u: f64, p: &[f64]) -> Site {
    let mut site = Site::new();
    site.has("f", Capacity::Rate(rate(100.0)), 8);
    site.functions[0].from_clients = u;
    for (n, p) in (1..).zip(p) {
        site.hears(n, &[("f", "4/4")]);
        site.functions[0].for_peers.push((node(n), *p));
    }
    site
}

/// limit_in of `f` for the neighbours 1, 2, …; zero where nothing is granted.
fn limits_in(site: &Site, neighbours: u8) -> Vec<f64> {
    let plan = site.plan(&mut Recalc::default());
    (1..=neighbours)
        .map(|n| match &Site::grants_to(&plan, n)[..] {
            [] => 0.0,
            [(function, rate)] if function == F => *rate,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
    assert!(
        found.iter().zip(expected).all(close),
        "{found:?}, not {expected:?}"
    );
}

#[test]
fn the_margin_goes_to_those_served_and_the_rest_in_equal_parts() {
    // Margin 60, of which 10 runs for the first: 50 are left, 25 for each.
    assert_close(&limits_in(&observed(40.0, &[10.0, 0.0]), 2), &[35.0, 25.0]);
    assert_close(&limits_in(&observed(40.0, &[0.0, 0.0, 0.0]), 3), &[20.0; 3]);
    assert_close(&limits_in(&observed(0.0, &[0.0]), 1), &[100.0]);
}

#[test]
fn where_peers_use_more_than_the_margin_all_shrink_alike() {
    // Margin 10 for 30 + 10 that run: a quarter of each.
    assert_close(&limits_in(&observed(90.0, &[30.0, 10.0]), 2), &[7.5, 2.5]);
    // The one that runs nothing gets nothing.
    assert_close(&limits_in(&observed(90.0, &[20.0, 0.0]), 2), &[10.0, 0.0]);
}

#[test]
fn without_a_margin_nothing_is_granted_and_all_are_told() {
    for u in [100.0, 250.0] {
        assert_close(&limits_in(&observed(u, &[30.0, 0.0]), 2), &[0.0, 0.0]);
    }
}

#[test]
fn grants_sum_to_the_margin() {
    for (u, p, margin) in [
        (40.0, &[10.0, 0.0][..], 60.0),
        (90.0, &[30.0, 10.0], 10.0),
        (33.3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 66.7),
        (99.0, &[0.3, 0.3, 0.3], 1.0),
    ] {
        let sum: f64 = limits_in(&observed(u, p), p.len() as u8).iter().sum();
        assert!((sum - margin).abs() < 1e-9, "{sum}, not {margin}");
    }
}

#[test]
fn slots_sustain_what_their_service_time_allows() {
    let mut site = Site::new();
    site.has("f", slots(8), 8);
    site.hears(1, &[("f", "4/4")]);
    // Not measured: 100 ms, so 80 a second.
    assert_close(&limits_in(&site, 1), &[80.0]);
    site.functions[0].service = Some(Duration::from_millis(20));
    assert_close(&limits_in(&site, 1), &[400.0]);
    site.functions[0].from_clients = 150.0;
    assert_close(&limits_in(&site, 1), &[250.0]);
    // More than can be granted: the most that can.
    let mut site = Site::new();
    site.has("f", slots(1_000_000), 8);
    site.hears(1, &[("f", "4/4")]);
    assert_close(&limits_in(&site, 1), &[1e6]);
}

#[test]
fn a_neighbour_without_the_function_is_granted_its_part_too() {
    let mut site = observed(40.0, &[10.0]);
    site.hears(2, &[("g", "4/4")]);
    assert_close(&limits_in(&site, 2), &[35.0, 25.0]);
}

#[test]
fn grants_are_sorted_by_function() {
    let mut site = Site::new();
    for function in ["z", "a", "m"] {
        site.has(function, Capacity::Rate(rate(100.0)), 8);
    }
    site.hears(1, &[]);
    let plan = site.plan(&mut Recalc::default());
    let functions: Vec<String> = Site::grants_to(&plan, 1).into_iter().map(|g| g.0).collect();
    assert_eq!(
        functions,
        ["a.openfaas-fn", "m.openfaas-fn", "z.openfaas-fn"]
    );
}

/// Of 10,000 calls that find the gate full, the share that each candidate is sent; the others settle here.
fn drawn(route: &Route) -> Vec<f64> {
    let mut rng = rng();
    let mut counts = vec![0u32; route.there.len()];
    for _ in 0..10_000 {
        if let Decision::Forward(index, why) = Delivery::new().next(route, at_ms(0), &mut rng) {
            assert_eq!(why, Why::Drawn);
            counts[index] += 1;
        }
    }
    counts
        .into_iter()
        .map(|n| f64::from(n) / 10_000.0)
        .collect()
}

fn full_site() -> Site {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 0);
    assert!(gate.start(at_ms(0)));
    site
}

#[test]
fn overflow_goes_in_proportion_to_what_was_granted() {
    let mut site = full_site();
    for n in 1..=4 {
        site.hears(n, &[("f", "4/4")]);
    }
    site.is_granted(1, "f", 10.0);
    site.is_granted(2, "f", 30.0);
    site.is_granted(3, "g", 30.0);
    let shares = drawn(&site.route(StrategyName::Recalc, "f"));
    // 0.25 with a standard deviation of 0.0043.
    assert!((shares[0] - 0.25).abs() < 0.022, "{shares:?}");
    assert!((shares[0] + shares[1] - 1.0).abs() < 1e-9, "{shares:?}");
}

#[test]
fn without_grants_nothing_is_forwarded() {
    let mut site = full_site();
    site.hears(1, &[("f", "4/4")]);
    let route = site.route(StrategyName::Recalc, "f");
    let decision = Delivery::new().next(&route, at_ms(0), &mut rng());
    assert_eq!(decision, Decision::Reject(Rejection::Full));
}

#[test]
fn it_runs_here_while_the_gate_lets_it() {
    let mut site = Site::new();
    site.has("f", slots(2), 0);
    site.hears(1, &[("f", "4/4")]);
    site.is_granted(1, "f", 1000.0);
    let route = site.route(StrategyName::Recalc, "f");
    let mut rng = rng();
    let mut next = || Delivery::new().next(&route, at_ms(0), &mut rng);
    let here = Decision::Run(Why::FreeHere);
    assert_eq!((next(), next()), (here, here));
    assert_eq!(next(), Decision::Forward(0, Why::Drawn));
}

#[test]
fn a_function_that_only_a_neighbour_has_is_served_there_once_it_is_granted() {
    // The neighbour 2 has f, the node 1 has not; each is the other's only neighbour.
    let mut with = Site::new();
    with.has("f", slots(8), 8);
    with.hears(1, &[]);
    let plan = with.plan(&mut Recalc::default());
    let granted = Site::grants_to(&plan, 1);
    assert_eq!(granted, [(F.to_owned(), 80.0)]);
    let serving = route_of(plan, "f");

    let mut without = Site::new();
    without.hears(2, &[("f", "8/8")]);
    let before = without.route(StrategyName::Recalc, "f");
    let decision = Delivery::new().next(&before, at_ms(0), &mut rng());
    assert_eq!(decision, Decision::Reject(Rejection::NotTaken));
    without.is_granted(2, "f", granted[0].1);
    let after = without.route(StrategyName::Recalc, "f");
    let decision = Delivery::new().next(&after, at_ms(0), &mut rng());
    assert_eq!(decision, Decision::Forward(0, Why::Drawn));
    assert_eq!(
        admit(&serving, node(1), &Terms::default(), at_ms(0)),
        Admission::Run
    );
}

/// How many calls of `from`, 100 a second from second `from_second` on, are taken over so many seconds.
fn taken(route: &Route, from: NodeId, from_second: u64, seconds: u64) -> u64 {
    (0..seconds * 100)
        .map(|i| at_ms(from_second * 1000 + i * 10))
        .filter(|now| match admit(route, from, &Terms::default(), *now) {
            Admission::Run => {
                let _ = route.here.as_ref().unwrap().end();
                true
            }
            Admission::Refuse(Rejection::OverGrant) => false,
            other => panic!("{other:?}"),
        })
        .count() as u64
}

#[test]
fn a_peer_is_held_to_its_grant() {
    // 35 a second for the first and 25 for the second, with bursts of 4 and 3.
    let site = {
        let mut site = observed(40.0, &[10.0, 0.0]);
        // Slots, so that the gate itself never refuses: 100 a second.
        site.functions.clear();
        site.has("f", slots(10), 8);
        site.functions[0].from_clients = 40.0;
        site.functions[0].for_peers = vec![(node(1), 10.0)];
        site
    };
    let route = site.route(StrategyName::Recalc, "f");
    let first = taken(&route, node(1), 0, 10);
    assert!((349..=354).contains(&first), "{first}");
    let second = taken(&route, node(2), 0, 10);
    assert!((249..=253).contains(&second), "{second}");
    assert_eq!(
        taken(&route, node(3), 0, 10),
        0,
        "a stranger is granted nothing"
    );
}

#[test]
fn a_new_plan_is_no_new_burst() {
    let mut site = Site::new();
    site.has("f", slots(10), 8);
    site.hears(1, &[("f", "4/4")]);
    site.functions[0].from_clients = 80.0;
    let mut strategy = Recalc::default();
    let mut sum = 0;
    for second in 0..20 {
        site.now = at_ms(second * 1000);
        let route = route_of(site.plan(&mut strategy), "f");
        sum += taken(&route, node(1), second, 1);
    }
    // 20 a second for 20 seconds and one burst of 2.
    assert!((399..=402).contains(&sum), "{sum}");
}

#[test]
fn a_peer_that_is_granted_more_gets_more_at_once() {
    let mut site = Site::new();
    site.has("f", slots(10), 8);
    site.hears(1, &[("f", "4/4")]);
    // A hundredth of a call a second is left.
    site.functions[0].from_clients = 99.99;
    let mut strategy = Recalc::default();
    let route = route_of(site.plan(&mut strategy), "f");
    assert_eq!(taken(&route, node(1), 0, 10), 1);
    site.functions[0].from_clients = 50.0;
    site.now = at_ms(10_000);
    let route = route_of(site.plan(&mut strategy), "f");
    let taken = taken(&route, node(1), 10, 10);
    assert!((495..=505).contains(&taken), "{taken}");
}
