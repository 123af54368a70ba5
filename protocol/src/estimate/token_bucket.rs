//! A token bucket in one atomic word.

use crate::{CallRate, Time};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A rate limit with a burst, as the generic cell rate algorithm has it (ITU-T I.371, virtual scheduling): one word
/// holds the theoretical arrival time of the next call. Tokens can be promised ahead, so that a waiting call knows when
/// its turn comes and headroom is negative while calls wait.
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

    /// Changes the rate and the size. What was taken stays taken, to within the new burst: a bucket that would have
    /// refilled slowly at the old rate is at worst empty, and refills at the new one.
    pub fn set_rate(&self, rate: CallRate, tokens: u32, now: Time) {
        self.store(rate, tokens);
        let latest = now.as_nanos().saturating_add(self.burst());
        self.arrival.fetch_min(latest, Relaxed);
    }

    fn store(&self, rate: CallRate, tokens: u32) {
        let interval = (rate.interval().as_nanos() as u64).max(1);
        let burst = interval.saturating_mul(u64::from(tokens.max(1)));
        self.interval.store(interval, Relaxed);
        self.burst.store(burst, Relaxed);
    }

    /// Takes a token if there is one.
    pub fn try_take(&self, now: Time) -> bool {
        self.take_within(now, 0).is_some()
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

    /// Takes a token now or promises one that comes later, if no more than `waiting` have been promised before it.
    /// Returns when the call may start.
    pub fn promise(&self, now: Time, waiting: u32) -> Option<Time> {
        let ahead = self.interval().saturating_mul(u64::from(waiting));
        self.take_within(now, ahead)
    }

    /// Gives a token back that was taken or promised and not used.
    pub fn give_back(&self) {
        let interval = self.interval();
        let _ = self.arrival.fetch_update(Relaxed, Relaxed, |arrival| {
            Some(arrival.saturating_sub(interval))
        });
    }

    /// Tokens in the bucket, negative by those promised ahead.
    pub fn tokens(&self, now: Time) -> i64 {
        let now = now.as_nanos();
        let arrival = self.arrival.load(Relaxed).max(now);
        let span = i128::from(now) + i128::from(self.burst()) - i128::from(arrival);
        span.div_euclid(i128::from(self.interval())) as i64
    }

    fn take_within(&self, now: Time, ahead: u64) -> Option<Time> {
        let now = now.as_nanos();
        let (interval, burst) = (self.interval(), self.burst());
        let after = |arrival: u64| arrival.max(now).saturating_add(interval);
        let latest = now.saturating_add(burst).saturating_add(ahead);
        let before = self
            .arrival
            .fetch_update(Relaxed, Relaxed, |arrival| {
                Some(after(arrival)).filter(|next| *next <= latest)
            })
            .ok()?;
        let start = after(before).saturating_sub(burst).max(now);
        Some(Time::from_nanos(start))
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
    fn promises_are_bounded_and_ordered() {
        let bucket = bucket(10.0, 1);
        assert_eq!(bucket.promise(at(1000), 2), Some(at(1000)));
        assert_eq!(bucket.promise(at(1000), 2), Some(at(1100)));
        assert_eq!(bucket.promise(at(1000), 2), Some(at(1200)));
        assert_eq!(bucket.promise(at(1000), 2), None);
        assert_eq!(bucket.tokens(at(1000)), -2);
        bucket.give_back();
        assert_eq!(bucket.tokens(at(1000)), -1);
    }
}
