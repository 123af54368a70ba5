//! `headroom` against figures worked out by hand.

use std::sync::Arc;

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::gate::{Entry, Gate, Turn};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::StrategyName::Headroom;

use crate::site::{Site, at_ms, eject, node, rate, rng, slots};

fn next(route: &Route) -> Decision {
    Delivery::new().next(route, Time::ZERO, &mut rng())
}

/// A gate of `size` slots with a queue of 8, that many of which run and wait.
fn busy(site: &mut Site, size: u32, running: u32, waiting: u32) -> Arc<Gate> {
    let gate = site.has("f", slots(size), 8);
    for _ in 0..running {
        assert!(gate.start(Time::ZERO));
    }
    for _ in 0..waiting {
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
    }
    gate
}

fn free_at(route: &Route, n: u8) -> i32 {
    let mut there = route.there.iter();
    let candidate = there.find(|candidate| candidate.node == node(n)).unwrap();
    candidate.remote.headroom().unwrap().free
}

#[test]
fn a_free_slot_here_goes_before_any_neighbour() {
    let mut site = Site::new();
    let gate = busy(&mut site, 8, 7, 0);
    site.hears(1, &[("f", "100/100")]);
    let route = site.route(Headroom, "f");
    assert_eq!(next(&route), Decision::Run(Why::FreeHere));
    assert_eq!(gate.running(), 8);
}

#[test]
fn the_largest_share_is_taken_and_counted_down() {
    let mut site = Site::new();
    busy(&mut site, 4, 4, 0);
    // 0.25, 0.5 and 0.4: the share counts, not the number.
    site.hears(1, &[("f", "4/16")]);
    site.hears(2, &[("f", "2/4")]);
    site.hears(3, &[("f", "4/10")]);
    let route = site.route(Headroom, "f");
    let there = Decision::Forward(1, Why::MoreHeadroomThere);
    assert_eq!(next(&route), there);
    assert_eq!(free_at(&route, 2), 1, "counted down by one");
    // 0.25, 0.25 and 0.4, then 0.25, 0.25 and 0.3.
    let there = Decision::Forward(2, Why::MoreHeadroomThere);
    assert_eq!((next(&route), next(&route)), (there, there));
    assert_eq!(free_at(&route, 3), 2);
}

#[test]
fn a_share_must_exceed_ours_by_the_margin() {
    for (there, forwards) in [
        ("0/20", false),
        ("1/20", false),
        ("2/20", true),
        ("-1/20", false),
    ] {
        let mut site = Site::new();
        busy(&mut site, 4, 4, 0);
        site.hears(1, &[("f", there)]);
        let route = site.route(Headroom, "f");
        let expected = if forwards {
            Decision::Forward(0, Why::MoreHeadroomThere)
        } else {
            Decision::Wait(Turn::WhenFreed, Why::WaitHere)
        };
        assert_eq!(next(&route), expected, "{there}");
    }
}

#[test]
fn queues_are_compared_as_shares_too() {
    // Four wait for four slots here: -1. There one waits for four (-0.25), or eight for sixteen (-0.5).
    let mut site = Site::new();
    busy(&mut site, 4, 4, 4);
    site.hears(1, &[("f", "-8/16")]);
    site.hears(2, &[("f", "-1/4")]);
    let route = site.route(Headroom, "f");
    let there = |index| Decision::Forward(index, Why::MoreHeadroomThere);
    assert_eq!(next(&route), there(1));
    // Now -0.5 and -0.5; the first is drawn in one of two calls at least.
    let two = [next(&route), next(&route)];
    assert!(two.contains(&there(0)), "{two:?}");
    // A neighbour whose queue is longer than ours is not taken.
    let mut site = Site::new();
    busy(&mut site, 4, 4, 1);
    site.hears(1, &[("f", "-2/4")]);
    let route = site.route(Headroom, "f");
    assert_eq!(next(&route), Decision::Wait(Turn::WhenFreed, Why::WaitHere));
}

#[test]
fn equals_are_taken_equally_often() {
    let mut site = Site::new();
    busy(&mut site, 4, 4, 0);
    for n in 1..=4 {
        site.hears(n, &[("f", "4/8")]);
    }
    site.hears(5, &[("f", "3/8")]);
    let route = site.route(Headroom, "f");
    let mut rng = rng();
    let mut counts = [0; 5];
    for _ in 0..8000 {
        match Delivery::new().next(&route, Time::ZERO, &mut rng) {
            Decision::Forward(index, _) => {
                counts[index] += 1;
                let headroom = if index == 4 { "3/8" } else { "4/8" };
                route.there[index].remote.report(headroom.parse().unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts[4], 0, "{counts:?}");
    // 2000 each; five standard deviations are 194.
    for count in &counts[..4] {
        assert!((1800..=2200).contains(count), "{counts:?}");
    }
}

#[test]
fn a_function_that_only_neighbours_have_goes_to_the_least_full() {
    let mut site = Site::new();
    site.hears(1, &[("f", "-20/4")]);
    site.hears(2, &[("f", "-8/4")]);
    let route = site.route(Headroom, "f");
    assert_eq!(next(&route), Decision::Forward(1, Why::OnlyThere));
}

#[test]
fn with_all_refused_it_waits_here_and_then_is_refused() {
    let mut site = Site::new();
    busy(&mut site, 4, 4, 7);
    for n in 1..=3 {
        site.hears(n, &[("f", "4/4")]);
    }
    let route = site.route(Headroom, "f");
    let mut rng = rng();
    let mut deliver = || {
        let mut delivery = Delivery::new();
        loop {
            match delivery.next(&route, Time::ZERO, &mut rng) {
                Decision::Forward(index, _) => {
                    route.there[index].remote.report("4/4".parse().unwrap())
                }
                settled => return (delivery.tried().attempts(), settled),
            }
        }
    };
    assert_eq!(
        deliver(),
        (2, Decision::Wait(Turn::WhenFreed, Why::WaitHere))
    );
    assert_eq!(deliver(), (2, Decision::Reject(Rejection::Full)));
}

#[test]
fn a_platform_that_refused_is_not_asked_again() {
    let mut site = Site::new();
    let gate = busy(&mut site, 4, 0, 0);
    site.hears(1, &[("f", "-3/4")]);
    let route = site.route(Headroom, "f");
    let mut delivery = Delivery::new();
    let mut rng = rng();
    assert_eq!(
        delivery.next(&route, Time::ZERO, &mut rng),
        Decision::Run(Why::FreeHere)
    );
    let _ = gate.end();
    delivery.refused_here();
    // It has more headroom here, but that did not help.
    let there = Decision::Forward(0, Why::MoreHeadroomThere);
    assert_eq!(delivery.next(&route, Time::ZERO, &mut rng), there);
    let refused = Decision::Reject(Rejection::PlatformRefused);
    assert_eq!(delivery.next(&route, Time::ZERO, &mut rng), refused);
    assert_eq!(gate.running(), 0);
}

#[test]
fn an_ejected_neighbour_is_left_out_until_a_check_passes() {
    let mut site = Site::new();
    site.hears(1, &[("f", "4/4")]);
    let route = site.route(Headroom, "f");
    eject(route.there[0].remote.health());
    assert_eq!(next(&route), Decision::Reject(Rejection::NotTaken));
    site.hears(1, &[("f", "4/4")]);
    assert_eq!(next(&route), Decision::Reject(Rejection::NotTaken));
    let _ = route.there[0].remote.health().check_passed(at_ms(1000));
    // Each of them, as there is nobody else: on probation it is spared only where another serves.
    for _ in 0..3 {
        assert_eq!(next(&route), Decision::Forward(0, Why::OnlyThere));
    }
}

#[test]
fn a_neighbour_on_probation_is_spared_while_another_serves() {
    let mut site = Site::new();
    site.hears(1, &[("f", "1000/1000")]);
    site.hears(2, &[("f", "100/1000")]);
    let route = site.route(Headroom, "f");
    let sent_to_first = || {
        let calls = (0..100).map(|_| next(&route));
        calls
            .filter(|d| *d == Decision::Forward(0, Why::OnlyThere))
            .count()
    };
    let health = route.there[0].remote.health();
    eject(health);
    assert_eq!(sent_to_first(), 0);
    let sent: Vec<usize> = (1..=5)
        .map(|second| {
            let _ = health.check_passed(at_ms(second * 1000));
            sent_to_first()
        })
        .collect();
    assert_eq!(sent, [1, 10, 25, 50, 100]);
}

#[test]
fn tokens_are_headroom_too() {
    // 100 a second: ten tokens. The eleventh call in an instant finds 0/10 here.
    let mut site = Site::new();
    let gate = site.has("f", dfaas_protocol::Capacity::Rate(rate(100.0)), 8);
    site.hears(1, &[("f", "1/10")]);
    let route = site.route(Headroom, "f");
    let now = at_ms(1000);
    let mut rng = rng();
    let mut next = || Delivery::new().next(&route, now, &mut rng);
    for _ in 0..10 {
        assert_eq!(next(), Decision::Run(Why::FreeHere));
    }
    assert_eq!(gate.headroom(now).free, 0);
    assert_eq!(next(), Decision::Forward(0, Why::MoreHeadroomThere));
    assert_eq!(next(), Decision::Wait(Turn::At(at_ms(1010)), Why::WaitHere));
    // -1/10 here, 0/10 there.
    assert_eq!(next(), Decision::Forward(0, Why::MoreHeadroomThere));
}
