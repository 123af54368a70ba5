//! Tables of calls by their numbers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A table of the calls of one trunk, by their numbers.
pub(crate) type ByNumber<T> = HashMap<u32, T, Spread>;

/// Spreads numbers by one multiplication with an odd number that nobody outside knows, so that no neighbour can choose
/// numbers that meet.
#[derive(Clone, Debug)]
pub(crate) struct Spread(u64);

impl Default for Spread {
    fn default() -> Spread {
        Spread(RandomState::new().hash_one(0) | 1)
    }
}

impl BuildHasher for Spread {
    type Hasher = Spreading;

    fn build_hasher(&self) -> Spreading {
        Spreading {
            factor: self.0,
            hash: 0,
        }
    }
}

/// See [`Spread`].
#[derive(Debug)]
pub(crate) struct Spreading {
    factor: u64,
    hash: u64,
}

impl Hasher for Spreading {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The low half of the product is that of the number: the high half is folded in.
        let product = u128::from(self.hash ^ u64::from(number)) * u128::from(self.factor);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_that_differ_little_or_in_their_high_bits_only_are_spread() {
        let spread = Spread::default();
        for step in [1, 2, 256, 1 << 12, 1 << 20] {
            let low: HashSet<u64> = (0..2048u32)
                .map(|n| spread.hash_one(n.wrapping_mul(step)) & 0xffff)
                .collect();
            assert!(low.len() > 512, "{} of 2048 by {step}", low.len());
        }
    }
}
