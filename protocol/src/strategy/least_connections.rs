//! `least-connections`: where the fewest calls are.
//!
//! A call goes to the target with the fewest calls that run or wait there, size − free: the node itself, or a neighbour that
//! offers the function, as it last reported and with those that were sent there since. Ties are broken at random. Where the
//! node itself has the fewest and is full, the best neighbour takes the call. Source: the Function Delivery Network's
//! balancer of that name, which counts only its own connections and knows nothing of those of others.

use rand::{Rng, RngExt};

use crate::delivery::{Decision, Tried, Why};
use crate::gate::Entry;
use crate::route::Route;
use crate::{Headroom, Time};

use super::{Observation, Plan, Rule, Strategy};

/// The strategy `least-connections`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastConnections;

impl Strategy for LeastConnections {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        Plan {
            routes: seen.routes(|_| Box::new(Fewest)),
            ..Plan::default()
        }
    }
}

#[derive(Debug)]
struct Fewest;

/// Calls that run or wait.
fn calls(headroom: Headroom) -> i64 {
    i64::from(headroom.size) - i64::from(headroom.free)
}

impl Rule for Fewest {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let mut best: Option<(usize, i64)> = None;
        // As many targets as have the fewest, the node itself among them.
        let here = route.here.as_ref().filter(|_| !tried.here());
        let ours = here.map(|gate| calls(gate.headroom(now)));
        let mut equals = 0u32;
        for (index, candidate) in route.there.iter().enumerate() {
            if tried.node(candidate.node) {
                continue;
            }
            let Some(theirs) = candidate.remote.headroom().map(calls) else {
                continue;
            };
            match best {
                Some((_, fewest)) if theirs > fewest => continue,
                Some((_, fewest)) if theirs == fewest => {
                    // Reservoir sampling: each of n equals ends up chosen with probability 1/n.
                    equals += 1;
                    if rng.random_range(0..equals) > 0 {
                        continue;
                    }
                }
                _ => equals = 1,
            }
            best = Some((index, theirs));
        }
        let stays = match (ours, best) {
            (Some(ours), Some((_, fewest))) if ours == fewest => rng.random_range(0..=equals) == 0,
            (Some(ours), Some((_, fewest))) => ours < fewest,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if let Some(gate) = here.filter(|_| stays) {
            match gate.enter(now) {
                Entry::Run => return Some(Decision::Run(Why::LeastBusy)),
                Entry::Wait => return Some(Decision::Wait(Why::LeastBusy)),
                Entry::Full => {}
            }
        }
        let (index, _) = best?;
        route.there[index].remote.take_one();
        Some(Decision::Forward(index, Why::LeastBusy))
    }
}
