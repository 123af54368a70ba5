//! What some strategies tell neighbours beside offers and grants: margins, prices and bids.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{CallRate, FunctionName};

/// The largest [`Amount`].
const MAX_AMOUNT: f64 = 1e9;

/// Points of usage, or a price: a number from zero to 10⁹.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
pub struct Amount(f64);

impl Amount {
    /// That much, or nothing if it is no number in the range.
    pub fn new(amount: f64) -> Option<Amount> {
        (0.0..=MAX_AMOUNT)
            .contains(&amount)
            .then_some(Amount(amount + 0.0))
    }

    /// The nearest amount in the range; zero for what is no number.
    pub fn nearest(amount: f64) -> Amount {
        Amount(if amount > 0.0 {
            amount.min(MAX_AMOUNT)
        } else {
            0.0
        })
    }

    /// As a number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        Amount::new(f64::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("an amount is a number from 0 to 1e9"))
    }
}

/// What the sender offers to the receiver of its spare usage (strategies `node-margin` and `power-saving`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// How many points, of the hundred that the sender has, the receiver may use in all.
    pub points: Amount,
    /// How many points one call a second costs at the sender, for functions of high, medium and low usage.
    pub cost: [Amount; 3],
}

/// What the sender asks for a function's calls (strategy `auction`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Which function.
    pub function: FunctionName,
    /// For one call a second.
    pub price: Amount,
    /// How many calls a second there are to be had.
    pub rate: CallRate,
}

/// What the sender would pay for a function's calls at the receiver (strategy `auction`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bid {
    /// Which function.
    pub function: FunctionName,
    /// For one call a second.
    pub price: Amount,
    /// How many calls a second it wants.
    pub rate: CallRate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_in_the_range() {
        for (number, nearest) in [
            (f64::NAN, 0.0),
            (-1.0, 0.0),
            (2e9, 1e9),
            (f64::INFINITY, 1e9),
        ] {
            assert_eq!(Amount::new(number), None);
            assert_eq!(Amount::nearest(number).get(), nearest);
        }
        // One zero only, so that equal amounts have equal bytes.
        for zero in [0.0, -0.0] {
            assert!(Amount::nearest(zero).get().is_sign_positive());
            assert!(Amount::new(zero).unwrap().get().is_sign_positive());
        }
        assert_eq!(Amount::new(2.5).unwrap().get(), 2.5);
    }
}
