//! `latency-threshold`, `nearest` and `power-of-n` against figures worked out by hand.

use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::StrategyName::{LatencyThreshold, Nearest, PowerOfN};

use crate::site::{DRAWS, Site, assert_share, rng, slots, split};

fn next(route: &Route) -> Decision {
    Delivery::new().next(route, Time::ZERO, &mut rng())
}

#[test]
fn those_near_enough_share_alike_and_what_is_over_goes_to_the_first() {
    let mut site = Site::new();
    site.settings.latency_limit = Duration::from_millis(20);
    site.has("f", slots(20_000), 0);
    for (n, ms) in [(1, 20), (2, 5), (3, 21)] {
        site.hears(n, &[("f", "4/4")]);
        site.is_away(n, ms);
    }
    // The round trip to the fourth is not known, and the fifth lacks the function.
    site.hears(4, &[("f", "4/4")]);
    site.hears(5, &[("g", "4/4")]);
    site.is_away(5, 1);
    // 100 = 34 + 33 + 33.
    let (here, there) = split(&site.route(LatencyThreshold, "f"));
    assert_share(here, 34.0);
    assert_share(there[0], 33.0);
    assert_share(there[1], 33.0);
    assert_eq!(there[2..], [0, 0]);
}

#[test]
fn with_nobody_near_enough_all_stays() {
    let mut site = Site::new();
    site.has("f", slots(20_000), 0);
    site.hears(1, &[("f", "4/4")]);
    site.is_away(1, 51);
    assert_eq!(split(&site.route(LatencyThreshold, "f")), (DRAWS, vec![0]));
    // Not even a function that is only there is sent beyond the limit.
    site.functions.clear();
    let decision = next(&site.route(LatencyThreshold, "f"));
    assert_eq!(decision, Decision::Reject(Rejection::NotTaken));
}

#[test]
fn what_finds_nothing_free_goes_to_the_nearest_with_something_free() {
    let mut site = Site::new();
    site.has("f", slots(1), 1);
    for (n, ms, free) in [(1, 30, "4/4"), (2, 10, "2/4"), (3, 5, "0/4")] {
        site.hears(n, &[("f", free)]);
        site.is_away(n, ms);
    }
    site.hears(4, &[("f", "1/4")]);
    let route = site.route(Nearest, "f");
    let mut expected = vec![Decision::Run(Why::FreeHere)];
    // The second has two, the first four, the fourth, of unknown distance, one; then all is full.
    expected.extend([Decision::Forward(1, Why::Nearest); 2]);
    expected.extend([Decision::Forward(0, Why::Nearest); 4]);
    expected.push(Decision::Forward(3, Why::Nearest));
    expected.push(Decision::Wait(Why::WaitHere));
    expected.push(Decision::Reject(Rejection::Full));
    let found: Vec<Decision> = expected.iter().map(|_| next(&route)).collect();
    assert_eq!(found, expected);
}

/// Four slots of which so many are taken, and five neighbours with larger and larger shares.
fn drawing(fanout: usize, threshold: u32, running: u32) -> Route {
    let mut site = Site::new();
    site.settings.power_of_n.fanout = fanout;
    site.settings.power_of_n.threshold = threshold;
    let gate = site.has("f", slots(4), 0);
    (0..running).for_each(|_| assert!(gate.start(Time::ZERO)));
    for n in 1..=5u8 {
        site.hears(n, &[("f", &format!("{}/100000", u32::from(n) * 10_000))]);
    }
    site.route(PowerOfN, "f")
}

#[test]
fn neighbours_are_drawn_only_below_the_threshold() {
    // One of four runs: three are free.
    assert_eq!(next(&drawing(5, 3, 1)), Decision::Run(Why::FreeHere));
    // Share 0.5 here with two running; the best has 0.5 as well, so the call stays.
    assert_eq!(next(&drawing(5, 3, 2)), Decision::Run(Why::FreeHere));
    // Share 0.25 here: the best of all five, share 0.5.
    let forward = Decision::Forward(4, Why::MoreHeadroomThere);
    assert_eq!(next(&drawing(5, 3, 3)), forward);
    assert_eq!(next(&drawing(5, 1, 3)), Decision::Run(Why::FreeHere));
    assert_eq!(next(&drawing(5, 1, 4)), forward);
}

#[test]
fn the_best_of_two_drawn_is_chosen() {
    // Of five, the k-th best is the better of two distinct draws with probability (5 − k)/10.
    let route = drawing(2, 1, 4);
    let mut rng = rng();
    let mut counts = [0; 5];
    for _ in 0..DRAWS {
        match Delivery::new().next(&route, Time::ZERO, &mut rng) {
            Decision::Forward(index, Why::MoreHeadroomThere) => counts[index] += 1,
            other => panic!("{other:?}"),
        }
        // Keep the shares as they were.
        for (n, candidate) in (1..).zip(route.there.iter()) {
            let headroom = format!("{}/100000", n * 10_000);
            candidate.remote.report(headroom.parse().unwrap());
        }
    }
    assert_eq!(counts[0], 0);
    for (count, percent) in counts[1..].iter().zip([10.0, 20.0, 30.0, 40.0]) {
        assert_share(*count, percent);
    }
}

#[test]
fn one_drawn_is_a_neighbour_at_random() {
    let mut site = Site::new();
    site.settings.power_of_n.fanout = 1;
    for n in 1..=4 {
        site.hears(n, &[("f", "100000/100000")]);
    }
    let (_, there) = split(&site.route(PowerOfN, "f"));
    for count in there {
        assert_share(count, 25.0);
    }
}
