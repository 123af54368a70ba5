//! `latency-threshold`: equal shares for the node itself and every neighbour that is near enough.
//!
//! Usable are the n neighbours that offer the function and to which the round trip is known and at most the limit. Each of
//! them and the node itself has ⌊100/(n + 1)⌋ parts of a hundred, and those left over go one each to the node itself and
//! then to the first usable ones. Source: the reference's strategy of that name. Not taken over from it: neighbours that
//! lack the function, pings that hold up the plan (round trips are measured all the time), and a limit without a default.

use std::time::Duration;

use rand::Rng;

use super::shares::Shares;
use super::{Observation, Plan, Strategy};

/// The strategy `latency-threshold`.
#[derive(Clone, Copy, Debug)]
pub struct LatencyThreshold {
    limit: Duration,
}

impl LatencyThreshold {
    /// With that limit for round trips.
    pub fn new(limit: Duration) -> LatencyThreshold {
        LatencyThreshold { limit }
    }
}

impl Strategy for LatencyThreshold {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let is_near =
            |round_trip: Option<Duration>| round_trip.is_some_and(|rtt| rtt <= self.limit);
        let near = seen.neighbours.iter().map(|n| is_near(n.round_trip));
        let near: Vec<f64> = near.map(|near| f64::from(u8::from(near))).collect();
        let mut shares: Vec<f64> = Vec::new();
        let routes = seen.routes(|at| {
            shares.clear();
            shares.push(f64::from(u8::from(at.here.is_some())));
            shares.extend(at.of(&near));
            Box::new(Shares::strict(&shares))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}
