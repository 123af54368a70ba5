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
/// So many guesses are made where the lowest remainder is that is given one more, before the search goes on by halves.
const GUESSES: u32 = 4;
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

/// Where a threshold stands among remainders.
struct Cut {
    /// How many are at least it.
    within: u32,
    /// The least of those.
    least: i16,
    /// The greatest of the others.
    below: i16,
}

fn cut(remainders: &[i16], threshold: i16) -> Cut {
    let (mut count, mut room, mut below) = (0, 0, -1);
    for few in remainders.chunks(FEW) {
        let mut within = 0;
        for remainder in few {
            // Masks, so that a processor does some at a time; the least is where there is the most room above it.
            let is_within = -i16::from(*remainder >= threshold);
            within -= is_within;
            room = room.max((UNITS ^ *remainder) & is_within);
            below = below.max(*remainder | is_within);
        }
        count += u32::from(within.unsigned_abs());
    }
    Cut {
        within: count,
        least: UNITS - room,
        below,
    }
}

/// Gives one more each to those with the largest remainders.
fn give(left: u32, parts: &mut [u8], remainders: &[i16]) {
    // At least as many as are left have the remainder `low` or more, and fewer have `high`.
    let (mut low, mut at_low) = (-1, remainders.len() as u32);
    let (mut high, mut at_high) = (i32::from(UNITS) + 1, 0);
    // From one to the next if they were spread evenly, which they mostly are.
    let gap = high / at_low.max(1) as i32;
    let mut middle = high - gap * left as i32;
    let mut rounds = 0;
    while at_low > left && high - low > 1 {
        rounds += 1;
        if rounds > GUESSES || middle <= low || middle >= high {
            middle = (low + high) / 2;
        }
        let cut = cut(remainders, middle as i16);
        let more = cut.within as i32 - left as i32;
        if more < 0 {
            (high, at_high) = (i32::from(cut.below) + 1, cut.within);
        } else {
            (low, at_low) = (i32::from(cut.least), cut.within);
        }
        middle = match more {
            1 => low + 1,
            -1 => high - 1,
            _ => middle + gap * more,
        };
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
    use rand::seq::IndexedRandom;
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
    fn those_with_the_largest_remainders_are_given_one_more_and_of_equals_the_first() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..20_000 {
            let most = *[2, 40, i32::from(UNITS)].choose(&mut rng).unwrap();
            let count = rng.random_range(1..200);
            let remainders = (0..count).map(|_| rng.random_range(-1..=most) as i16);
            let remainders: Vec<i16> = remainders.collect();
            let mut first: Vec<usize> = (0..count).filter(|i| remainders[*i] >= 0).collect();
            first.sort_by_key(|i| std::cmp::Reverse(remainders[*i]));
            let left = rng.random_range(0..=first.len());
            let mut expected = vec![0; count];
            first[..left].iter().for_each(|i| expected[*i] = 1);
            let mut parts = vec![0; count];
            if left > 0 {
                give(left as u32, &mut parts, &remainders);
            }
            assert_eq!(parts, expected, "{left} for {remainders:?}");
        }
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
