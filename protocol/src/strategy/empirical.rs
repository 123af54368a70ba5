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
use crate::neighbours::{Candidate, Remote};

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
        let (mut helpers, mut weights) = (Helpers::default(), Vec::new());
        let routes = seen.routes(|at| {
            helpers.look(at.there());
            weights.clear();
            weights.extend(helpers.means().map(|mean| shaken(mean, &mut rng)));
            Box::new(Overflow(Weights::proportional(&weights)))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

/// What is known of the helpers of a function, in columns, so that a processor works out some at a time.
#[derive(Default)]
struct Helpers {
    size: Vec<f64>,
    free: Vec<f64>,
    /// The inverses of the shares that are taken.
    room: Vec<f64>,
    /// Service times in seconds, and then their inverses.
    service: Vec<f64>,
}

impl Helpers {
    /// Looks at them: first only reads, as where that is all that is done many reads are under way at a time.
    fn look(&mut self, there: &[Candidate]) {
        let Helpers {
            size,
            free,
            room,
            service,
        } = self;
        for column in [&mut *size, free, room, service] {
            column.resize(there.len(), 0.0);
        }
        let columns = size.iter_mut().zip(&mut *free).zip(&mut *service);
        for (there, ((size, free), service)) in there.iter().zip(columns) {
            (*size, *free, *service) = told(&there.remote);
        }
        let columns = size.iter().zip(free).zip(room).zip(service);
        for (((size, free), room), service) in columns {
            // What has no size has no room either.
            let taken = (*size - *free).max(LEAST_TAKEN * size);
            *room = size / taken.max(f64::MIN_POSITIVE);
            *service = service.max(LEAST_SERVICE).recip();
        }
    }

    /// The mean of each helper's parts in the distributions that the metrics make; zero for one that cannot help.
    fn means(&self) -> impl Iterator<Item = f64> {
        let columns = self
            .size
            .iter()
            .zip(&self.free)
            .zip(&self.room)
            .zip(&self.service);
        let metrics =
            columns.map(|(((size, free), room), service)| [*size, *free, *room, *service]);
        let mut sums = [0.0; 4];
        for metrics in metrics.clone() {
            for (sum, metric) in sums.iter_mut().zip(metrics) {
                *sum += metric;
            }
        }
        // Where none can help all are zero, and may be multiplied by anything.
        let [a, b, c, d] = sums.map(|sum| 0.25 / sum.max(f64::MIN_POSITIVE));
        metrics.map(move |[size, free, room, service]| size * a + free * b + room * c + service * d)
    }
}

/// Slots, what is free and the service time in seconds; of one that cannot help what makes all its metrics zero.
fn told(remote: &Remote) -> (f64, f64, f64) {
    match remote.last_resort() {
        Some(Headroom { free, size }) if free > 0 => {
            let service = remote.service_seconds().unwrap_or(ASSUMED_SERVICE);
            (f64::from(size), f64::from(free), service)
        }
        _ => (0.0, 0.0, f64::INFINITY),
    }
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
        // Sizes 4 and 12, free 1 and 3, three quarters taken of both, 30 and 10 ms; between them one that cannot help.
        let helpers = Helpers {
            size: vec![4.0, 0.0, 12.0],
            free: vec![1.0, 0.0, 3.0],
            room: vec![1.0 / 0.75, 0.0, 1.0 / 0.75],
            service: vec![1.0 / 0.03, 0.0, 1.0 / 0.01],
        };
        let weights: Vec<f64> = helpers.means().collect();
        // A quarter, a quarter, a half, a quarter; and three quarters thrice, a half.
        assert!((weights[0] - 1.25 / 4.0).abs() < 1e-12, "{weights:?}");
        assert!((weights[2] - 2.75 / 4.0).abs() < 1e-12, "{weights:?}");
        assert_eq!(weights[1], 0.0);
    }
}
