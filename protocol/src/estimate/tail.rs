//! The time that 95 % of calls keep to, from each call as it ends.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The share of calls that take longer.
const BEYOND: f64 = 0.05;
/// The first call stands for so much of the time that 95 % keep to: ln 20, as if times were exponentially distributed.
const FIRST: f64 = 2.995_732;
/// How far one call moves the estimate: at first this over ten and the number of calls, and in the long run the last step. The optimum
/// is the inverse of the density of the logarithm of times there: 6.7 for exponential times, 14.5 for log-normal ones with a sigma of
/// 1.5; a smaller one than half of that hardly forgets how it began. With the last step the standard deviation is 2.5 % and 3.7 %
/// for these two, and a change is followed within some thousand calls.
const STEP: f64 = 15.0;
const LAST_STEP: f64 = 0.004;

/// Follows the time that 95 % of calls keep to, whatever their distribution: a call that took longer moves it up by 95 parts of
/// a step, any other down by five, so that it comes to rest where five of a hundred take longer (stochastic
/// approximation: Robbins and Monro, 1951). One atomic word, without a lock or an allocation.
#[derive(Debug, Default)]
pub struct Tail(AtomicU64);

impl Tail {
    /// A call took so long.
    pub fn record(&self, took: Duration) {
        let took = took.as_secs_f64();
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (time, calls) = parts(word);
            let next = if calls == 0 {
                FIRST * took
            } else {
                let step = (STEP / (10.0 + f64::from(calls))).max(LAST_STEP);
                let way = if took > time { 1.0 - BEYOND } else { -BEYOND };
                time * (1.0 + step * way)
            };
            // A time of zero could never grow again.
            let next = next.max(1e-9) as f32;
            Some(u64::from(next.to_bits()) << 32 | u64::from(calls.saturating_add(1)))
        });
    }

    /// The time, once a call has been recorded.
    pub fn get(&self) -> Option<Duration> {
        let (time, calls) = parts(self.0.load(Relaxed));
        (calls > 0).then(|| Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX))
    }
}

/// The time in seconds, and how many calls it stands for.
fn parts(word: u64) -> (f64, u32) {
    (f64::from(f32::from_bits((word >> 32) as u32)), word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The mean of what is told after each of the last thousand calls, in means of a call.
    fn told(calls: u32, mut draw: impl FnMut(f64) -> f64) -> f64 {
        let tail = Tail::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut sum = 0.0;
        for call in 0..calls {
            tail.record(Duration::from_secs_f64(0.1 * draw(rng.random())));
            if call >= calls - 1000 {
                sum += tail.get().unwrap().as_secs_f64() / 0.1;
            }
        }
        sum / 1000.0
    }

    #[test]
    fn it_is_the_time_that_95_of_100_keep_to_whatever_the_distribution() {
        let exponential = told(20_000, |u| -(1.0 - u).ln());
        assert!((2.8..3.2).contains(&exponential), "{exponential}");
        let uniform = told(20_000, |u| 2.0 * u);
        assert!((1.85..1.95).contains(&uniform), "{uniform}");
        let constant = told(2_000, |_| 1.0);
        assert!((0.99..1.01).contains(&constant), "{constant}");
        // Pareto with a shape of 2: 20 to the power of one half.
        let pareto = told(20_000, |u| (1.0 - u).powf(-0.5));
        assert!((4.2..4.8).contains(&pareto), "{pareto}");
    }

    #[test]
    fn it_follows_a_change() {
        let mut calls = 0;
        let slower = told(20_000, |u| {
            calls += 1;
            let mean = if calls > 10_000 { 3.0 } else { 1.0 };
            -mean * (1.0 - u).ln()
        });
        assert!((8.2..9.8).contains(&slower), "{slower}");
    }

    #[test]
    fn nothing_is_told_before_the_first_call_and_the_longest_does_no_harm() {
        let tail = Tail::default();
        assert_eq!(tail.get(), None);
        tail.record(Duration::from_millis(100));
        let first = tail.get().unwrap().as_secs_f64();
        assert!((first - 0.299_573).abs() < 1e-6, "{first}");
        tail.record(Duration::MAX);
        tail.record(Duration::ZERO);
        assert!(tail.get().unwrap() < Duration::from_millis(750));
        let zero = Tail::default();
        zero.record(Duration::ZERO);
        (0..100).for_each(|_| zero.record(Duration::from_secs(1)));
        assert!(zero.get().unwrap() > Duration::from_nanos(1));
    }
}
