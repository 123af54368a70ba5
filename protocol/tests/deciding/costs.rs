//! `headroom` with weights for energy and price, against scores worked out by hand.

use dfaas_protocol::delivery::{Decision, Delivery, Why};
use dfaas_protocol::strategy::{CostSettings, StrategyName};
use dfaas_protocol::{NodeLabels, Time};

use crate::site::{Site, rng, slots};

fn energy(gco2: u32) -> [(String, String); 1] {
    [("energy.gco2_kwh".to_owned(), gco2.to_string())]
}

/// A node at 400 g that has four slots, of which so many are taken, with that weight for energy.
fn site(weight: f64, taken: u32) -> Site {
    let mut site = Site::new();
    site.settings.costs = CostSettings {
        energy_weight: weight,
        price_weight: 0.0,
        here: NodeLabels::new(energy(400)).unwrap(),
    };
    let gate = site.has("f", slots(4), 8);
    (0..taken).for_each(|_| assert!(gate.start(Time::ZERO)));
    site
}

/// What becomes of the next call with neighbours at so many grams that have that headroom.
fn next(mut site: Site, neighbours: &[(u32, &str)]) -> Decision {
    for (n, (gco2, headroom)) in neighbours.iter().enumerate() {
        site.says(n as u8 + 1, &energy(*gco2), false, headroom);
    }
    let route = site.route(StrategyName::Headroom, "f");
    Delivery::new().next(&route, Time::ZERO, &mut rng())
}

const CHEAPER: Decision = Decision::Forward(0, Why::CheaperThere);
const HERE: Decision = Decision::Run(Why::FreeHere);

#[test]
fn a_call_leaves_a_free_slot_for_a_cheaper_one_whose_score_is_higher() {
    // 0.4 · (400 − 100)/400 = 0.3; here are 3 of 4 left, so that 0.75 + 0.05 is to be exceeded.
    assert_eq!(next(site(0.4, 1), &[(100, "6/10")]), CHEAPER);
    assert_eq!(
        next(site(0.4, 1), &[(100, "5/10")]),
        HERE,
        "0.8 is not more"
    );
    assert_eq!(next(site(0.4, 1), &[(800, "10/10")]), HERE, "1 - 0.2");
    assert_eq!(next(site(0.4, 1), &[(400, "10/10")]), HERE, "no gain");
    assert_eq!(next(site(0.0, 1), &[(100, "10/10")]), HERE, "off");
}

#[test]
fn who_is_full_is_not_preferred_however_cheap() {
    // All that there can be: 1 · (400 − 0)/400.
    assert_eq!(next(site(1.0, 3), &[(0, "0/10")]), HERE);
    assert_eq!(next(site(1.0, 3), &[(0, "-3/10")]), HERE);
    let more = Decision::Forward(1, Why::MoreHeadroomThere);
    // A queue of a thousand is full at -1000.
    assert_eq!(next(site(1.0, 4), &[(0, "-1000/10"), (800, "6/10")]), more);
}

#[test]
fn of_those_with_room_the_higher_score_is_chosen_where_nothing_is_free_here() {
    let to = |index| Decision::Forward(index, Why::MoreHeadroomThere);
    // 0.2 + 0.3 against 0.4 - 0.2; without weights 0.2 against 0.4.
    let neighbours = [(100, "2/10"), (800, "4/10")];
    assert_eq!(next(site(0.4, 4), &neighbours), to(0));
    assert_eq!(next(site(0.0, 4), &neighbours), to(1));
    // 0.5 against 0.6 - 0.05.
    assert_eq!(next(site(0.4, 4), &[(100, "2/10"), (457, "6/10")]), to(1));
}
