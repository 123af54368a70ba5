//! `headroom` against figures worked out by hand.

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::gate::{Entry, Gate};
use dfaas_protocol::neighbours::Promise;
use dfaas_protocol::offer::ServiceTime;
use dfaas_protocol::policy::{Policy, Terms};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::StrategyName::Headroom;

use crate::site::{Site, at_ms, eject, name, node, rate, rng, slots};

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
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
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

/// To the only neighbour, which has more headroom; else the call waits here.
fn forwards_or_waits(forwards: bool) -> Decision {
    if forwards {
        Decision::Forward(0, Why::MoreHeadroomThere)
    } else {
        Decision::Wait(Why::WaitHere)
    }
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
        assert_eq!(next(&route), forwards_or_waits(forwards), "{there}");
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
    assert_eq!(next(&route), Decision::Wait(Why::WaitHere));
}

#[test]
fn from_one_queue_to_another_it_must_gain_more_than_its_own_place() {
    // Three wait for eight slots here: -3/8. There are as many slots, or twice as many.
    for (there, forwards) in [
        ("-2/8", false),
        ("-1/8", true),
        ("-5/16", false),
        ("-4/16", true),
    ] {
        let mut site = Site::new();
        busy(&mut site, 8, 8, 3);
        site.hears(1, &[("f", there)]);
        let route = site.route(Headroom, "f");
        assert_eq!(next(&route), forwards_or_waits(forwards), "{there}");
    }
    // Where a slot is free, one place is enough.
    let mut site = Site::new();
    busy(&mut site, 8, 8, 0);
    site.hears(1, &[("f", "1/8")]);
    let route = site.route(Headroom, "f");
    assert_eq!(next(&route), Decision::Forward(0, Why::MoreHeadroomThere));
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
    assert_eq!(deliver(), (2, Decision::Wait(Why::WaitHere)));
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
fn a_suspect_gets_a_call_only_where_there_is_no_other() {
    let mut site = Site::new();
    site.hears(1, &[("f", "4/4")]);
    site.hears(2, &[("f", "-100/4")]);
    let route = site.route(Headroom, "f");
    let _ = route.there[0].remote.health().suspect(Time::ZERO);
    route.there[1].remote.refused(Time::ZERO);
    for _ in 0..5 {
        assert_eq!(next(&route), Decision::Forward(1, Why::OnlyThere));
    }
    eject(route.there[1].remote.health());
    assert_eq!(next(&route), Decision::Forward(0, Why::OnlyThere));
}

#[test]
fn one_whose_word_proved_false_is_considered_for_some_calls() {
    let mut site = Site::new();
    site.hears(1, &[("f", "1000/1000")]);
    site.hears(2, &[("f", "500/1000")]);
    let route = site.route(Headroom, "f");
    let lie = Promise::Refused(Some(dfaas_protocol::Headroom { free: 9, size: 9 }));
    (0..8).for_each(|_| route.there[0].remote.judge(lie, || Time::ZERO));
    let standing = route.there[0].remote.trust().standing();
    assert!((0.2..0.6).contains(&standing), "{standing}");
    let calls = (0..100).map(|_| next(&route));
    let there = calls
        .filter(|d| *d == Decision::Forward(0, Why::OnlyThere))
        .count();
    assert!((there as f32 - standing * 100.0).abs() < 2.0, "{there}");
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
    assert_eq!(next(), Decision::Wait(Why::WaitHere));
    // -1/10 here, 0/10 there: that is the call's own place. Then -2/10 here.
    assert_eq!(next(), Decision::Wait(Why::WaitHere));
    assert_eq!(next(), Decision::Forward(0, Why::MoreHeadroomThere));
}

/// A neighbour with that headroom, at which so many calls may wait, and whose calls take 100 ms.
fn hears_queue(site: &mut Site, n: u8, headroom: &str, queue: u32) {
    site.offers(n, |function| {
        function.headroom = headroom.parse().unwrap();
        function.capacity = slots(function.headroom.size);
        function.queue = queue;
        function.service = Some(ServiceTime::from_duration(Duration::from_millis(100)));
    });
}

#[test]
fn a_neighbour_without_room_is_left_out_while_a_call_can_wait_here() {
    // Eight of eight wait here: -2. There -0.5 and -1.75, but the first has no room left for more than eight.
    let mut site = Site::new();
    busy(&mut site, 4, 4, 7);
    hears_queue(&mut site, 1, "-8/16", 8);
    let route = site.route(Headroom, "f");
    assert_eq!(next(&route), Decision::Wait(Why::WaitHere));
}

#[test]
fn where_the_queue_here_is_full_any_room_is_taken() {
    // -0.5 here, and nobody else may wait; -1.75 there, with room for one more.
    let mut site = Site::new();
    busy(&mut site, 16, 16, 8);
    hears_queue(&mut site, 1, "-7/4", 8);
    let route = site.route(Headroom, "f");
    let there = Decision::Forward(0, Why::MoreHeadroomThere);
    assert_eq!(next(&route), there);
    // Now there is no room there as far as is known, but there may be some by now.
    assert_eq!(next(&route), there);
}

#[test]
fn who_refused_is_left_alone_and_tried_with_one_call() {
    let mut site = Site::new();
    busy(&mut site, 16, 16, 8);
    hears_queue(&mut site, 1, "-8/4", 8);
    let route = site.route(Headroom, "f");
    let remote = &route.there[0].remote;
    let next = |ms| Delivery::new().next(&route, at_ms(ms), &mut rng());
    let there = Decision::Forward(0, Why::MoreHeadroomThere);
    let refused = Decision::Reject(Rejection::Full);
    assert_eq!(next(0), there);
    remote.refused(at_ms(0));
    // 100 ms on four slots: a place comes free every 25 ms.
    assert_eq!((next(24), next(25), next(26)), (refused, there, refused));
    remote.refused(at_ms(30));
    assert_eq!((next(79), next(80)), (refused, there));
    remote.took();
    assert_eq!((next(81), next(82)), (there, there));
}

#[test]
fn the_nearer_of_equals_is_taken() {
    let mut site = Site::new();
    busy(&mut site, 4, 4, 0);
    for n in 1..=3 {
        site.hears(n, &[("f", "2/4")]);
    }
    for (n, ms) in [(1, 9), (2, 3)] {
        site.neighbours.measure(node(n), Duration::from_millis(ms));
    }
    let route = site.route(Headroom, "f");
    for index in [1, 0, 2] {
        // Each is counted down to 1/4.
        assert_eq!(
            next(&route),
            Decision::Forward(index, Why::MoreHeadroomThere)
        );
    }
}

#[test]
fn neighbours_that_are_about_as_near_take_turns() {
    let mut site = Site::new();
    busy(&mut site, 4, 4, 0);
    for (n, micros) in [(1, 90), (2, 4000)] {
        site.hears(n, &[("f", "4/4")]);
        site.neighbours
            .measure(node(n), Duration::from_micros(micros));
    }
    let route = site.route(Headroom, "f");
    let mut rng = rng();
    let mut taken = [0; 2];
    for _ in 0..200 {
        let decision = Delivery::new().next(&route, site.now, &mut rng);
        let Decision::Forward(index, _) = decision else {
            panic!("{decision:?}");
        };
        taken[index] += 1;
        // Each is idle again when the next call comes.
        let idle = dfaas_protocol::Headroom { free: 4, size: 4 };
        route.there[index].remote.report(idle);
    }
    assert!(taken.iter().all(|n| *n > 50), "{taken:?}");
}

#[test]
fn a_call_is_not_sent_where_it_would_start_too_late() {
    // Three wait there and a place comes free every 25 ms: it would start after 5 ms of way and 4 × 25 ms, run for 100 ms,
    // and be answered after 5 ms of way back.
    let mut site = Site::new();
    busy(&mut site, 4, 4, 8);
    hears_queue(&mut site, 1, "-3/4", 8);
    site.neighbours.measure(node(1), Duration::from_millis(10));
    let route = site.route(Headroom, "f");
    let on = |deadline_ms| {
        let terms = Terms {
            deadline: Some(at_ms(deadline_ms)),
            ..Terms::default()
        };
        Delivery::on(terms).next(&route, Time::ZERO, &mut rng())
    };
    assert_eq!(on(160), Decision::Reject(Rejection::Full));
    assert_eq!(on(209), Decision::Reject(Rejection::Full));
    assert_eq!(on(210), Decision::Forward(0, Why::MoreHeadroomThere));
    assert_eq!(on(0), Decision::Reject(Rejection::Late));
}

#[test]
fn what_the_queue_dropped_is_sent_on_only_while_there_is_time() {
    let mut site = Site::new();
    busy(&mut site, 4, 4, 0);
    hears_queue(&mut site, 1, "-1/4", 8);
    let route = site.route(Headroom, "f");
    let terms = Terms {
        start_by: Some(at_ms(100)),
        ..Terms::default()
    };
    // It would start there 2 × 25 ms later.
    for (ms, expected) in [
        (50, Decision::Forward(0, Why::MoreHeadroomThere)),
        (51, Decision::Reject(Rejection::Dropped)),
    ] {
        let mut delivery = Delivery::on(terms);
        delivery.dropped_here();
        let mut rng = rng();
        assert_eq!(delivery.next(&route, at_ms(ms), &mut rng), expected);
        route.there[0].remote.report("-1/4".parse().unwrap());
    }
}

#[test]
fn fences_and_cordons_leave_neighbours_out_before_the_score() {
    let labels = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect::<Vec<_>>()
    };
    let goes_to = |policy: &[(&str, &str)]| {
        let mut site = Site::new();
        busy(&mut site, 4, 4, 0);
        site.neighbours.set_policies(
            [(
                name("f"),
                Policy::from_labels(&labels(policy).into_iter().collect()).0,
            )]
            .into(),
        );
        // The cordoned one has the most, then those of the south, of the north, and the one without a region.
        site.says(
            1,
            &labels(&[("region", "south"), ("disk", "ssd"), ("data.maps", "")]),
            true,
            "9/10",
        );
        site.says(
            2,
            &labels(&[("region", "south"), ("disk", "ssd")]),
            false,
            "8/10",
        );
        site.says(3, &labels(&[("region", "north")]), false, "7/10");
        site.says(4, &labels(&[("data.maps", "")]), false, "6/10");
        match next(&site.route(Headroom, "f")) {
            Decision::Forward(index, _) => {
                let route = site.route(Headroom, "f");
                (1..=4).find(|n| route.there[index].node == node(*n))
            }
            Decision::Wait(..) => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(goes_to(&[]), Some(2));
    assert_eq!(goes_to(&[("dfaas.region", "north")]), Some(3));
    assert_eq!(goes_to(&[("dfaas.region", "north,south")]), Some(2));
    assert_eq!(goes_to(&[("dfaas.require", "disk=ssd")]), Some(2));
    let both = [("dfaas.region", "north"), ("dfaas.require", "disk=ssd")];
    assert_eq!(goes_to(&both), None);
    assert_eq!(goes_to(&[("dfaas.privacy", "local")]), None);
    assert_eq!(goes_to(&[("dfaas.data", "maps")]), Some(4));
    assert_eq!(goes_to(&[("dfaas.data", "maps,tiles")]), None);
    let both = [("dfaas.region", "south"), ("dfaas.data", "maps")];
    assert_eq!(goes_to(&both), None);
}
