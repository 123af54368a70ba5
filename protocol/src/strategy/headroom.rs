//! `headroom`, the default: where a slot is free, run; else to the neighbour with the largest share of its capacity left.
//!
//! Headroom of a function on a node is slots − running − waiting, or the tokens of its rate; it is signed. Its share is
//! headroom over size. A call for which nothing is free here goes to the candidate with the largest share, ties at
//! random, if that exceeds the share here by [`MARGIN`]; the candidate is counted down by one at once, and each answer
//! from it brings its headroom up to date. Else the call waits here. Source: this project's own design.

use rand::{Rng, RngExt};

use crate::delivery::{Decision, Tried, Why};
use crate::route::{Candidate, Route};
use crate::{Headroom, Time};

use super::{Observation, Plan, Rule, Strategy};

/// By how much a neighbour's share must exceed ours. A larger margin forwards less and serves less: 0.2 saves a fifth
/// of the forwards and costs half a point served (measured on the prototype).
const MARGIN: f32 = 0.05;

/// The strategy `headroom`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadroomFirst;

impl Strategy for HeadroomFirst {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        Plan {
            routes: seen.routes(|_, _, _| Box::new(LargestShare)),
            ..Plan::default()
        }
    }
}

#[derive(Debug)]
struct LargestShare;

impl Rule for LargestShare {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let here = route.here.as_ref().filter(|_| !tried.here());
        if let Some(gate) = here
            && gate.start(now)
        {
            return Some(Decision::Run(Why::FreeHere));
        }
        let ours = here.map(|gate| gate.headroom(now).share());
        let least = ours.map_or(f32::NEG_INFINITY, |share| share + MARGIN);

        let untried = |candidate: &Candidate| !tried.node(candidate.node);
        let index = largest(route, least, rng, |candidate| {
            untried(candidate).then(|| candidate.remote.headroom())?
        });
        let index = match index {
            // Rather a neighbour on probation than none.
            None if here.is_none() => largest(route, least, rng, |candidate| {
                untried(candidate).then(|| candidate.remote.last_resort())?
            }),
            found => found,
        }?;
        route.there[index].remote.take_one();
        let why = if route.here.is_some() {
            Why::MoreHeadroomThere
        } else {
            Why::OnlyThere
        };
        Some(Decision::Forward(index, why))
    }
}

/// The candidate with the largest share above `least`, of those for which there is headroom; ties at random.
fn largest(
    route: &Route,
    least: f32,
    rng: &mut dyn Rng,
    headroom: impl Fn(&Candidate) -> Option<Headroom>,
) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    let mut equals = 0u32;
    for (index, candidate) in route.there.iter().enumerate() {
        let Some(share) = headroom(candidate).map(Headroom::share) else {
            continue;
        };
        if share <= least {
            continue;
        }
        match best {
            Some((_, largest)) if share < largest => continue,
            Some((_, largest)) if share == largest => {
                // Reservoir sampling: each of n equals ends up chosen with probability 1/n.
                equals += 1;
                if rng.random_range(0..equals) > 0 {
                    continue;
                }
            }
            _ => equals = 1,
        }
        best = Some((index, share));
    }
    best.map(|(index, _)| index)
}
