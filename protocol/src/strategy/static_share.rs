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
            routes: seen
                .routes(|_, here, there| Box::new(Shares(weights(here.is_some(), there.len())))),
            ..Plan::default()
        }
    }
}

fn weights(is_here: bool, there: usize) -> Weights {
    let here = if is_here { HERE } else { 0.0 };
    let each = THERE / there.max(1) as f64;
    let shares: Vec<f64> = std::iter::once(here)
        .chain(std::iter::repeat_n(each, there))
        .collect();
    Weights::proportional(&shares)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_here_and_forty_there() {
        assert_eq!(weights(true, 0).parts(), [100]);
        assert_eq!(weights(true, 1).parts(), [60, 40]);
        assert_eq!(weights(true, 2).parts(), [60, 20, 20]);
        assert_eq!(weights(true, 3).parts(), [60, 14, 13, 13]);
        assert_eq!(weights(false, 2).parts(), [0, 50, 50]);
    }
}
