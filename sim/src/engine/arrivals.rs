//! When clients bring calls.

use std::hint::black_box;
use std::time::Duration;

use dfaas_protocol::Time;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::scenario::random::{Stream, exponential};
use crate::scenario::{Arrivals, Service, Source};

/// The calls of a source, one after the other: the same for a seed, whoever takes them. The service time of a call is drawn
/// before the next call.
#[derive(Debug)]
pub struct Brings {
    rng: ChaCha8Rng,
    /// The place of the rate at hand, that rate, and until when it holds.
    place: usize,
    rate: f64,
    until: Time,
    now: Time,
    /// For even distances: the part of the way to the next call that is left.
    left: f64,
}

impl Brings {
    /// The source with that place in the experiment of that seed.
    pub fn new(seed: u64, index: usize) -> Brings {
        let mut rng = Stream::Source(index).rng(seed);
        let left = rng.random();
        Brings {
            rng,
            place: 0,
            rate: 0.0,
            until: Time::ZERO,
            now: Time::ZERO,
            left,
        }
    }

    /// When the next call arrives; nothing after `end`.
    pub fn next(&mut self, source: &Source, end: Time) -> Option<Time> {
        loop {
            let gap = match source.arrivals {
                Arrivals::Poisson => exponential(1.0 / self.rate, &mut self.rng),
                Arrivals::Constant => self.left / self.rate,
            };
            // A rate of zero makes the gap infinite, which is after every end.
            let at = self.now + nanos(gap);
            if at < self.until {
                self.now = at;
                self.left = 1.0;
                return Some(at);
            }
            if self.until >= end {
                return None;
            }
            // A Poisson process has no memory, so it may begin anew with the new rate.
            self.left -= self.rate * self.until.since(self.now).as_secs_f64();
            self.left = self.left.max(0.0);
            self.now = self.until;
            self.rate = source.rates.get(self.place)?.per_second;
            self.place += 1;
            let next = source.rates.get(self.place);
            self.until = next.map_or(end, |next| next.from.min(end));
        }
    }

    /// Reads it ahead.
    pub(crate) fn glance(&self) -> u64 {
        // All of the generator, which shows no less than itself.
        black_box(&self.rng.clone());
        self.until.as_nanos() + self.place as u64
    }

    /// How long the call that arrived takes, in seconds.
    pub fn service(&mut self, service: &Service) -> f64 {
        service.draw(&mut self.rng)
    }
}

/// Seconds as time; what is too long, and what is no number, is longer than any run.
pub(crate) fn nanos(seconds: f64) -> Duration {
    if seconds < 1e10 {
        Duration::from_nanos((seconds * 1e9) as u64)
    } else {
        Duration::from_secs(10_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Rate;

    fn source(arrivals: Arrivals) -> Source {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        Source {
            node: 0,
            function: 0,
            arrivals,
            rates: [(0, 100.0), (30, 0.0), (40, 300.0)]
                .map(|(from, per_second)| Rate {
                    from: at(from),
                    per_second,
                })
                .to_vec(),
        }
    }

    fn counts(arrivals: Arrivals) -> [usize; 3] {
        let source = source(arrivals);
        let mut brings = Brings::new(1, 0);
        let mut counts = [0; 3];
        while let Some(at) = brings.next(&source, Time::ZERO + Duration::from_secs(60)) {
            let seconds = at.as_nanos() / 1_000_000_000;
            counts[[30, 40].partition_point(|start| *start <= seconds)] += 1;
        }
        counts
    }

    #[test]
    fn arrivals_keep_each_rate() {
        let [first, none, last] = counts(Arrivals::Poisson);
        // 3000 and 6000, with standard deviations of 55 and 77.
        assert!((2700..3300).contains(&first) && (5600..6400).contains(&last));
        assert_eq!(none, 0);
        let [first, none, last] = counts(Arrivals::Constant);
        assert!(first.abs_diff(3000) <= 1 && last.abs_diff(6000) <= 1);
        assert_eq!(none, 0);
    }
}
