//! What explanations say of a call's candidates.

use std::time::Duration;

use dfaas_protocol::delivery::{Decision, Delivery, Why};
use dfaas_protocol::neighbours::Promise;
use dfaas_protocol::policy::{Excluded, Policy};
use dfaas_protocol::standing::{Verdict, standings};
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Headroom, Time};

use crate::site::{Site, eject, name, node, rng, slots};

#[test]
fn each_candidate_stands_as_the_rule_saw_it() {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 4);
    for n in 1..=5 {
        site.hears(n, &[("f", &format!("{}/4", i32::from(n) - 2))]);
    }
    site.is_away(5, 7);
    let route = site.route(StrategyName::Headroom, "f");
    assert!(gate.start(Time::ZERO));
    eject(route.there[3].remote.health());
    route.there[1].remote.refused(Time::ZERO);
    let mut delivery = Delivery::new();
    let decision = delivery.next(&route, Time::ZERO, &mut rng());
    assert_eq!(decision, Decision::Forward(4, Why::MoreHeadroomThere));
    let stood = |chosen, delivery: &Delivery| -> Vec<_> {
        standings(&route, delivery.tried(), chosen, Time::ZERO).collect()
    };
    let first = stood(Some(4), &delivery);
    let verdicts: Vec<Verdict> = first.iter().map(|s| s.verdict).collect();
    use Verdict::{Chosen, Ejected, Open, Resting};
    assert_eq!(verdicts, [Open, Resting, Open, Ejected, Chosen]);
    assert_eq!(first[4].node, node(5));
    assert_eq!(first[4].round_trip, Some(Duration::from_millis(7)));
    let left: Vec<i32> = first.iter().map(|s| s.headroom.unwrap().free).collect();
    assert_eq!(left, [-1, 0, 1, 2, 3], "before the call was counted down");
    let second = stood(None, &delivery);
    assert_eq!(second[4].verdict, Verdict::Tried);
    assert_eq!(second[4].headroom, Some(Headroom { free: 2, size: 4 }));
}

#[test]
fn one_that_is_silent_and_one_whose_word_proved_false_are_named() {
    let mut site = Site::new();
    site.has("f", slots(1), 4);
    for n in 1..=2 {
        site.hears(n, &[("f", "4/4")]);
    }
    let route = site.route(StrategyName::Headroom, "f");
    let _ = route.there[0].remote.health().suspect(Time::ZERO);
    let lies = Promise::Refused(Some(Headroom { free: 4, size: 4 }));
    (0..20).for_each(|_| route.there[1].remote.judge(lies, || Time::ZERO));
    let delivery = Delivery::new();
    let stood = standings(&route, delivery.tried(), None, Time::ZERO);
    let verdicts: Vec<_> = stood.map(|s| s.verdict).collect();
    assert_eq!(verdicts, [Verdict::Suspected, Verdict::Distrusted]);
}

#[test]
fn one_without_room_to_wait_says_so() {
    let mut site = Site::new();
    site.has("f", slots(1), 4);
    site.hears(1, &[("f", "-1000/4")]);
    let route = site.route(StrategyName::Headroom, "f");
    let delivery = Delivery::new();
    let mut stood = standings(&route, delivery.tried(), None, Time::ZERO);
    assert_eq!(stood.next().unwrap().verdict, Verdict::NoRoom);
}

#[test]
fn neighbours_that_may_not_take_a_function_are_named_with_the_reason() {
    let mut site = Site::new();
    let region = |name: &str| [("region".to_owned(), name.to_owned())];
    site.says(1, &region("north"), false, "1/4");
    site.says(2, &region("south"), false, "1/4");
    site.says(3, &region("north"), true, "1/4");
    site.hears(4, &[("g", "1/4")]);
    let excluded = |site: &Site| site.neighbours.excluded(&name("f")).collect::<Vec<_>>();
    assert_eq!(excluded(&site), [(node(3), Excluded::Cordoned)]);
    let labels = [("dfaas.region".to_owned(), "north".to_owned())];
    let (policy, _) = Policy::from_labels(&labels.into());
    site.neighbours.set_policies([(name("f"), policy)].into());
    assert_eq!(
        excluded(&site),
        [(node(2), Excluded::Region), (node(3), Excluded::Cordoned)]
    );
}
