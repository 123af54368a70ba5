//! `node-margin`, `power-saving` and `equal` against figures worked out by hand.

use dfaas_protocol::Time;
use dfaas_protocol::strategy::{NodeState, Plan, Strategy, StrategyName};
use dfaas_protocol::trade::{Amount, Margin};
use dfaas_protocol::wire::Message;

use crate::site::{Site, assert_share, at_ms, node, rate, route_of, split};

/// A node whose CPU is used 10 % and half a percent for each call of `f` a second, and that has learned so.
fn learned(name: StrategyName, limit: f64) -> (Site, Box<dyn Strategy>) {
    let mut site = Site::new();
    site.settings.node.limits.cpu_percent = Some(limit);
    site.has("f", dfaas_protocol::Capacity::Rate(rate(1e6)), 0);
    let mut strategy = name.build(&site.settings);
    for (second, run) in [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 30.0, 70.0]
        .iter()
        .enumerate()
    {
        site.now = at_ms(second as u64 * 1000);
        site.functions[0].run = *run;
        site.node = NodeState {
            cpu_percent: Some(10.0 + 0.5 * run),
            ..NodeState::default()
        };
        site.plan(&mut *strategy);
    }
    (site, strategy)
}

fn says_margin(site: &mut Site, n: u8, points: f64, cost: f64) {
    let margin = Margin {
        points: Amount::new(points).unwrap(),
        cost: [0.0, cost, 0.0].map(Amount::nearest),
    };
    site.neighbours.hear_margin(node(n), margin, site.now);
}

/// What the neighbours 1, 2, … are told.
fn margins(plan: &Plan) -> Vec<(f64, f64)> {
    let margin = |message: &Message| match message {
        Message::Margin(margin) => (margin.points.get(), margin.cost[1].get()),
        other => panic!("{other:?}"),
    };
    let told = plan.told.clone().messages();
    told.iter().map(|(_, message)| margin(message)).collect()
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.05, "{found}, not {expected}");
}

#[test]
fn a_margin_is_what_is_used_and_an_equal_part_of_the_rest() {
    let (mut site, mut strategy) = learned(StrategyName::NodeMargin, 100.0);
    site.hears(1, &[("f", "4/4")]);
    site.hears(2, &[("f", "4/4")]);
    // 100 of clients and 20 of the first: 70 %. 30 are left; the first uses 10.
    site.functions[0].from_clients = 100.0;
    site.functions[0].for_peers.push((node(1), 20.0));
    let told = margins(&site.plan(&mut *strategy));
    assert_near(told[0].0, 25.0);
    assert_near(told[1].0, 15.0);
    assert_near(told[0].1, 0.5);
    // 150 of clients and 20 each: 105 %. Of the 20 that they use, 15 fit.
    site.functions[0].from_clients = 150.0;
    site.functions[0].for_peers.push((node(2), 20.0));
    let told = margins(&site.plan(&mut *strategy));
    assert_near(told[0].0, 7.5);
    assert_near(told[1].0, 7.5);
    // Beyond that, nothing.
    site.functions[0].from_clients = 400.0;
    assert_eq!(margins(&site.plan(&mut *strategy))[0].0, 0.0);
}

#[test]
fn load_is_shed_in_turn_within_the_margins() {
    let (mut site, mut strategy) = learned(StrategyName::NodeMargin, 90.5);
    site.hears(1, &[("f", "4/4")]);
    site.hears(2, &[("f", "4/4")]);
    site.hears(3, &[("g", "4/4")]);
    says_margin(&mut site, 1, 100.0, 1.0);
    says_margin(&mut site, 2, 5.0, 1.0);
    says_margin(&mut site, 3, 100.0, 1.0);
    // 110 % at 200 calls a second. In steps of 2 it is down to 90 % at 160; the second has room for two steps.
    site.functions[0].from_clients = 200.0;
    let (here, there) = split(&route_of(site.plan(&mut *strategy), "f"));
    assert_share(here, 80.0);
    assert_share(there[0], 18.0);
    assert_share(there[1], 2.0);
    // With less to do, all stays.
    site.functions[0].from_clients = 150.0;
    let (here, _) = split(&route_of(site.plan(&mut *strategy), "f"));
    assert_eq!(here, 10_000);
}

#[test]
fn without_margins_nothing_is_shed() {
    let (mut site, mut strategy) = learned(StrategyName::NodeMargin, 90.0);
    site.hears(1, &[("f", "4/4")]);
    site.functions[0].from_clients = 500.0;
    let (here, _) = split(&route_of(site.plan(&mut *strategy), "f"));
    assert_eq!(here, 10_000);
}

#[test]
fn a_function_that_is_not_here_goes_by_margins() {
    let mut site = Site::new();
    site.hears(1, &[("f", "4/4")]);
    site.hears(2, &[("f", "4/4")]);
    says_margin(&mut site, 1, 60.0, 1.0);
    says_margin(&mut site, 2, 20.0, 1.0);
    let (_, there) = split(&site.route(StrategyName::NodeMargin, "f"));
    assert_share(there[0], 75.0);
    assert_share(there[1], 25.0);
}

#[test]
fn power_is_saved_from_seven_tenths_on() {
    let (mut site, mut strategy) = learned(StrategyName::PowerSaving, 100.0);
    site.hears(1, &[("f", "4/4")]);
    says_margin(&mut site, 1, 100.0, 1.0);
    // No limit of power: the CPU stands in, 70 % of it. 45 % at 70 calls a second: 64.29 points.
    site.functions[0].from_clients = 70.0;
    let told = margins(&site.plan(&mut *strategy));
    assert_near(told[0].0, 100.0 - 100.0 * 45.0 / 70.0);
    // 110 % at 200; 70 % at 120, so a step of 2 beyond at most.
    site.functions[0].from_clients = 200.0;
    let (here, there) = split(&route_of(site.plan(&mut *strategy), "f"));
    let share = there[0] as f64 / 10_000.0;
    assert!((0.38..0.44).contains(&share), "{share}");
    assert_eq!(here + there[0], 10_000);
}

#[test]
fn a_limit_of_power_is_kept() {
    let mut site = Site::new();
    site.settings.node.limits.cpu_percent = None;
    site.settings.node.limits.power_microwatts = Some(10e6);
    site.has("f", dfaas_protocol::Capacity::Rate(rate(1e6)), 0);
    site.hears(1, &[("f", "4/4")]);
    let mut strategy = StrategyName::PowerSaving.build(&site.settings);
    // 2 W, and 50 mW for each call a second: 7 W at 100.
    for (second, run) in [0.0, 50.0, 100.0, 20.0].iter().enumerate() {
        site.now = at_ms(second as u64 * 1000);
        site.functions[0].run = *run;
        site.node.power_microwatts = Some(2e6 + 5e4 * run);
        site.plan(&mut *strategy);
    }
    site.functions[0].from_clients = 40.0;
    // 4 of 7 W.
    let told = margins(&site.plan(&mut *strategy));
    assert_near(told[0].0, 100.0 - 100.0 * 4.0 / 7.0);
}

#[test]
fn what_is_too_much_goes_in_equal_parts() {
    let (mut site, mut strategy) = learned(StrategyName::Equal, 90.5);
    site.hears(1, &[("f", "4/4")]);
    site.hears(2, &[("f", "4/4")]);
    site.hears(3, &[("g", "4/4")]);
    // As above: a fifth has to go.
    site.functions[0].from_clients = 200.0;
    let (here, there) = split(&route_of(site.plan(&mut *strategy), "f"));
    assert_share(here, 80.0);
    assert_share(there[0], 10.0);
    assert_share(there[1], 10.0);
    // What cannot be relieved sheds all that it can: half a percent of 200 calls is for peers.
    site.functions[0].for_peers = vec![(node(1), 200.0)];
    let (here, _) = split(&route_of(site.plan(&mut *strategy), "f"));
    assert_eq!(here, 0);
}

#[test]
fn without_a_measured_cpu_the_slots_stand_in() {
    let mut site = Site::new();
    site.has("f", crate::site::slots(10), 8);
    site.hears(1, &[("f", "4/4")]);
    site.functions[0].service = Some(std::time::Duration::from_millis(100));
    let mut strategy = StrategyName::Equal.build(&site.settings);
    for (second, run) in [20.0, 60.0, 100.0].iter().enumerate() {
        site.now = at_ms(second as u64 * 1000);
        site.functions[0].run = *run;
        site.functions[0].from_clients = *run;
        site.plan(&mut *strategy);
    }
    // Ten slots sustain 100 a second, and 90 % are to be used: of 120, a quarter goes.
    site.functions[0].from_clients = 120.0;
    let route = route_of(site.plan(&mut *strategy), "f");
    let mut away = 0;
    let mut rng = crate::site::rng();
    for _ in 0..1000 {
        match dfaas_protocol::delivery::Delivery::new().next(&route, Time::ZERO, &mut rng) {
            dfaas_protocol::delivery::Decision::Run(_) => {
                let _ = site.functions[0].gate.end();
            }
            dfaas_protocol::delivery::Decision::Forward(..) => away += 1,
            other => panic!("{other:?}"),
        }
    }
    // 0.25 with a standard deviation of 0.014.
    assert!((180..330).contains(&away), "{away}");
}
