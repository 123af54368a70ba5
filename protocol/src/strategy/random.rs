//! `random`: shares drawn anew with each plan.
//!
//! For each function x(here) and x(j) are drawn from U(0, 1), j being each neighbour that offers it; weight = 100 · x / Σx
//! in whole parts that sum to 100. A function that is not here has no x(here). Source: the reference's strategy of that
//! name. Not taken over from it: calls sent to neighbours that lack the function, a last target that takes what
//! truncation lost of the others, and a minute's wait before the first plan.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::shares::Shares;
use super::{Observation, Plan, Strategy};

/// The strategy `random`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Strategy for Random {
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan {
        // Many numbers for a plan, of which nothing but the shares depends.
        let mut rng = Xoshiro256PlusPlus::from_rng(rng);
        let mut shares: Vec<f64> = Vec::new();
        let routes = seen.routes(|at| {
            shares.clear();
            shares.push(at.here.map_or(0.0, |_| rng.random()));
            shares.extend(at.there().iter().map(|_| rng.random::<f64>()));
            Box::new(Shares::new(&shares))
        });
        Plan {
            routes,
            ..Plan::default()
        }
    }
}
