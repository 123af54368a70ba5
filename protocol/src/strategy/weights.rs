//! Weights: whole parts of a hundred that sum to a hundred.

use rand::{Rng, RngExt};

/// What weights sum to, unless there is nothing to weigh.
pub const TOTAL: u32 = 100;

/// Shares of the targets of a function, in whole parts of [`TOTAL`]. The parts sum to the total exactly, or all are zero
/// where no target has a share; the reference truncates instead, and loses the remainder and every small share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(Vec<u32>);

impl Weights {
    /// Divides the total in proportion to `shares` by the largest remainder (Hamilton's method), ties to the first.
    /// Negative, infinite and undefined shares count as zero.
    pub fn proportional(shares: &[f64]) -> Weights {
        let clean: Vec<f64> = shares
            .iter()
            .map(|s| {
                if s.is_finite() {
                    s.clamp(0.0, 1e12)
                } else {
                    0.0
                }
            })
            .collect();
        let sum: f64 = clean.iter().sum();
        if sum <= 0.0 {
            return Weights(vec![0; shares.len()]);
        }
        let exact: Vec<f64> = clean.iter().map(|s| s / sum * f64::from(TOTAL)).collect();
        let mut parts: Vec<u32> = exact.iter().map(|e| e.floor() as u32).collect();
        let mut by_remainder: Vec<usize> = (0..exact.len()).filter(|i| clean[*i] > 0.0).collect();
        by_remainder.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
        let left = TOTAL.saturating_sub(parts.iter().sum()) as usize;
        for index in by_remainder.into_iter().cycle().take(left) {
            parts[index] += 1;
        }
        Weights(parts)
    }

    /// The parts, in the order of the shares.
    pub fn parts(&self) -> &[u32] {
        &self.0
    }

    /// Whether there is nothing to draw.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|part| *part == 0)
    }

    /// Draws a target in proportion to its weight among those that `open` admits; nothing if none of them has any.
    pub fn draw(&self, open: impl Fn(usize) -> bool, rng: &mut dyn Rng) -> Option<usize> {
        let mut drawn = None;
        let mut sum = 0;
        for (index, part) in self.0.iter().copied().enumerate() {
            // Asked once for each: on probation a question counts as a call.
            if part == 0 || !open(index) {
                continue;
            }
            // Weighted reservoir sampling: each ends up drawn with probability part/sum.
            sum += part;
            if rng.random_range(0..sum) < part {
                drawn = Some(index);
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn thirds_sum_to_a_hundred() {
        assert_eq!(
            Weights::proportional(&[1.0, 1.0, 1.0]).parts(),
            [34, 33, 33]
        );
        assert_eq!(Weights::proportional(&[0.0, 5.0]).parts(), [0, 100]);
        assert_eq!(
            Weights::proportional(&[0.0, f64::NAN, -3.0]).parts(),
            [0, 0, 0]
        );
        assert_eq!(Weights::proportional(&[]).parts(), [0; 0]);
    }

    #[test]
    fn draws_in_proportion_and_only_what_is_open() {
        let weights = Weights::proportional(&[60.0, 20.0, 20.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[weights.draw(|_| true, &mut rng).unwrap()] += 1;
        }
        assert!((5_800..6_200).contains(&counts[0]), "{counts:?}");
        assert_eq!(weights.draw(|i| i == 2, &mut rng), Some(2));
        assert_eq!(weights.draw(|_| false, &mut rng), None);
    }
}
