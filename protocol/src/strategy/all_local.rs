//! `all-local`: every call stays on the node that took it in.
//!
//! Source: the reference's strategy of that name. A function that only a neighbour has is refused.

use rand::Rng;

use crate::Time;
use crate::delivery::{Decision, Tried};
use crate::route::Route;

use super::{Observation, Plan, Rule, Strategy};

/// The strategy `all-local`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllLocal;

impl Strategy for AllLocal {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        Plan {
            routes: seen.routes(|_| Box::new(Stay)),
            ..Plan::default()
        }
    }
}

#[derive(Debug)]
struct Stay;

impl Rule for Stay {
    fn decide(&self, _: &Route, _: &Tried, _: Time, _: &mut dyn Rng) -> Option<Decision> {
        None
    }
}
