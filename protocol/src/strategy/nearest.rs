//! `nearest`: where nothing is free here, to the nearest neighbour that has something free.
//!
//! A call runs here while the gate lets it start; else it goes to the neighbour with the shortest round trip among those that
//! offer the function and last reported a headroom above zero, less what was sent since; else it waits here. A neighbour
//! to which no round trip was measured yet counts as the farthest. Source: Serverledge's choice of an edge node to offload
//! to, which ranks by Vivaldi coordinates and looks for a warm container first; here round trips are measured to each
//! neighbour, and a free slot stands for the warm container.

use std::time::Duration;

use rand::Rng;

use crate::Time;
use crate::delivery::{Decision, Tried, Why};
use crate::route::Route;

use super::{Observation, Plan, Rule, Strategy};

/// The strategy `nearest`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nearest;

impl Strategy for Nearest {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let away = seen.neighbours.iter().map(|n| n.round_trip);
        let away: Vec<Duration> = away.map(|rtt| rtt.unwrap_or(Duration::MAX)).collect();
        let mut nearest: Vec<usize> = (0..away.len()).collect();
        nearest.sort_by_key(|column| away[*column]);
        // Of each neighbour its place among the candidates of a function.
        let mut places: Vec<Option<usize>> = vec![None; away.len()];
        let routes = seen.routes(|at| {
            places.fill(None);
            for (place, column) in at.columns().iter().enumerate() {
                places[*column as usize] = Some(place);
            }
            let mut order = Vec::with_capacity(at.columns().len());
            order.extend(nearest.iter().filter_map(|column| places[*column]));
            Box::new(ByDistance(order))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

/// The candidates, the nearest first.
#[derive(Debug)]
struct ByDistance(Vec<usize>);

impl Rule for ByDistance {
    fn decide(&self, route: &Route, tried: &Tried, now: Time, _: &mut dyn Rng) -> Option<Decision> {
        if let Some(gate) = &route.here
            && !tried.here()
            && gate.start(now)
        {
            return Some(Decision::Run(Why::FreeHere));
        }
        let index = self.0.iter().copied().find(|index| {
            let candidate = &route.there[*index];
            !tried.node(candidate.node) && candidate.remote.headroom().is_some_and(|h| h.free > 0)
        })?;
        route.there[index].remote.take_one();
        Some(Decision::Forward(index, Why::Nearest))
    }
}
