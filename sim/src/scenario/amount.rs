//! A number, or how it is drawn.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// A number that is the same for all, or is drawn for each: `8`, `{ choice = [4, 8, 16] }`, `{ uniform = [2.5, 10] }` or
/// `{ spread = [0, 1] }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// This number.
    Fixed(f64),
    /// One of these, each as likely as any other.
    Choice(Choice),
    /// Between two numbers.
    Uniform(Uniform),
    /// Evenly over the nodes in their order, from the first number for the first node towards the second.
    Spread(Spread),
}

/// One of some numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The numbers.
    pub choice: Vec<f64>,
}

/// Between two numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// From the first, up to the second.
    pub uniform: [f64; 2],
}

/// Evenly between two numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// From the first, up to but not including the second.
    pub spread: [f64; 2],
}

impl Amount {
    /// One for the node at that place of so many.
    pub fn draw(&self, place: usize, of: usize, rng: &mut impl Rng) -> f64 {
        match self {
            Amount::Fixed(number) => *number,
            Amount::Choice(Choice { choice }) => choice[rng.random_range(0..choice.len())],
            Amount::Uniform(Uniform {
                uniform: [low, high],
            }) => low + (high - low) * rng.random::<f64>(),
            Amount::Spread(Spread {
                spread: [low, high],
            }) => low + (high - low) * place as f64 / of.max(1) as f64,
        }
    }

    /// Whether whatever is drawn is a number from `low` to `high`, and there is something to draw.
    pub fn within(&self, low: f64, high: f64) -> bool {
        let is_in = |number: &f64| (low..=high).contains(number);
        match self {
            Amount::Fixed(number) => is_in(number),
            Amount::Choice(Choice { choice }) => !choice.is_empty() && choice.iter().all(is_in),
            Amount::Uniform(Uniform { uniform: ends })
            | Amount::Spread(Spread { spread: ends }) => {
                ends.iter().all(is_in) && ends[0] <= ends[1]
            }
        }
    }
}
