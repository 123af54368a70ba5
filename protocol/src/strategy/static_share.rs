//! `static`: 60 % here, the rest in equal parts to the neighbours.
//!
//! weight(here) = 60, weight(j) = 40/n for each of the n neighbours that offer the function; n = 0: all here. A function
//! that is not here goes in equal parts to those that have it. Source: the reference's strategy of that name, which also
//! counts neighbours that lack the function and loses those calls.

use rand::Rng;

use crate::Time;
use crate::delivery::{Decision, Tried, Why};
use crate::gate::Entry;
use crate::route::Route;

use super::{Observation, Plan, Rule, Strategy, Weights};

const HERE: f64 = 60.0;
const THERE: f64 = 40.0;

/// The strategy `static`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticShare;

impl Strategy for StaticShare {
    fn plan(&mut self, seen: &Observation<'_>) -> Plan {
        Plan {
            routes: seen.routes(|_, here, there| {
                let each = THERE / there.len().max(1) as f64;
                let here = if here.is_some() { HERE } else { 0.0 };
                let shares: Vec<f64> = std::iter::once(here)
                    .chain(there.iter().map(|_| each))
                    .collect();
                Box::new(Shares(Weights::proportional(&shares)))
            }),
            ..Plan::default()
        }
    }
}

/// Weights of the node itself, first, and of its candidates.
#[derive(Debug)]
struct Shares(Weights);

impl Rule for Shares {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let reachable = |index: usize| {
            let candidate = &route.there[index];
            !tried.node(candidate.node) && candidate.remote.headroom().is_some()
        };
        let here = route.here.as_ref().filter(|_| !tried.here());
        let open = |target: usize| match target {
            0 => here.is_some(),
            other => reachable(other - 1),
        };
        let mut target = self.0.draw(open, rng)?;
        if target == 0
            && let Some(gate) = here
        {
            match gate.enter(now) {
                Entry::Run => return Some(Decision::Run(Why::Drawn)),
                Entry::Wait(turn) => return Some(Decision::Wait(turn, Why::Drawn)),
                Entry::Full => {}
            }
            target = self.0.draw(|other| other > 0 && open(other), rng)?;
        }
        let index = target - 1;
        route.there[index].remote.take_one();
        Some(Decision::Forward(index, Why::Drawn))
    }
}
