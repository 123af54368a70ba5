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
        Plan {
            routes: seen.routes(|_, here, there| Box::new(shares(here.is_some(), there.len()))),
            ..Plan::default()
        }
    }
}

fn shares(is_here: bool, there: usize) -> Shares {
    let here = if is_here { HERE } else { 0.0 };
    let each = THERE / there.max(1) as f64;
    Shares::new(here, &vec![each; there])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_here_and_forty_there() {
        assert_eq!(shares(true, 0).parts(), [100]);
        assert_eq!(shares(true, 1).parts(), [60, 40]);
        assert_eq!(shares(true, 2).parts(), [60, 20, 20]);
        assert_eq!(shares(true, 3).parts(), [60, 14, 13, 13]);
        assert_eq!(shares(false, 2).parts(), [0, 50, 50]);
    }
}
