//! `time-weighted`: shares in inverse proportion to the time of an answer.
//!
//! t(here) is the mean service time here, t(j) the mean service time at neighbour j and the round trip to it;
//! weight = 100 · (1/t) / Σ(1/t) in whole parts that sum to 100. What was not measured yet counts as the mean of what was
//! (100 ms of service, no round trip, before anything was), so that a newcomer gets a mean share and is measured. Source:
//! the Function Delivery Network's balancer, which weighs platforms by their response time.

use std::time::Duration;

use rand::Rng;

use super::shares::Shares;
use super::{Observation, Plan, Strategy};

/// The service time to reckon with before any has been measured, in seconds.
const ASSUMED: f64 = 0.1;
/// A shorter time counts as this one, in seconds.
const SHORTEST: f64 = 1e-4;

/// The strategy `time-weighted`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeWeighted;

impl Strategy for TimeWeighted {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let away = seen.neighbours.iter().map(|n| seconds(n.round_trip));
        let away: Vec<f64> = away.map(Option::unwrap_or_default).collect();
        // Of the node itself, first, and of its candidates: service times, not a number where none was measured, and shares.
        let (mut services, mut shares): (Vec<f64>, Vec<f64>) = Default::default();
        let routes = seen.routes(|at| {
            services.clear();
            services.push(seconds(at.here.and_then(|f| f.service)).unwrap_or(f64::NAN));
            let theirs = at
                .there()
                .iter()
                .map(|there| there.remote.service_seconds());
            services.extend(theirs.map(|service| service.unwrap_or(f64::NAN)));
            let mean = mean(&services).unwrap_or(ASSUMED);
            let round_trips = std::iter::once(0.0).chain(at.of(&away));
            shares.clear();
            shares.extend(
                services
                    .iter()
                    .zip(round_trips)
                    .map(|(service, round_trip)| {
                        let service = if service.is_nan() { mean } else { *service };
                        (service + round_trip).max(SHORTEST).recip()
                    }),
            );
            if at.here.is_none() {
                shares[0] = 0.0;
            }
            Box::new(Shares::new(&shares))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

/// The mean of those that are numbers.
fn mean(measured: &[f64]) -> Option<f64> {
    let known = measured.iter().filter(|seconds| !seconds.is_nan());
    let (sum, count) = known.fold((0.0, 0u32), |(sum, count), s| (sum + s, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
