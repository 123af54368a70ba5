//! What is remembered of calls by how many ran, and how likely that makes a number of slots.

use super::samples::{Taken, level};

/// Fewer calls say nothing.
pub(super) const FEWEST: f64 = 10.0;
/// Fewer calls at a level are not looked at where the likeliest number is looked for.
const MEASURED: f64 = 3.0;

/// Calls, and the time that they took or ran, by level.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels(Vec<Bin>);

/// What is remembered of one level.
#[derive(Clone, Copy, Debug)]
struct Bin {
    level: f64,
    /// Its logarithm, which takes longer than all else that a likelihood needs.
    ln: f64,
    calls: f64,
    seconds: f64,
}

impl Levels {
    /// Adds what was taken of a bin.
    pub(super) fn add(&mut self, index: usize, taken: Taken) {
        self.0.extend((self.0.len()..=index).map(|index| Bin {
            level: level(index),
            ln: level(index).ln(),
            calls: 0.0,
            seconds: 0.0,
        }));
        self.0[index].calls += taken.calls;
        self.0[index].seconds += taken.seconds;
    }

    /// Keeps that part of each level.
    pub(super) fn keep(&mut self, part: impl Fn(f64) -> f64) {
        for bin in &mut self.0 {
            let part = part(bin.level);
            bin.calls *= part;
            bin.seconds *= part;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Calls remembered at those levels.
    pub(super) fn weigh(&self, holds: impl Fn(f64) -> bool) -> f64 {
        let bins = self.0.iter().filter(|bin| holds(bin.level));
        bins.map(|bin| bin.calls).sum()
    }

    /// The service time of a call with nothing beside it, if so many run at once.
    pub(super) fn service(&self, slots: u32) -> Option<f64> {
        let (mut calls, mut seconds) = (0.0, 0.0);
        for bin in &self.0 {
            calls += bin.calls;
            seconds += bin.seconds / stretch(bin.level, slots);
        }
        (calls >= FEWEST && seconds > 0.0).then(|| seconds / calls)
    }

    /// The logarithm of the likelihood that so many run at once, less what is the same for all.
    pub(super) fn likelihood(&self, slots: u32) -> f64 {
        let (mut calls, mut seconds, mut sum) = (0.0, 0.0, 0.0);
        let (most, ln) = (f64::from(slots), f64::from(slots).ln());
        for bin in &self.0 {
            calls += bin.calls;
            seconds += bin.seconds / stretch(bin.level, slots);
            if bin.level > most {
                sum -= bin.calls * (bin.ln - ln);
            }
        }
        if calls < FEWEST || seconds <= 0.0 {
            return 0.0;
        }
        sum - calls * (seconds / calls).ln()
    }

    /// The likeliest number, but none above `most`; `now` unless another one is likelier by `hysteresis`.
    pub(super) fn likeliest(&self, now: u32, most: u32, hysteresis: f64) -> u32 {
        let measured = |bin: &Bin| bin.calls >= MEASURED;
        let Some(low) = self.0.iter().position(measured) else {
            return now;
        };
        let high = self.0.iter().rposition(measured).unwrap_or(low);
        let mut best = (now, self.likelihood(now) + hysteresis);
        // From the nearest to the farthest, so that of equals the nearest stands.
        let here = super::samples::bin(now);
        for candidate in (low..=high.min(here)).rev().chain(here.max(low)..=high) {
            let slots = (self.0[candidate].level.round() as u32).min(most);
            let likelihood = self.likelihood(slots);
            if likelihood > best.1 + 1e-9 {
                best = (slots, likelihood);
            }
        }
        best.0
    }
}

/// How much longer a call takes where `level` run on a platform that runs `slots` at once.
pub(super) fn stretch(level: f64, slots: u32) -> f64 {
    (level / f64::from(slots)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(taken: &[(u32, f64, f64)]) -> Levels {
        let mut levels = Levels::default();
        for (level, calls, seconds) in taken {
            let taken = Taken {
                level: f64::from(*level),
                calls: *calls,
                seconds: *seconds,
            };
            levels.add(super::super::samples::bin(*level), taken);
        }
        levels
    }

    #[test]
    fn a_likelihood_is_worked_out_by_hand() {
        // 100 calls a second while one runs, and 200 a second while two run and while four do.
        let levels = levels(&[(1, 100.0, 1.0), (2, 200.0, 2.0), (4, 200.0, 4.0)]);
        // Of two slots: all calls take 10 ms, and 200 of them twice that.
        let two = -200.0 * 2f64.ln() - 500.0 * 0.01f64.ln();
        assert!((levels.likelihood(2) - two).abs() < 1e-9);
        // Of one slot: 1 s and 1 s and 1 s for 500 calls, twice and four times as long.
        let one = -200.0 * 2f64.ln() - 200.0 * 4f64.ln() - 500.0 * (3.0f64 / 500.0).ln();
        assert!((levels.likelihood(1) - one).abs() < 1e-9);
        assert_eq!(levels.likeliest(4, 9, 0.0), 2);
        assert_eq!(levels.likeliest(4, 1, 0.0), 1);
        assert_eq!(levels.service(2), Some(0.01));
    }

    #[test]
    fn time_in_which_no_call_ends_counts() {
        // Two run for ten times as long as ten calls of one need, and none ends.
        let levels = levels(&[(1, 20.0, 0.2), (2, 0.0, 2.0), (3, 10.0, 0.3)]);
        assert_eq!(levels.service(1), Some(1.3 / 30.0));
    }
}
