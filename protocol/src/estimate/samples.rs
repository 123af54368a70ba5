//! What the data path tells of the calls that ended, for the limiter to take.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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

/// Calls that ended since they were last taken, by how many ran when each began. Recording is one atomic addition,
/// without a lock or an allocation.
#[derive(Debug)]
pub struct Samples {
    bins: Box<[AtomicU64]>,
    refused: AtomicU32,
}

/// Calls that began while about as many ran.
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
            bins: (0..BINS).map(|_| AtomicU64::new(0)).collect(),
            refused: AtomicU32::new(0),
        }
    }
}

impl Samples {
    /// A call was answered that took so long and began when `running` ran, itself among them.
    pub fn record(&self, running: u32, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let units = (nanos / UNIT_NANOS).min(LONGEST);
        if let Some(bin) = self.bins.get(bin(running)) {
            bin.fetch_add(ONE_CALL | units, Relaxed);
        }
    }

    /// The platform refused a call because it had no room.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Takes what was recorded, bin by bin.
    pub(super) fn take(&self) -> impl Iterator<Item = (usize, Taken)> {
        self.bins.iter().enumerate().filter_map(|(index, bin)| {
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

    /// Takes how many were refused.
    pub(super) fn take_refused(&self) -> u32 {
        self.refused.swap(0, Relaxed)
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
    fn what_was_recorded_is_taken_once() {
        let samples = Samples::default();
        samples.record(3, Duration::from_millis(10));
        samples.record(3, Duration::from_millis(20));
        samples.record(7, Duration::MAX);
        samples.refuse();
        let taken: Vec<(usize, Taken)> = samples.take().collect();
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].1.level, taken[0].1.calls), (3.0, 2.0));
        assert!((taken[0].1.seconds - 0.03).abs() < 1e-6);
        assert_eq!(taken[1].1.calls, 1.0);
        assert_eq!(samples.take().count(), 0);
        assert_eq!((samples.take_refused(), samples.take_refused()), (1, 0));
    }
}
