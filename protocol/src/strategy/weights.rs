//! Weights: whole parts of a hundred that sum to a hundred.

use std::sync::Arc;

use rand::{Rng, RngExt};

/// A larger share counts as this one.
const MAX_SHARE: f64 = 1e12;
/// Shares that sum to less are scaled first.
const LEAST_SUM: f64 = 1e-200;
/// Of so many shares the remainders need no allocation.
const FEW: usize = 128;
/// Parts with their remainders are in units of 2⁻¹⁵.
const BITS: u32 = 15;
const UNITS: i16 = i16::MAX;
/// Added to a number below 2³¹, it leaves the nearest whole number in the low bits of the sum.
const TO_WHOLE: f64 = 6_755_399_441_055_744.0;

/// What weights sum to, unless there is nothing to weigh.
pub const TOTAL: u32 = 100;

/// Shares of the targets of a function, in whole parts of [`TOTAL`]. The parts sum to the total exactly, or all are zero
/// where no target has a share; the reference truncates instead, and loses the remainder and every small share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(Arc<[u8]>);

impl Weights {
    /// Divides the total in proportion to `shares` by the largest remainder (Hamilton's method), ties to the first.
    /// Negative, infinite and undefined shares count as zero. Remainders that differ by less than 2⁻¹⁵ are equal.
    pub fn proportional(shares: &[f64]) -> Weights {
        let usable = |all, share: &f64| all & (*share >= 0.0) & (*share <= MAX_SHARE);
        let sum = sum(shares);
        if shares.iter().fold(true, usable) && (sum == 0.0 || sum >= LEAST_SUM) {
            return Weights(divided(shares, sum));
        }
        let shares: Vec<f64> = shares.iter().copied().map(clean).collect();
        let largest = shares.iter().copied().fold(0.0, f64::max);
        let shares: Vec<f64> = shares.iter().map(|share| share / largest).collect();
        Weights(divided(&shares, self::sum(&shares)))
    }

    /// The parts, in the order of the shares.
    pub fn parts(&self) -> &[u8] {
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
            sum += u32::from(part);
            if rng.random_range(0..sum) < u32::from(part) {
                drawn = Some(index);
            }
        }
        drawn
    }
}

fn clean(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.0, MAX_SHARE)
    } else {
        0.0
    }
}

/// Four sums side by side, which a processor adds up at once.
pub(super) fn sum(shares: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let fours = shares.chunks_exact(4);
    let rest: f64 = fours.remainder().iter().sum();
    for four in fours {
        for (sum, share) in sums.iter_mut().zip(four) {
            *sum += share;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The total divided by usable shares. This is most of a plan's time, so it is written in loops without branches.
fn divided(shares: &[f64], sum: f64) -> Arc<[u8]> {
    let count = shares.len();
    if count <= FEW {
        divide(shares, sum, &mut [0; FEW][..count], &mut [0; FEW][..count])
    } else {
        divide(shares, sum, &mut vec![0; count], &mut vec![0; count])
    }
}

/// The same with room for the parts and the remainders.
fn divide(shares: &[f64], sum: f64, parts: &mut [u8], remainders: &mut [i16]) -> Arc<[u8]> {
    if sum.is_nan() || sum <= 0.0 {
        return Arc::from(&*parts);
    }
    let factor = f64::from(TOTAL << BITS) / sum;
    let mut given = 0;
    for ((part, remainder), share) in parts.iter_mut().zip(&mut *remainders).zip(shares) {
        let exact = (share * factor + TO_WHOLE).to_bits() as u32;
        // What has no share has no remainder either, not even one of zero.
        *remainder = (exact as i16 & UNITS) - i16::from(exact == 0);
        let whole = exact >> BITS;
        *part = whole as u8;
        given += whole;
    }
    let left = TOTAL.saturating_sub(given);
    if left > 0 {
        give(left, parts, remainders);
    }
    Arc::from(&*parts)
}

/// How many remainders are at least `least`.
fn count(remainders: &[i16], least: i16) -> u32 {
    let is_within = |remainder: &i16| i16::from(*remainder >= least);
    let counts = remainders.chunks(FEW);
    let counts = counts.map(|few| few.iter().map(is_within).sum::<i16>());
    counts.map(|count| u32::from(count.unsigned_abs())).sum()
}

/// Gives one more each to those with the largest remainders.
fn give(left: u32, parts: &mut [u8], remainders: &[i16]) {
    // At least as many as are left have the remainder `low` or more, and fewer have `high`.
    let (mut low, mut at_low) = (-1, remainders.len() as u32);
    let (mut high, mut at_high) = (i32::from(UNITS) + 1, 0);
    let mut round = 0;
    while at_low > left && high - low > 1 {
        round += 1;
        let is_walk = round % 3 == 0;
        let middle = if is_walk {
            // The next one below, which ends the search where many are equal or few are left in between.
            let below = |r: &i16| if i32::from(*r) < high { *r } else { -1 };
            i32::from(remainders.iter().map(below).fold(-1, i16::max))
        } else {
            // In between as if they were spread evenly, which they mostly are.
            let part = f64::from(at_low - left) / f64::from(at_low - at_high);
            low + ((f64::from(high - low) * part) as i32).clamp(1, high - low - 1)
        };
        let within = count(remainders, middle as i16);
        if within < left {
            (high, at_high) = (middle, within);
        } else {
            (low, at_low) = (middle, within);
            if is_walk {
                break;
            }
        }
    }
    // Where more have the lowest of them than are left, the first of those are given one.
    let low = low as i16;
    let mut ties = 0;
    let is_given = |remainder: &&i16| {
        ties += u32::from(**remainder == low);
        at_high + ties <= left
    };
    let end = if at_low == left {
        parts.len()
    } else {
        remainders.iter().filter(is_given).count()
    };
    for (part, remainder) in parts[..end].iter_mut().zip(remainders) {
        *part += u8::from(*remainder >= low);
    }
    for (part, remainder) in parts[end..].iter_mut().zip(&remainders[end..]) {
        *part += u8::from(*remainder > low);
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
        // Less than a number that can be divided by.
        assert_eq!(Weights::proportional(&[1e-308, 3e-308]).parts(), [25, 75]);
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
