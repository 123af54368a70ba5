//! `empirical`: overflow goes to neighbours by a mean of several metrics, with noise.
//!
//! The helpers of a function are the neighbours that offer it and have something free. Four metrics v make a distribution
//! over them each: slots (or the burst of a rate) and what is free, v/Σv; the share that is taken and the mean service time,
//! (1/v)/Σ(1/v), where 0 counts as 0.01 and 1 ms, and a service time that was not measured as 100 ms. w is their mean. Each
//! helper's w then grows or shrinks, with probability 0.3 each, by U(0, 0.4)·w; weight = 100·w/Σw. A call runs here while the
//! gate lets it start, else it goes to a helper drawn by weight.
//!
//! Source: the reference's strategy of that name (MAPE-K) in its first simulator. Not taken over: its metrics of CPU and
//! memory, which an offer does not carry, and weights for neighbours that cannot help.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use crate::Headroom;
use crate::neighbours::Remote;

use super::shares::Overflow;
use super::{Observation, Plan, Strategy, Weights};

/// By how much of it a weight changes at random at most.
const NOISE: f64 = 0.4;
/// It grows in three cases of ten, and shrinks in three.
const CASES: [f64; 10] = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0];
/// What stands in for zero, and for what was not measured.
const LEAST_TAKEN: f64 = 0.01;
const LEAST_SERVICE: f64 = 0.001;
const ASSUMED_SERVICE: f64 = 0.1;

/// The strategy `empirical`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empirical;

impl Strategy for Empirical {
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan {
        // Many numbers for a plan, of which nothing but the weights depends.
        let mut rng = Xoshiro256PlusPlus::from_rng(rng);
        let (mut helpers, mut weights): (Vec<[f64; 4]>, Vec<f64>) = Default::default();
        let routes = seen.routes(|at| {
            helpers.clear();
            helpers.extend(at.there().iter().map(|there| metrics(&there.remote)));
            let quarters = quarters(&helpers);
            weights.clear();
            let means = helpers.iter().map(|metrics| mean(metrics, &quarters));
            weights.extend(means.map(|mean| shaken(mean, &mut rng)));
            Box::new(Overflow(Weights::proportional(&weights)))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

/// The metrics of a helper, the larger the better; zero for one that cannot help.
fn metrics(remote: &Remote) -> [f64; 4] {
    match remote.last_resort() {
        Some(Headroom { free, size }) if free > 0 => {
            let (size, free) = (f64::from(size), f64::from(free));
            let service = remote.service_seconds().unwrap_or(ASSUMED_SERVICE);
            [
                size,
                free,
                size / (size - free).max(LEAST_TAKEN * size),
                service.max(LEAST_SERVICE).recip(),
            ]
        }
        _ => [0.0; 4],
    }
}

/// A quarter of what makes a distribution of each metric.
fn quarters(helpers: &[[f64; 4]]) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for metrics in helpers {
        for (sum, metric) in sums.iter_mut().zip(metrics) {
            *sum += metric;
        }
    }
    // Where none can help all are zero, and may be multiplied by anything.
    sums.map(|sum| 0.25 / sum.max(f64::MIN_POSITIVE))
}

/// The mean of a helper's parts in the distributions; zero for one that cannot help.
fn mean(metrics: &[f64; 4], quarters: &[f64; 4]) -> f64 {
    let [a, b, c, d] = quarters;
    metrics[0] * a + metrics[1] * b + metrics[2] * c + metrics[3] * d
}

/// A weight with noise.
fn shaken(weight: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    if weight <= 0.0 {
        return weight;
    }
    // One number tells which of ten cases it is, and by how much the weight changes.
    let drawn = rng.random::<f64>() * CASES.len() as f64;
    let case = (drawn as u32).min(CASES.len() as u32 - 1);
    weight + weight * NOISE * (drawn - f64::from(case)) * CASES[case as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_a_quarter_of_the_weight() {
        // Sizes 4 and 12, free 1 and 3, three quarters taken of both, 30 and 10 ms.
        let helper =
            |size: f64, free: f64, ms: f64| [size, free, 1.0 / (1.0 - free / size), 1e3 / ms];
        let helpers = [helper(4.0, 1.0, 30.0), [0.0; 4], helper(12.0, 3.0, 10.0)];
        let quarters = quarters(&helpers);
        let weights = helpers.map(|metrics| mean(&metrics, &quarters));
        // A quarter, a quarter, a half, a quarter; and three quarters thrice, a half.
        assert!((weights[0] - 1.25 / 4.0).abs() < 1e-12, "{weights:?}");
        assert!((weights[2] - 2.75 / 4.0).abs() < 1e-12, "{weights:?}");
        assert_eq!(weights[1], 0.0);
    }
}
