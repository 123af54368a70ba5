//! `static` against figures worked out by hand.

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::strategy::StrategyName::Static;

use crate::site::{DRAWS, Site, assert_share, rng, slots, split};

#[test]
fn sixty_here_and_forty_in_equal_parts_there() {
    for (neighbours, parts) in [
        (1, &[40.0][..]),
        (2, &[20.0, 20.0]),
        (3, &[14.0, 13.0, 13.0]),
    ] {
        let mut site = Site::new();
        site.has("f", slots(20_000), 0);
        for n in 1..=neighbours {
            site.hears(n, &[("f", "4/4")]);
        }
        let (here, there) = split(&site.route(Static, "f"));
        assert_share(here, 60.0);
        assert_eq!(there.len(), parts.len());
        for (count, part) in there.into_iter().zip(parts) {
            assert_share(count, *part);
        }
    }
}

#[test]
fn without_neighbours_all_is_here() {
    let mut site = Site::new();
    site.has("f", slots(20_000), 0);
    assert_eq!(split(&site.route(Static, "f")), (DRAWS, vec![]));
}

#[test]
fn a_neighbour_that_lacks_the_function_does_not_count() {
    let mut site = Site::new();
    site.has("f", slots(20_000), 0);
    site.hears(1, &[("f", "4/4")]);
    site.hears(2, &[("g", "4/4")]);
    let (here, there) = split(&site.route(Static, "f"));
    assert_share(here, 60.0);
    assert_eq!((there.len(), here + there[0]), (1, DRAWS));
}

#[test]
fn a_function_that_only_neighbours_have_goes_to_them_in_equal_parts() {
    let mut site = Site::new();
    for n in 1..=4 {
        site.hears(n, &[("f", "-100/4")]);
    }
    let (here, there) = split(&site.route(Static, "f"));
    assert_eq!(here, 0);
    assert_eq!(there.len(), 4);
    for count in there {
        assert_share(count, 25.0);
    }
}

#[test]
fn a_call_drawn_for_here_waits_and_where_it_cannot_goes_there() {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 1);
    site.hears(1, &[("f", "4/4")]);
    let route = site.route(Static, "f");
    let mut rng = rng();
    let mut settled = Vec::new();
    for _ in 0..100 {
        match Delivery::new().next(&route, Time::ZERO, &mut rng) {
            Decision::Forward(0, Why::Drawn) => {}
            other => settled.push(other),
        }
    }
    let waits = Decision::Wait(Why::Drawn);
    assert_eq!(settled, [Decision::Run(Why::Drawn), waits]);
    assert_eq!(gate.headroom(Time::ZERO).free, -1);
}

#[test]
fn with_all_refused_it_is_refused() {
    let mut site = Site::new();
    site.has("f", slots(1), 0);
    site.hears(1, &[("f", "4/4")]);
    let route = site.route(Static, "f");
    assert!(route.here.as_ref().unwrap().start(Time::ZERO));
    let mut delivery = Delivery::new();
    let mut rng = rng();
    let first = delivery.next(&route, Time::ZERO, &mut rng);
    assert_eq!(first, Decision::Forward(0, Why::Drawn));
    let second = delivery.next(&route, Time::ZERO, &mut rng);
    assert_eq!(second, Decision::Reject(Rejection::Full));
}
