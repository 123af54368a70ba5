use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};

/// Bytes at which numbers and lengths take another form.
const EXTREMES: [u8; 7] = [0, 1, 0x7f, 0x80, 0xfb, 0xfd, 0xff];

/// Makes out of right bytes wrong ones, and now and then leaves them as they are: a replay. The same seed makes the same.
#[derive(Debug)]
pub struct Mutation {
    rng: StdRng,
    from: Vec<Vec<u8>>,
}

impl Mutation {
    /// Of those bytes.
    pub fn new(from: Vec<Vec<u8>>, seed: u64) -> Mutation {
        Mutation {
            rng: StdRng::seed_from_u64(seed),
            from,
        }
    }

    /// Its randomness.
    pub fn rng(&mut self) -> &mut impl Rng {
        &mut self.rng
    }

    fn any(&mut self) -> Vec<u8> {
        let index = self.rng.random_range(0..self.from.len());
        self.from[index].clone()
    }

    /// One that is truncated, oversized, spliced, bit-flipped, overwritten or replayed.
    pub fn one(&mut self) -> Vec<u8> {
        let mut bytes = self.any();
        let at = self.rng.random_range(0..bytes.len());
        match self.rng.random_range(0..12) {
            0 | 1 => bytes.truncate(at),
            2 => {
                let more = self.rng.random_range(1..600);
                let fill: u8 = self.rng.random();
                bytes.extend(std::iter::repeat_n(fill, more));
            }
            3 | 4 => {
                let other = self.any();
                let from = self.rng.random_range(0..other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
            6 | 7 => bytes[at] = EXTREMES[self.rng.random_range(0..EXTREMES.len())],
            8 => {}
            _ => {
                for _ in 0..self.rng.random_range(1..8) {
                    let bit = self.rng.random_range(0..bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
        bytes
    }

    /// Some of them, in an order that none has sent.
    pub fn some(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = (0..count).map(|_| self.one()).collect();
        all.shuffle(&mut self.rng);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_and_most_are_wrong() {
        let from = vec![b"one message".to_vec(), b"another".to_vec()];
        let make = |seed| Mutation::new(from.clone(), seed).some(500);
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        let right = make(1).iter().filter(|m| from.contains(m)).count();
        assert!((5..200).contains(&right), "{right}");
    }
}
