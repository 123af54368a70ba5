//! `time-weighted`: shares in inverse proportion to the time of an answer.
//!
//! t(here) is the mean service time here, t(j) the mean service time at neighbour j and the round trip to it;
//! weight = 100 · (1/t) / Σ(1/t) in whole parts that sum to 100. What was not measured yet counts as the mean of what was
//! (100 ms of service, no round trip, before anything was), so that a newcomer gets a mean share and is measured. Source:
//! the Function Delivery Network's balancer, which weighs platforms by their response time.

use std::time::Duration;

use rand::Rng;

use crate::offer::ServiceTime;

use super::shares::Shares;
use super::{Observation, Plan, Strategy};

/// The service time to reckon with before any has been measured.
const ASSUMED: Duration = Duration::from_millis(100);
/// A shorter time counts as this one, in seconds.
const SHORTEST: f64 = 1e-4;

/// The strategy `time-weighted`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeWeighted;

impl Strategy for TimeWeighted {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let routes = seen.routes(|_, here, there| {
            let theirs = there.iter().map(|there| there.offered.service);
            let measured: Vec<Option<Duration>> = std::iter::once(here.and_then(|f| f.service))
                .chain(theirs.map(|service| service.map(ServiceTime::as_duration)))
                .collect();
            let mean = mean(&measured).unwrap_or(ASSUMED);
            let away = there.iter().map(|there| there.neighbour.round_trip);
            let round_trips =
                std::iter::once(Duration::ZERO).chain(away.map(Option::unwrap_or_default));
            let shares: Vec<f64> = measured
                .iter()
                .zip(round_trips)
                .map(|(service, round_trip)| {
                    let time = service.unwrap_or(mean) + round_trip;
                    time.as_secs_f64().max(SHORTEST).recip()
                })
                .collect();
            let mine = if here.is_some() { shares[0] } else { 0.0 };
            Box::new(Shares::new(mine, &shares[1..]))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

fn mean(measured: &[Option<Duration>]) -> Option<Duration> {
    let known: Vec<f64> = measured
        .iter()
        .flatten()
        .map(Duration::as_secs_f64)
        .collect();
    let count = known.len();
    (count > 0).then(|| Duration::from_secs_f64(known.iter().sum::<f64>() / count as f64))
}
