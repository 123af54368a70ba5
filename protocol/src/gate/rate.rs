//! A gate with a rate.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::estimate::TokenBucket;
use crate::{CallRate, Headroom, Time};

use super::{Entry, clamp};

/// A burst is a tenth of a second of the rate.
const BURST_SECONDS: f64 = 0.1;

/// Counts what runs and what waits for tokens.
#[derive(Debug)]
pub(super) struct RateGate {
    rate: CallRate,
    bucket: TokenBucket,
    burst: u32,
    running: AtomicU32,
    waiting: AtomicU32,
}

impl RateGate {
    /// With a whole burst to begin with.
    pub(super) fn new(rate: CallRate) -> RateGate {
        let burst = (rate.per_second() * BURST_SECONDS).ceil().max(1.0) as u32;
        RateGate {
            rate,
            bucket: TokenBucket::new(rate, burst),
            burst,
            running: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        }
    }

    pub(super) const fn rate(&self) -> CallRate {
        self.rate
    }

    pub(super) fn start(&self, now: Time) -> bool {
        let taken = self.waiting.load(Relaxed) == 0 && self.bucket.try_take(now);
        if taken {
            self.running.fetch_add(1, Relaxed);
        }
        taken
    }

    pub(super) fn enter(&self, now: Time, queue: u32) -> Entry {
        Entry::of(self.start(now), || self.wait(queue))
    }

    /// Lets a call wait, as one of so many at most.
    pub(super) fn wait(&self, most: u32) -> bool {
        let more = |n| (n < most).then_some(n + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    pub(super) fn resume(&self, now: Time) -> bool {
        let taken = self.waiting.load(Relaxed) > 0 && self.bucket.take_waiting(now);
        if taken {
            self.waiting.fetch_sub(1, Relaxed);
            self.running.fetch_add(1, Relaxed);
        }
        taken
    }

    /// When there will be a token for one before whom `ahead` go.
    pub(super) fn next_token(&self, now: Time, ahead: usize) -> Time {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.bucket.next(now, ahead)
    }

    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Relaxed);
    }

    pub(super) fn leave(&self) {
        let _ = self
            .waiting
            .fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
    }

    /// What is left: the tokens that are there, less those who wait for one.
    pub(super) fn headroom(&self, now: Time) -> Headroom {
        let waiting = i64::from(self.waiting.load(Relaxed));
        Headroom {
            free: clamp(self.bucket.tokens(now) - waiting),
            size: self.burst,
        }
    }

    pub(super) fn running(&self) -> u32 {
        self.running.load(Relaxed)
    }
}
