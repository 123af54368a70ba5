//! `auction` and `empirical` against figures worked out by hand.

use dfaas_protocol::Capacity;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::strategy::{Plan, Strategy, StrategyName};
use dfaas_protocol::trade::{Amount, Bid, Price};
use dfaas_protocol::wire::Message;

use crate::site::{Site, assert_share, at_ms, name, node, rate, rng, slots, split};

fn asks(site: &mut Site, n: u8, price: f64, per_second: f64) {
    site.hears(n, &[("f", "4/4")]);
    let price = Price {
        function: name("f"),
        price: Amount::new(price).unwrap(),
        rate: rate(per_second),
    };
    site.neighbours.hear_prices(node(n), vec![price], site.now);
}

fn bids(site: &mut Site, n: u8, price: f64, per_second: f64) {
    let bid = Bid {
        function: name("f"),
        price: Amount::new(price).unwrap(),
        rate: rate(per_second),
    };
    site.neighbours.hear_bids(node(n), vec![bid], site.now);
}

/// The bids that go to the neighbour `n`, as price and rate.
fn bids_to(plan: &Plan, n: u8) -> Vec<(f64, f64)> {
    let mut told = plan.told.clone().messages().into_iter();
    let bids = told.find_map(|(to, message)| match message {
        Message::Bids(bids) if to == node(n) => Some(bids),
        _ => None,
    });
    let pair = |bid: &Bid| (bid.price.get(), bid.rate.per_second());
    bids.unwrap().iter().map(pair).collect()
}

/// The price and the rate that the neighbours are told.
fn price(plan: &Plan) -> Option<(f64, f64)> {
    let mut told = plan.told.clone().messages().into_iter();
    let prices = told.find_map(|(_, message)| match message {
        Message::Prices(prices) => Some(prices),
        _ => None,
    });
    prices
        .unwrap()
        .first()
        .map(|p| (p.price.get(), p.rate.per_second()))
}

#[track_caller]
fn assert_pairs(found: &[(f64, f64)], expected: &[(f64, f64)]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (a, b) in found.iter().zip(expected) {
        let close = (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9;
        assert!(close, "{found:?}, not {expected:?}");
    }
}

/// 100 calls a second sustained, and so many brought.
fn site(from_clients: f64) -> Site {
    let mut site = Site::new();
    site.has("f", Capacity::Rate(rate(100.0)), 8);
    site.functions[0].from_clients = from_clients;
    site
}

fn auction(site: &Site) -> Box<dyn Strategy> {
    StrategyName::Auction.build(&site.settings)
}

#[test]
fn the_best_seller_is_outbid_by_the_distance_to_the_next() {
    let mut site = site(150.0);
    // Utilities 1 − 0.2, 1 − 0.1 − 0.1·0.5, and none beyond 1.
    asks(&mut site, 1, 0.2, 30.0);
    asks(&mut site, 2, 0.1, 40.0);
    site.is_away(2, 500);
    asks(&mut site, 3, 1.5, 100.0);
    let plan = site.plan(&mut *auction(&site));
    assert_pairs(&bids_to(&plan, 2), &[(0.1 + 0.01 + 0.05, 40.0)]);
    assert_pairs(&bids_to(&plan, 1), &[(0.2 + 0.01, 10.0)]);
    assert_pairs(&bids_to(&plan, 3), &[]);
    // A node that lacks nothing bids nothing, and says so.
    site.functions[0].from_clients = 100.0;
    let plan = site.plan(&mut *auction(&site));
    assert_pairs(&bids_to(&plan, 1), &[]);
}

#[test]
fn the_highest_bids_are_accepted_and_the_price_follows() {
    let mut site = site(40.0);
    site.hears(1, &[]);
    site.hears(2, &[]);
    let mut strategy = auction(&site);
    assert_eq!(price(&site.plan(&mut *strategy)), Some((0.0, 60.0)));
    bids(&mut site, 1, 0.5, 40.0);
    bids(&mut site, 2, 0.6, 30.0);
    site.now = at_ms(1000);
    let plan = site.plan(&mut *strategy);
    assert_eq!(
        Site::grants_to(&plan, 2),
        [("f.openfaas-fn".to_owned(), 30.0)]
    );
    assert_eq!(
        Site::grants_to(&plan, 1),
        [("f.openfaas-fn".to_owned(), 30.0)]
    );
    // All is sold: 0.5 + 0.5 · (1 − 0.8).
    assert_pairs(&[price(&plan).unwrap()], &[(0.6, 60.0)]);
    // A plan between two periods leaves prices as they are.
    assert_pairs(
        &[price(&site.plan(&mut *strategy)).unwrap()],
        &[(0.6, 60.0)],
    );
    // Nobody bids: a tenth less.
    for n in 1..=2 {
        site.neighbours.hear_bids(node(n), vec![], site.now);
    }
    site.now = at_ms(2000);
    assert_pairs(
        &[price(&site.plan(&mut *strategy)).unwrap()],
        &[(0.54, 60.0)],
    );
    // Never beyond what buyers would pay.
    bids(&mut site, 1, 5.0, 1000.0);
    site.now = at_ms(3000);
    assert_pairs(
        &[price(&site.plan(&mut *strategy)).unwrap()],
        &[(0.98, 60.0)],
    );
    // Nothing left, nothing offered.
    site.functions[0].from_clients = 100.0;
    let plan = site.plan(&mut *strategy);
    assert_eq!((price(&plan), Site::grants_to(&plan, 1)), (None, vec![]));
}

#[test]
fn overflow_goes_where_bids_were_accepted() {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 0);
    for n in 1..=3 {
        site.hears(n, &[("f", "4/4")]);
    }
    let route = site.route(StrategyName::Auction, "f");
    let next = |route| Delivery::new().next(route, at_ms(0), &mut rng());
    assert_eq!(next(&route), Decision::Run(Why::FreeHere));
    assert_eq!(next(&route), Decision::Reject(Rejection::Full));
    site.is_granted(1, "f", 30.0);
    site.is_granted(3, "f", 10.0);
    let (here, there) = split(&site.route(StrategyName::Auction, "f"));
    assert_eq!((here, gate.running()), (0, 1));
    assert_share(there[0], 75.0);
    assert_share(there[2], 25.0);
}

#[test]
fn a_function_that_is_not_here_is_bid_for_whole_and_called_meanwhile() {
    let mut site = Site::new();
    asks(&mut site, 1, 0.0, 30.0);
    asks(&mut site, 2, 0.0, 10.0);
    let plan = site.plan(&mut *auction(&site));
    assert_pairs(&bids_to(&plan, 1), &[(0.01, 30.0)]);
    assert_pairs(&bids_to(&plan, 2), &[(0.01, 10.0)]);
    let (_, there) = split(&site.route(StrategyName::Auction, "f"));
    assert_share(there[0], 75.0);
    assert_share(there[1], 25.0);
}

#[test]
fn empirically_only_helpers_take_overflow() {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 0);
    // Two alike, one that is full, one that lacks the function.
    site.hears(1, &[("f", "1000000/1000000")]);
    site.hears(2, &[("f", "1000000/1000000")]);
    site.hears(3, &[("f", "0/4")]);
    site.hears(4, &[("g", "4/4")]);
    assert!(gate.start(at_ms(0)));
    let (here, there) = split(&site.route(StrategyName::Empirical, "f"));
    assert_eq!((here, there.len(), there[2]), (0, 3, 0));
    // A half each, and noise of up to two fifths of it: 0.6/2 to 1.4/1.6.
    let share = there[0] as f64 / 10_000.0;
    assert!((0.28..0.72).contains(&share), "{share}");
}
