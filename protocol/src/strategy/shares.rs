//! Two rules that weights drive: [`Shares`] spreads all calls, [`Overflow`] only those for which nothing is free here.

use rand::Rng;

use crate::Time;
use crate::delivery::{Decision, Tried, Why};
use crate::gate::Entry;
use crate::route::Route;

use super::{Rule, Weights};

/// Every call goes to a target drawn by weight: the node itself, where it runs or waits, or a candidate.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Of the node itself, first, and of its candidates.
    weights: Weights,
    /// Of the candidates, where the node itself is out of the question.
    without: Weights,
}

impl Shares {
    /// Weights of the node itself, first, and of its candidates. While the local platform is down the candidates' own hold,
    /// or equal ones where none of them has any.
    pub(super) fn new(shares: &[f64]) -> Shares {
        let mut all = Shares::strict(shares);
        if all.without.is_zero() {
            let there = shares.len().saturating_sub(1);
            all.without = Weights::proportional(&vec![1.0; there]);
        }
        all
    }

    /// As [`Shares::new`], but where no candidate has a weight none is used, even while the local platform is down.
    pub(super) fn strict(shares: &[f64]) -> Shares {
        Shares {
            weights: Weights::proportional(shares),
            without: Weights::proportional(shares.get(1..).unwrap_or_default()),
        }
    }

    /// As [`Shares::new`], of shares that are mostly those of `last`, which are the last ones.
    pub(super) fn like(last: &mut Option<(Vec<f64>, Shares)>, shares: &[f64]) -> Shares {
        if let Some((same, made)) = last
            && same == shares
        {
            return made.clone();
        }
        let made = Shares::new(shares);
        *last = Some((shares.to_vec(), made.clone()));
        made
    }

    #[cfg(test)]
    pub(super) fn parts(&self) -> &[u8] {
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
