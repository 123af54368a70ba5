//! `external` against figures worked out by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use dfaas_protocol::Headroom;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::strategy::{
    Action, ActionError, ActionRequest, Answer, Ask, Observation, Plan, Strategy, StrategyName,
    node_key,
};

use crate::site::{DRAWS, Site, assert_share, at_ms, node, rng, route_of, slots};

fn shares(shares: &[(&str, f64)]) -> BTreeMap<String, f64> {
    shares.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
}

fn asked(plan: &Plan) -> &ActionRequest {
    match &plan.ask {
        Some(Ask::Action(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn plan(site: &Site, strategy: &mut dyn Strategy, answer: Option<&Answer>) -> Plan {
    let mut seen = Observation::new(site.now, &site.neighbours, &site.functions);
    seen.node = site.node;
    seen.answer = answer;
    strategy.plan(&seen, &mut rng())
}

fn action(local: f64, reject: f64, nodes: &[(u8, f64)]) -> Answer {
    let mut all = shares(&[("local", local), ("reject", reject)]);
    all.extend(nodes.iter().map(|(n, share)| (node_key(node(*n)), *share)));
    Answer::Action(Action::read(&all).unwrap())
}

#[test]
fn an_action_is_checked() {
    let refused = |pairs: &[(&str, f64)]| Action::read(&shares(pairs)).unwrap_err();
    let near = shares(&[("local", 0.6), ("reject", 0.399)]);
    assert!(Action::read(&near).is_ok());
    assert_eq!(refused(&[("local", 0.5)]), ActionError::Sum(0.5));
    assert_eq!(refused(&[]), ActionError::Sum(0.0));
    for target in ["node_", "node_x", "cloud", ""] {
        let error = refused(&[(target, 1.0)]);
        assert_eq!(error, ActionError::Target(target.to_owned()));
    }
    for share in [-0.1, 1.1, f64::NAN] {
        let error = refused(&[("local", share)]);
        assert!(matches!(error, ActionError::Share { .. }), "{error}");
    }
}

#[test]
fn calls_are_spread_and_refused_as_the_action_says() {
    let mut site = Site::new();
    site.has("f", slots(20_000), 0);
    for n in 1..=3 {
        site.hears(n, &[("f", "4/4")]);
    }
    let answer = action(0.4, 0.2, &[(1, 0.3), (2, 0.1)]);
    let mut strategy = StrategyName::External.build(&site.settings);
    let route = route_of(plan(&site, &mut *strategy, Some(&answer)), "f");
    let (mut here, mut refused, mut there) = (0, 0, [0; 3]);
    let mut rng = rng();
    for _ in 0..DRAWS {
        match Delivery::new().next(&route, at_ms(0), &mut rng) {
            Decision::Run(Why::Drawn) => here += 1,
            Decision::Reject(Rejection::ByStrategy) => refused += 1,
            Decision::Forward(index, Why::Drawn) => there[index] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_share(here, 40.0);
    assert_share(refused, 20.0);
    assert_share(there[0], 30.0);
    assert_share(there[1], 10.0);
    assert_eq!(there[2], 0);
}

#[test]
fn without_an_answer_headroom_decides() {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 0);
    assert!(gate.start(at_ms(0)));
    site.hears(1, &[("f", "1/4")]);
    site.hears(2, &[("f", "4/4")]);
    for answer in [None, Some(Answer::Failed)] {
        let mut strategy = StrategyName::External.build(&site.settings);
        let route = route_of(plan(&site, &mut *strategy, answer.as_ref()), "f");
        let decision = Delivery::new().next(&route, at_ms(0), &mut rng());
        assert!(matches!(decision, Decision::Forward(1, _)), "{decision:?}");
    }
}

#[test]
fn it_asks_once_a_period_and_tells_what_was_before() {
    let mut site = Site::new();
    site.has("f", slots(4), 0);
    site.hears_of_service(1, "f", "4/4", 30);
    site.is_away(1, 20);
    site.functions[0].from_clients = 50.0;
    site.functions[0].refused = 5.0;
    site.functions[0].run = 40.0;
    site.functions[0].service = Some(Duration::from_millis(25));
    site.functions[0].replicas = 3;
    site.node.cpu_percent = Some(80.0);
    let mut strategy = StrategyName::External.build(&site.settings);
    let first = plan(&site, &mut *strategy, None);
    let request = asked(&first);
    assert_eq!((request.input_rate, request.reject_rate), (50.0, 0.1));
    assert_eq!(
        (request.avg_resp_time_loc, request.cpu_utilization),
        (25.0, 0.8)
    );
    assert_eq!((request.n_replicas, request.previous_n_replicas), (3, 1));
    assert_eq!(
        (
            request.previous_input_rate,
            request.previous_cpu_utilization
        ),
        (0.0, 0.0)
    );
    let key = node_key(node(1));
    assert!(
        (request.forwards[&format!("previous_avg_resp_time_fwd_to_{key}")] - 50.0).abs() < 1e-9
    );
    assert_eq!(request.forwards[&format!("previous_fwd_to_{key}")], 0.0);
    assert_eq!(plan(&site, &mut *strategy, None).ask, None);

    // Two seconds later: ten calls were sent there, of which four were refused.
    let remote = &site.neighbours.get(node(1)).unwrap().functions[&crate::site::name("f")].remote;
    (0..10).for_each(|_| remote.take_one());
    (0..4).for_each(|_| remote.unreached());
    remote.report(Headroom { free: 4, size: 4 });
    site.now = at_ms(2000);
    site.functions[0].from_clients = 70.0;
    let second = plan(&site, &mut *strategy, None);
    let request = asked(&second);
    assert_eq!(
        (request.input_rate, request.previous_input_rate),
        (70.0, 50.0)
    );
    assert_eq!(
        (request.previous_reject_rate, request.previous_n_replicas),
        (0.1, 3)
    );
    assert_eq!(
        (
            request.previous_avg_resp_time_loc,
            request.previous_cpu_utilization
        ),
        (25.0, 0.8)
    );
    assert_eq!(request.forwards[&format!("previous_fwd_to_{key}")], 5.0);
    assert_eq!(
        request.forwards[&format!("previous_fwd_to_{key}_rejected")],
        2.0
    );
    assert_eq!(request.forwards.len(), 3);
}
