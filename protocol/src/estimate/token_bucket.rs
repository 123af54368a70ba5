//! A token bucket in one atomic word.

use crate::{CallRate, Time};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A rate limit with a burst, as the generic cell rate algorithm has it (ITU-T I.371, virtual scheduling): one word
/// holds the theoretical arrival time of the next call.
#[derive(Debug)]
pub struct TokenBucket {
    /// Nanoseconds from one token to the next.
    interval: AtomicU64,
    /// Nanoseconds of burst: tokens in a full bucket times the interval.
    burst: AtomicU64,
    /// Theoretical arrival time of the next call, in nanoseconds of [`Time`].
    arrival: AtomicU64,
}

impl TokenBucket {
    /// A full bucket that gains `rate` tokens a second and holds `tokens`, but at least one.
    pub fn new(rate: CallRate, tokens: u32) -> TokenBucket {
        let bucket = TokenBucket {
            interval: AtomicU64::new(0),
            burst: AtomicU64::new(0),
            arrival: AtomicU64::new(0),
        };
        bucket.store(rate, tokens);
        bucket
    }

    /// A bucket of its own of which as much is taken.
    pub(crate) fn copied(&self) -> TokenBucket {
        let copied = |word: &AtomicU64| AtomicU64::new(word.load(Relaxed));
        TokenBucket {
            interval: copied(&self.interval),
            burst: copied(&self.burst),
            arrival: copied(&self.arrival),
        }
    }

    /// Changes the rate and the size. What was taken stays taken, to within the new burst: a bucket that would have
    /// refilled slowly at the old rate is at worst empty, and refills at the new one.
    pub fn set_rate(&self, rate: CallRate, tokens: u32, now: Time) {
        self.store(rate, tokens);
        let latest = now.as_nanos().saturating_add(self.burst());
        // Mostly it is earlier, and a look costs less than a change.
        if self.arrival.load(Relaxed) > latest {
            self.arrival.fetch_min(latest, Relaxed);
        }
    }

    fn store(&self, rate: CallRate, tokens: u32) {
        // Far within 63 bits, and signed numbers are sooner made of one.
        let interval = ((1e9 / rate.per_second()) as i64).max(1) as u64;
        let burst = interval.saturating_mul(u64::from(tokens.max(1)));
        self.interval.store(interval, Relaxed);
        self.burst.store(burst, Relaxed);
    }

    /// Takes a token if there is one.
    pub fn try_take(&self, now: Time) -> bool {
        self.take(now, now.as_nanos())
    }

    /// Takes so many tokens, be they there or not. The debt is one full bucket at most.
    pub fn spend(&self, tokens: u64, now: Time) {
        let now = now.as_nanos();
        let most = now.saturating_add(self.burst().saturating_mul(2));
        let span = self.interval().saturating_mul(tokens);
        let _ = self.arrival.fetch_update(Relaxed, Relaxed, |arrival| {
            Some(arrival.max(now).saturating_add(span).min(most))
        });
    }

    /// Takes a token, if there is one, for a call that waited for it: it counts from when it was there, if that is no longer ago
    /// than a burst, so that a timer which rings late costs nothing of the rate.
    pub fn take_waiting(&self, now: Time) -> bool {
        self.take(now, now.as_nanos().saturating_sub(self.burst()))
    }

    fn take(&self, now: Time, earliest: u64) -> bool {
        let (interval, latest) = (self.interval(), self.latest(now));
        self.arrival
            .fetch_update(Relaxed, Relaxed, |arrival| {
                let next = arrival.max(earliest).saturating_add(interval);
                Some(next).filter(|next| *next <= latest)
            })
            .is_ok()
    }

    /// When the next token will be there that is left over by `ahead` others; `now` if it is there.
    pub fn next(&self, now: Time, ahead: u32) -> Time {
        let tokens = u64::from(ahead).saturating_add(1);
        let tokens = self.interval().saturating_mul(tokens);
        let arrival = self.arrival.load(Relaxed).saturating_add(tokens);
        Time::from_nanos(arrival.saturating_sub(self.burst()).max(now.as_nanos()))
    }

    /// Tokens in the bucket, negative by those that were spent and not there.
    pub fn tokens(&self, now: Time) -> i64 {
        let arrival = self.arrival.load(Relaxed).max(now.as_nanos());
        let span = i128::from(self.latest(now)) - i128::from(arrival);
        span.div_euclid(i128::from(self.interval())) as i64
    }

    /// The latest theoretical arrival time at which the bucket is not overdrawn.
    fn latest(&self, now: Time) -> u64 {
        now.as_nanos().saturating_add(self.burst())
    }

    fn interval(&self) -> u64 {
        self.interval.load(Relaxed)
    }

    fn burst(&self) -> u64 {
        self.burst.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn bucket(rate: f64, tokens: u32) -> TokenBucket {
        TokenBucket::new(CallRate::new(rate).unwrap(), tokens)
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = bucket(100.0, 10);
        assert_eq!(bucket.tokens(at(500)), 10);
        let taken = (0..20).filter(|_| bucket.try_take(at(500))).count();
        assert_eq!(taken, 10);
        assert_eq!(bucket.tokens(at(500)), 0);
        assert!(!bucket.try_take(at(509)));
        assert!(bucket.try_take(at(510)));
        assert!(!bucket.try_take(at(510)));
    }

    #[test]
    fn over_a_minute_it_gives_its_rate() {
        let bucket = bucket(100.0, 10);
        let taken = (0..6600u64)
            .filter(|i| bucket.try_take(Time::from_nanos(i * 1_000_000_000 / 110)))
            .count();
        assert!((6000..=6010).contains(&taken), "{taken}");
    }

    #[test]
    fn a_faster_rate_takes_hold_at_once() {
        // One call every thousand seconds, and it was made.
        let bucket = bucket(0.001, 1);
        assert!(bucket.try_take(at(0)));
        bucket.set_rate(CallRate::new(100.0).unwrap(), 10, at(1000));
        assert_eq!(bucket.tokens(at(1000)), 0, "a new rate is no new burst");
        assert!(!bucket.try_take(at(1000)));
        let taken = (1000..2000).filter(|ms| bucket.try_take(at(*ms))).count();
        assert!((99..=100).contains(&taken), "{taken}");
    }

    #[test]
    fn a_slower_rate_keeps_what_was_taken() {
        let bucket = bucket(100.0, 10);
        assert_eq!((0..20).filter(|_| bucket.try_take(at(0))).count(), 10);
        bucket.set_rate(CallRate::new(1.0).unwrap(), 1, at(0));
        let taken = (0..10_000).filter(|ms| bucket.try_take(at(*ms))).count();
        assert!((9..=10).contains(&taken), "{taken}");
    }

    #[test]
    fn it_says_when_tokens_come() {
        let bucket = bucket(10.0, 1);
        assert_eq!(bucket.next(at(1000), 0), at(1000));
        assert!(bucket.try_take(at(1000)));
        assert_eq!(bucket.next(at(1000), 0), at(1100));
        assert_eq!(bucket.next(at(1050), 2), at(1300));
        assert!(!bucket.try_take(at(1099)));
        assert!(bucket.try_take(at(1100)));
    }

    #[test]
    fn who_waited_and_comes_late_costs_nothing_of_the_rate() {
        let bucket = bucket(10.0, 1);
        assert!(bucket.try_take(at(1000)));
        assert!(bucket.take_waiting(at(1130)), "it was there at 1100");
        assert!(!bucket.take_waiting(at(1199)));
        assert!(bucket.take_waiting(at(1200)));
        // Not more than a burst ago.
        assert!(bucket.take_waiting(at(9000)) && bucket.take_waiting(at(9000)));
        assert!(!bucket.take_waiting(at(9000)));
    }
}
