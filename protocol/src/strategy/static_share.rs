//! `static`: 60 % here, the rest in equal parts to the neighbours.
//!
//! weight(here) = 60, weight(j) = 40/n for each of the n neighbours that offer the function; n = 0: all here. A function
//! that is not here goes in equal parts to those that have it. Source: the reference's strategy of that name, which also
//! counts neighbours that lack the function and loses those calls.

use rand::Rng;

use super::shares::Shares;
use super::{Observation, Plan, Strategy};

const HERE: f64 = 60.0;
const THERE: f64 = 40.0;

/// The strategy `static`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticShare;

impl Strategy for StaticShare {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let mut last = None;
        Plan {
            routes: seen.routes(|at| {
                let shares = shares(at.here.is_some(), at.there().len());
                Box::new(Shares::like(&mut last, &shares))
            }),
            ..Plan::default()
        }
    }
}

fn shares(is_here: bool, there: usize) -> Vec<f64> {
    let mut shares = vec![THERE / there.max(1) as f64; there + 1];
    shares[0] = if is_here { HERE } else { 0.0 };
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_here_and_forty_there() {
        let parts = |is_here, there| Shares::new(&shares(is_here, there)).parts().to_vec();
        assert_eq!(parts(true, 0), [100]);
        assert_eq!(parts(true, 1), [60, 40]);
        assert_eq!(parts(true, 2), [60, 20, 20]);
        assert_eq!(parts(true, 3), [60, 14, 13, 13]);
        assert_eq!(parts(false, 2), [0, 50, 50]);
    }
}
