//! Two rules that weights drive: [`Shares`] spreads all calls, [`Overflow`] only those for which nothing is free here.

use rand::Rng;

use crate::Time;
use crate::delivery::{Decision, Tried, Why};
use crate::gate::Entry;
use crate::route::Route;

use super::{Rule, Weights};

/// Every call goes to a target drawn by weight: the node itself, where it runs or waits, or a candidate.
#[derive(Debug)]
pub(super) struct Shares {
    /// Of the node itself, first, and of its candidates.
    weights: Weights,
    /// Of the candidates, where the node itself is out of the question.
    without: Weights,
}

impl Shares {
    /// Weights of the node itself and of its candidates. While the local platform is down the candidates' own hold, or
    /// equal ones where none of them has any.
    pub(super) fn new(here: f64, there: &[f64]) -> Shares {
        let mut without = Weights::proportional(there);
        if without.is_zero() {
            without = Weights::proportional(&vec![1.0; there.len()]);
        }
        Shares::or_else(here, there, without)
    }

    /// As [`Shares::new`], but where no candidate has a weight none is used, even while the local platform is down.
    pub(super) fn strict(here: f64, there: &[f64]) -> Shares {
        Shares::or_else(here, there, Weights::proportional(there))
    }

    fn or_else(here: f64, there: &[f64], without: Weights) -> Shares {
        let shares: Vec<f64> = std::iter::once(here).chain(there.iter().copied()).collect();
        Shares {
            weights: Weights::proportional(&shares),
            without,
        }
    }

    #[cfg(test)]
    pub(super) fn parts(&self) -> &[u32] {
        self.weights.parts()
    }
}

impl Rule for Shares {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let here = route.here.as_ref().filter(|_| !tried.here());
        let Some(gate) = here else {
            return forward(route, self.without.draw(|i| open(route, tried, i), rng)?);
        };
        let target = self
            .weights
            .draw(|i| i == 0 || open(route, tried, i - 1), rng)?;
        if target > 0 {
            return forward(route, target - 1);
        }
        match gate.enter(now) {
            Entry::Run => return Some(Decision::Run(Why::Drawn)),
            Entry::Wait => return Some(Decision::Wait(Why::Drawn)),
            Entry::Full => {}
        }
        let target = self
            .weights
            .draw(|i| i > 0 && open(route, tried, i - 1), rng)?;
        forward(route, target - 1)
    }
}

/// A call runs here while the gate lets it start; else it goes to a candidate drawn by weight.
#[derive(Debug)]
pub(super) struct Overflow(pub(super) Weights);

impl Rule for Overflow {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        if let Some(gate) = &route.here
            && !tried.here()
            && gate.start(now)
        {
            return Some(Decision::Run(Why::FreeHere));
        }
        forward(route, self.0.draw(|i| open(route, tried, i), rng)?)
    }
}

/// Whether the candidate may still be sent this call. On probation a question counts as a call, so each is asked once.
pub(super) fn open(route: &Route, tried: &Tried, index: usize) -> bool {
    let candidate = &route.there[index];
    !tried.node(candidate.node) && candidate.remote.headroom().is_some()
}

fn forward(route: &Route, index: usize) -> Option<Decision> {
    route.there[index].remote.take_one();
    Some(Decision::Forward(index, Why::Drawn))
}
