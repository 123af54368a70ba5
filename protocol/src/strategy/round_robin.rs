//! `round-robin`: one after the other.
//!
//! The targets of a function are the node itself, where it has the function, and the neighbours that offer it; the k-th call
//! goes to target k mod n, or to the next one after it that can take it: a neighbour that may be sent calls, or the node
//! itself if the call can run or wait there. Source: the Function Delivery Network's balancer of that name.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rand::{Rng, RngExt};

use crate::Time;
use crate::delivery::{Decision, Tried, Why};
use crate::gate::Entry;
use crate::route::Route;

use super::shares::open;
use super::{Observation, Plan, Rule, Strategy};

/// The strategy `round-robin`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin;

impl Strategy for RoundRobin {
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan {
        let routes = seen.routes(|at| {
            // Each plan begins somewhere else, so that no target is the first one of every plan.
            let first = rng.random_range(0..=at.there().len());
            Box::new(InTurn(AtomicUsize::new(first)))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

/// Whose turn it is.
#[derive(Debug)]
struct InTurn(AtomicUsize);

impl Rule for InTurn {
    fn decide(&self, route: &Route, tried: &Tried, now: Time, _: &mut dyn Rng) -> Option<Decision> {
        let here = usize::from(route.here.is_some());
        let targets = route.there.len() + here;
        let turn = self.0.fetch_add(1, Relaxed);
        for step in 0..targets {
            let target = turn.wrapping_add(step) % targets;
            if target >= here {
                let index = target - here;
                if open(route, tried, index) {
                    route.there[index].remote.take_one();
                    return Some(Decision::Forward(index, Why::InTurn));
                }
            } else if let Some(gate) = route.here.as_ref().filter(|_| !tried.here()) {
                match gate.enter(now) {
                    Entry::Run => return Some(Decision::Run(Why::InTurn)),
                    Entry::Wait => return Some(Decision::Wait(Why::InTurn)),
                    Entry::Full => {}
                }
            }
        }
        None
    }
}
