//! How long a function's calls took, by how they ended and with which status.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Outcome;

/// The upper bounds of the buckets, in seconds: those of OpenFaaS. There is one more bucket without a bound.
pub const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = {
    let mut nanos = [0; BOUNDS.len()];
    let mut i = 0;
    while i < BOUNDS.len() {
        nanos[i] = (BOUNDS[i] * 1e9) as u64;
        i += 1;
    }
    nanos
};
const BUCKETS: usize = BOUNDS.len() + 1;
/// How many pairs of outcome and status are told apart. A function has a handful; what comes beyond shares one series for
/// each outcome.
const PAIRS: usize = 12;
/// A series that no pair has taken yet. No pair is zero, as no status is.
const FREE: u32 = 0;

/// Histograms of the calls of one function. Recording takes no lock and allocates nothing.
#[derive(Debug, Default)]
pub struct Latencies {
    pairs: [Series; PAIRS],
    rest: [Series; Outcome::ALL.len()],
}

#[derive(Debug, Default)]
struct Series {
    /// The outcome in the high half, the status in the low one.
    pair: AtomicU32,
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// What was recorded of the calls that ended alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencySeries {
    /// How they ended.
    pub outcome: Outcome,
    /// With which status; none for those that are not told apart.
    pub code: Option<u16>,
    /// Calls in each bucket, not those below it; the last one has no bound.
    pub buckets: [u64; BUCKETS],
    /// The time that they took in all, in seconds.
    pub seconds: f64,
}

impl LatencySeries {
    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Latencies {
    /// Records one call.
    pub fn record(&self, outcome: Outcome, code: u16, took: Duration) {
        let series = self.series(outcome, code);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NANOS.partition_point(|bound| nanos > *bound);
        series.buckets[bucket].fetch_add(1, Relaxed);
        series.nanos.fetch_add(nanos, Relaxed);
    }

    fn series(&self, outcome: Outcome, code: u16) -> &Series {
        let pair = (outcome as u32) << 16 | u32::from(code);
        for series in &self.pairs {
            let mut taken = series.pair.load(Relaxed);
            if taken == FREE {
                taken = series
                    .pair
                    .compare_exchange(FREE, pair, Relaxed, Relaxed)
                    .map_or_else(|other| other, |_| pair);
            }
            if taken == pair {
                return series;
            }
        }
        &self.rest[outcome as usize]
    }

    /// What was recorded so far.
    pub fn read(&self) -> Vec<LatencySeries> {
        let pairs = self.pairs.iter().filter_map(|series| {
            let pair = series.pair.load(Relaxed);
            let outcome = *Outcome::ALL.get((pair >> 16) as usize)?;
            (pair != FREE).then(|| series.read(outcome, Some(pair as u16)))
        });
        let rest = Outcome::ALL.iter().zip(&self.rest);
        let rest = rest.map(|(outcome, series)| series.read(*outcome, None));
        pairs.chain(rest.filter(|read| read.count() > 0)).collect()
    }
}

impl Series {
    fn read(&self, outcome: Outcome, code: Option<u16>) -> LatencySeries {
        LatencySeries {
            outcome,
            code,
            buckets: std::array::from_fn(|i| self.buckets[i].load(Relaxed)),
            seconds: self.nanos.load(Relaxed) as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_the_bucket_of_its_time() {
        let latencies = Latencies::default();
        for us in [0, 5_000, 5_001, 99_000, 10_000_000, 10_000_001, 99_000_000] {
            latencies.record(Outcome::RunHere, 200, Duration::from_micros(us));
        }
        let read = latencies.read();
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].outcome, read[0].code),
            (Outcome::RunHere, Some(200))
        );
        assert_eq!(read[0].buckets, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert!((read[0].seconds - 119.109_002).abs() < 1e-6);
    }

    #[test]
    fn outcomes_and_statuses_are_told_apart_and_none_is_lost() {
        let latencies = Latencies::default();
        latencies.record(Outcome::RunHere, 200, Duration::ZERO);
        latencies.record(Outcome::Forwarded, 200, Duration::ZERO);
        for code in 400..500 {
            latencies.record(Outcome::Forwarded, code, Duration::ZERO);
        }
        let read = latencies.read();
        assert_eq!(read.iter().map(LatencySeries::count).sum::<u64>(), 102);
        assert_eq!(read.len(), PAIRS + 1);
        let rest = read.last().unwrap();
        assert_eq!((rest.outcome, rest.code), (Outcome::Forwarded, None));
        assert_eq!(rest.count(), 102 - PAIRS as u64);
    }

    #[test]
    fn threads_that_race_for_a_series_lose_no_call() {
        let latencies = Latencies::default();
        std::thread::scope(|scope| {
            for thread in 0..8u16 {
                let latencies = &latencies;
                scope.spawn(move || {
                    for call in 0..1000u16 {
                        let code = 200 + (thread + call) % 8;
                        latencies.record(Outcome::RunHere, code, Duration::ZERO);
                    }
                });
            }
        });
        let read = latencies.read();
        assert_eq!(read.len(), 8);
        assert!(read.iter().all(|series| series.count() == 1000), "{read:?}");
    }
}
