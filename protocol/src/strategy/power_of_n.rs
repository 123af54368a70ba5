//! `power-of-n`: the best of a few neighbours drawn at random.
//!
//! While at least T slots are free here, a call runs here. Else F neighbours that offer the function are drawn at random,
//! without repetition, and the call goes to the one with the largest share of its capacity left, if that share is larger
//! than here; else it stays here. With F = 2 this is "the power of two choices". Source: P2PFaaS, scheduler PowerOfN(F, T),
//! and Beraldi and others, "Power of random choices made efficient for fog computing", IEEE TCC 2020.
//!
//! Not taken over: the probe. P2PFaaS asks each of the F neighbours for its load and waits for the answers; here the
//! neighbour's last report counts, which every answer and every offer brings up to date, less what was sent since. That
//! saves a round trip on each call and 2F messages; it errs where others have sent calls there since the last report. Loads
//! are compared as shares, since nodes differ in size; and a call is forwarded once, not up to a number of hops.

use rand::{Rng, RngExt};

use crate::Time;
use crate::delivery::{Decision, Tried, Why};
use crate::route::Route;

use super::{Observation, Plan, PowerOfNSettings, Rule, Strategy};

/// The strategy `power-of-n`.
#[derive(Clone, Copy, Debug)]
pub struct PowerOfN(PowerOfNSettings);

impl PowerOfN {
    /// With that fan-out and that threshold.
    pub fn new(settings: PowerOfNSettings) -> PowerOfN {
        PowerOfN(settings)
    }
}

impl Strategy for PowerOfN {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        Plan {
            routes: seen.routes(|_| Box::new(BestOfFew(self.0))),
            ..Plan::default()
        }
    }
}

#[derive(Debug)]
struct BestOfFew(PowerOfNSettings);

impl Rule for BestOfFew {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let here = route.here.as_ref().filter(|_| !tried.here());
        let ours = here.map(|gate| gate.headroom(now));
        if let (Some(gate), Some(ours)) = (here, ours)
            && i64::from(ours.free) >= i64::from(self.0.threshold)
            && gate.start(now)
        {
            return Some(Decision::Run(Why::FreeHere));
        }
        let mut best = None;
        let mut largest = ours.map_or(f32::NEG_INFINITY, |ours| ours.share());
        // Selection sampling (Knuth, volume 2, 3.4.2 S): each of those left is drawn with the probability needed/left.
        let untried = |index: &usize| !tried.node(route.there[*index].node);
        let mut left = (0..route.there.len()).filter(untried).count();
        let mut needed = self.0.fanout.min(left);
        for index in (0..route.there.len()).filter(untried) {
            if needed == 0 {
                break;
            }
            let drawn = rng.random_range(0..left) < needed;
            left -= 1;
            if !drawn {
                continue;
            }
            needed -= 1;
            let share = route.there[index].remote.headroom().map(|h| h.share());
            if let Some(share) = share.filter(|share| *share > largest) {
                (best, largest) = (Some(index), share);
            }
        }
        let Some(index) = best else {
            // Nobody drawn has more room.
            return here?.start(now).then_some(Decision::Run(Why::FreeHere));
        };
        route.there[index].remote.take_one();
        Some(Decision::Forward(index, Why::MoreHeadroomThere))
    }
}
