//! What the data path tells of the calls that ended, for the limiter to take.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Time;

/// Levels up to here have a bin of their own; above, bins grow by [`GROWTH`].
const EXACT: u32 = 128;
const GROWTH: f64 = 1.03;
/// So many bins reach a million calls at one time.
const BINS: usize = 432;
/// A bin counts calls in its high 20 bits, and their time in units of 64 ns below.
const ONE_CALL: u64 = 1 << 44;
const UNIT_NANOS: u64 = 64;
/// Longer calls are counted as that long: five minutes.
const LONGEST: u64 = 1 << 32;

/// What was told of a function's calls since it was last taken, by how many ran: how long calls took by how many ran when each
/// began, and how long so many ran with how many calls that ended meanwhile. To tell of a call is a few atomic additions, without a
/// lock or an allocation. Calls that begin and end at the same moment on several threads may be taken for one level beside theirs.
#[derive(Debug)]
pub struct Samples {
    since: Bins,
    meanwhile: Bins,
    /// When the number of those that run changed last, in nanoseconds of [`Time`].
    changed: AtomicU64,
    refused: AtomicU32,
}

/// Calls and their time, by level.
#[derive(Debug)]
struct Bins(Box<[AtomicU64]>);

/// Calls at a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taken {
    /// How many ran, with the call itself.
    pub(super) level: f64,
    /// Calls.
    pub(super) calls: f64,
    /// Their time in all, in seconds.
    pub(super) seconds: f64,
}

impl Default for Samples {
    fn default() -> Samples {
        Samples {
            since: Bins::default(),
            meanwhile: Bins::default(),
            changed: AtomicU64::new(0),
            refused: AtomicU32::new(0),
        }
    }
}

impl Samples {
    /// A call begins; `running` run now, itself among them.
    pub fn begins(&self, running: u32, now: Time) {
        self.spend(running.saturating_sub(1), now);
    }

    /// A call was answered that took so long and began when `began` ran; `running` have run until now, itself among both.
    pub fn answered(&self, began: u32, running: u32, took: Duration, now: Time) {
        self.ends(running, now);
        self.meanwhile.add(running, 1, Duration::ZERO);
        self.since.add(began, 1, took);
    }

    /// A call ended of which nothing is to be learned but that it ran; `running` have run until now, itself among them.
    pub fn ends(&self, running: u32, now: Time) {
        self.spend(running, now);
    }

    /// So many have run since the number changed last.
    fn spend(&self, running: u32, now: Time) {
        let before = Time::from_nanos(self.changed.swap(now.as_nanos(), Relaxed));
        if running > 0 {
            let each = now.since(before);
            self.meanwhile.add(running, 0, each.saturating_mul(running));
        }
    }

    /// The platform refused a call because it had no room.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Takes how long calls took, by how many ran when each began.
    pub(super) fn take_since(&self) -> impl Iterator<Item = (usize, Taken)> {
        self.since.take()
    }

    /// Takes how many calls ended while so many ran, and for how long those ran, all together.
    pub(super) fn take_meanwhile(&self) -> impl Iterator<Item = (usize, Taken)> {
        self.meanwhile.take()
    }

    /// Takes how many were refused.
    pub(super) fn take_refused(&self) -> u32 {
        self.refused.swap(0, Relaxed)
    }
}

impl Default for Bins {
    fn default() -> Bins {
        Bins((0..BINS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Bins {
    fn add(&self, running: u32, calls: u64, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let units = (nanos / UNIT_NANOS).min(LONGEST);
        if let Some(bin) = self.0.get(bin(running)) {
            bin.fetch_add(calls * ONE_CALL + units, Relaxed);
        }
    }

    /// Takes what was added, bin by bin.
    fn take(&self) -> impl Iterator<Item = (usize, Taken)> {
        self.0.iter().enumerate().filter_map(|(index, bin)| {
            if bin.load(Relaxed) == 0 {
                return None;
            }
            let word = bin.swap(0, Relaxed);
            let units = word % ONE_CALL;
            let taken = Taken {
                level: level(index),
                calls: (word / ONE_CALL) as f64,
                seconds: (units * UNIT_NANOS) as f64 / 1e9,
            };
            Some((index, taken))
        })
    }
}

/// The bin of a level.
pub(super) fn bin(running: u32) -> usize {
    if running <= EXACT {
        return running.saturating_sub(1) as usize;
    }
    let above = (f64::from(running) / f64::from(EXACT)).ln() / GROWTH.ln();
    (EXACT as usize - 1 + above.round() as usize).min(BINS - 1)
}

/// The level of a bin, in its middle.
pub(super) fn level(bin: usize) -> f64 {
    if bin < EXACT as usize {
        return (bin + 1) as f64;
    }
    f64::from(EXACT) * GROWTH.powi((bin + 1 - EXACT as usize) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_in_its_bin_to_within_two_per_cent() {
        for running in (1..=128).chain([129, 200, 1_000, 77_777, 1_000_000]) {
            let found = level(bin(running)) / f64::from(running);
            assert!((0.98..=1.02).contains(&found), "{running}: {found}");
        }
        assert_eq!(level(bin(64)), 64.0);
        assert_eq!(bin(0), 0);
        assert_eq!(bin(u32::MAX), BINS - 1);
    }

    #[test]
    fn what_was_told_is_taken_once() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let ms = Duration::from_millis;
        let samples = Samples::default();
        // One from 1 s on, two from 1.01 s, one again from 1.03 s to 1.04 s.
        samples.begins(1, at(1000));
        samples.begins(2, at(1010));
        samples.answered(1, 2, ms(30), at(1030));
        samples.answered(2, 1, ms(30), at(1040));
        let all = |taken: &mut dyn Iterator<Item = (usize, Taken)>| -> Vec<(f64, f64, f64)> {
            taken
                .map(|(_, t)| (t.level, t.calls, (t.seconds * 1e3).round()))
                .collect()
        };
        let since = all(&mut samples.take_since());
        assert_eq!(since, [(1.0, 1.0, 30.0), (2.0, 1.0, 30.0)]);
        let meanwhile = all(&mut samples.take_meanwhile());
        assert_eq!(meanwhile, [(1.0, 1.0, 20.0), (2.0, 1.0, 40.0)]);
        assert_eq!(
            samples.take_since().count() + samples.take_meanwhile().count(),
            0
        );
    }

    #[test]
    fn time_in_which_nothing_runs_counts_nowhere_and_no_time_is_too_long() {
        let samples = Samples::default();
        let hour = |hours: u64| Time::ZERO + Duration::from_secs(3600 * hours);
        samples.begins(1, hour(1));
        samples.ends(1, hour(1));
        assert_eq!(samples.take_meanwhile().count(), 0);
        samples.begins(1, hour(2));
        samples.answered(1, 7, Duration::MAX, hour(3));
        let taken: Vec<Taken> = samples.take_meanwhile().map(|(_, taken)| taken).collect();
        assert_eq!((taken.len(), taken[0].level, taken[0].calls), (1, 7.0, 1.0));
        assert!((270.0..280.0).contains(&taken[0].seconds), "{taken:?}");
        samples.refuse();
        assert_eq!((samples.take_refused(), samples.take_refused()), (1, 0));
    }
}
