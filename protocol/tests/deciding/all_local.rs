//! `all-local` against figures worked out by hand.

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
use dfaas_protocol::strategy::StrategyName::AllLocal;

use crate::site::{Site, rng, slots};

#[test]
fn it_runs_then_waits_then_refuses_and_never_forwards() {
    let mut site = Site::new();
    site.has("f", slots(2), 1);
    site.hears(1, &[("f", "100/100")]);
    let route = site.route(AllLocal, "f");
    let next = || Delivery::new().next(&route, Time::ZERO, &mut rng());
    assert_eq!(next(), Decision::Run(Why::FreeHere));
    assert_eq!(next(), Decision::Run(Why::FreeHere));
    assert_eq!(next(), Decision::Wait(Why::WaitHere));
    assert_eq!(next(), Decision::Reject(Rejection::Full));
}

#[test]
fn a_function_that_only_a_neighbour_has_is_refused() {
    let mut site = Site::new();
    site.hears(1, &[("f", "100/100")]);
    let route = site.route(AllLocal, "f");
    let decision = Delivery::new().next(&route, Time::ZERO, &mut rng());
    assert_eq!(decision, Decision::Reject(Rejection::NotTaken));
}

#[test]
fn it_grants_nothing() {
    let mut site = Site::new();
    site.has("f", slots(2), 1);
    site.hears(1, &[("f", "100/100")]);
    let plan = site.plan(&mut *AllLocal.build(&site.settings));
    assert_eq!(plan.told.messages(), []);
}
