//! Standing: how far a neighbour's word for a function is taken, by how its offers turned out.
//!
//! An offer is a promise: that a call finds room, and is answered in about the time that the neighbour says. A promise that is
//! broken costs standing, and standing is the share of calls for which the neighbour is considered at all. Busy nodes that
//! are honest break some promises too, as their offers are old when they are used; so nothing is lost below
//! [`TOLERATED`]. Standing falls at once and rises slowly, with promises that are kept and with time, and it never falls to
//! zero: some calls find out whether it has changed.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::Time;

/// Broken promises of all, up to which nothing is lost. Among honest nodes 2 to 4 % of forwards are refused in normal load and
/// 16 % in a full federation, most of them with the truth about what is left.
const TOLERATED: f32 = 0.35;
/// From there on the least standing is left.
const HOPELESS: f32 = 0.8;
/// The least standing.
const LEAST: f32 = 0.02;
/// How much one promise counts for among those before it.
const WEIGHT: f32 = 1.0 / 32.0;
/// How much one counts for that cannot have been broken by chance.
const PLAIN_WEIGHT: f32 = 1.0 / 8.0;
/// What was broken counts half after so many seconds.
const HALF_LIFE_S: f32 = 30.0;
/// How much standing a second brings back at most.
const RISE: f32 = 1.0 / 60.0;
/// What is remembered of broken promises below this is forgotten.
const FORGOTTEN: f32 = 0.01;
/// Every call is admitted.
const ALL: u32 = 100;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It refused a call for which it had offered room, or its answer was far later than it says, or its connection broke.
    /// That happens.
    Missed,
    /// It refused a call for want of room and said in the same breath that it has room, or it did not answer at all.
    Plain,
}

/// How far a neighbour's word for one function is taken. It outlives the offer.
#[derive(Debug)]
pub struct Trust {
    /// The share of a hundred calls that is admitted.
    open: AtomicU32,
    /// The shares of all that asked, added up: a call is admitted when the sum passes a hundred.
    asked: AtomicU32,
    /// Whether nothing is remembered against it.
    clean: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Clone, Copy, Debug)]
struct Inner {
    /// The share of promises that were broken lately.
    broken: f32,
    standing: f32,
    at: Time,
}

impl Default for Trust {
    fn default() -> Trust {
        Trust {
            open: AtomicU32::new(ALL),
            asked: AtomicU32::new(0),
            clean: AtomicBool::new(true),
            inner: Mutex::new(Inner {
                broken: 0.0,
                standing: 1.0,
                at: Time::ZERO,
            }),
        }
    }
}

impl Trust {
    /// Whether the neighbour is considered for this call. Below full standing each question counts as a call: so many of a
    /// hundred are admitted, evenly spread.
    pub fn admits(&self) -> bool {
        match self.open.load(Relaxed) {
            ALL => true,
            share => self.asked.fetch_add(share, Relaxed) % ALL + share >= ALL,
        }
    }

    /// The standing, from 0.02 to 1, as of when something last changed it.
    pub fn standing(&self) -> f32 {
        self.lock().standing
    }

    /// Whether all of its standing is there.
    pub fn is_full(&self) -> bool {
        self.open.load(Relaxed) == ALL
    }

    /// Whether nothing is remembered against it.
    pub fn is_clean(&self) -> bool {
        self.clean.load(Relaxed)
    }

    /// A promise was kept. The time is asked for only where it matters, as this happens with every call.
    pub fn kept(&self, now: impl FnOnce() -> Time) {
        if !self.is_clean() {
            self.change(now(), |broken| broken - WEIGHT * broken);
        }
    }

    /// A promise was broken.
    pub fn broken(&self, breach: Breach, now: Time) {
        let weight = match breach {
            Breach::Missed => WEIGHT,
            Breach::Plain => PLAIN_WEIGHT,
        };
        self.change(now, |broken| broken + weight * (1.0 - broken));
    }

    /// Time passed.
    pub fn pass_time(&self, now: Time) {
        if !self.is_clean() {
            self.change(now, |broken| broken);
        }
    }

    fn change(&self, now: Time, change: impl FnOnce(f32) -> f32) {
        let mut inner = self.lock();
        let seconds = now.since(inner.at).as_secs_f32();
        let faded = inner.broken * (-seconds / HALF_LIFE_S).exp2();
        inner.broken = change(faded);
        let beyond = (inner.broken - TOLERATED) / (HOPELESS - TOLERATED);
        let deserved = (1.0 - beyond).clamp(LEAST, 1.0);
        // One that was long without an offer has risen meanwhile.
        inner.standing = deserved.min(inner.standing + RISE * seconds);
        inner.at = now.max(inner.at);
        let clean = inner.broken < FORGOTTEN && inner.standing >= 1.0;
        if clean {
            inner.broken = 0.0;
        }
        self.clean.store(clean, Relaxed);
        let open = (inner.standing * ALL as f32).round() as u32;
        self.open.store(open, Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Whoever panicked with the lock left numbers that are whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// So many promises, a hundred a second, of which every n-th is broken.
    fn after(trust: &Trust, count: u64, nth: u64, breach: Breach) -> f32 {
        let mut least = 1.0f32;
        for i in 1..=count {
            if i % nth == 0 {
                trust.broken(breach, at(i * 10));
            } else {
                trust.kept(|| at(i * 10));
            }
            least = least.min(trust.standing());
        }
        least
    }

    fn admitted(trust: &Trust) -> usize {
        (0..1000).filter(|_| trust.admits()).count()
    }

    #[test]
    fn honest_nodes_in_a_full_federation_lose_nothing() {
        // 16 %, and even a quarter.
        for nth in [50, 25, 6, 4] {
            let trust = Trust::default();
            assert_eq!(after(&trust, 10_000, nth, Breach::Missed), 1.0, "{nth}");
            assert_eq!(admitted(&trust), 1000);
        }
    }

    #[test]
    fn who_breaks_most_promises_keeps_a_trickle_of_calls() {
        let trust = Trust::default();
        assert!(after(&trust, 200, 1, Breach::Missed) < 0.03);
        assert_eq!(admitted(&trust), 20);
        assert!(!trust.is_full() && !trust.is_clean());
    }

    #[test]
    fn a_plain_lie_is_believed_less_often() {
        let lies = |breach| {
            let trust = Trust::default();
            (1..)
                .find(|n| {
                    trust.broken(breach, at(*n));
                    trust.standing() < 0.5
                })
                .unwrap()
        };
        assert!((25..35).contains(&lies(Breach::Missed)));
        assert!((5..9).contains(&lies(Breach::Plain)));
    }

    #[test]
    fn standing_comes_back_slowly_with_promises_kept() {
        let trust = Trust::default();
        after(&trust, 200, 1, Breach::Missed);
        let mut before = trust.standing();
        for second in 1..=30 {
            (0..100).for_each(|_| trust.kept(|| at(2000 + second * 1000)));
            let now = trust.standing();
            assert!(now >= before && now - before < 0.02, "{before} {now}");
            before = now;
        }
        assert!((0.4..0.6).contains(&before), "{before}");
    }

    #[test]
    fn standing_comes_back_with_time_alone_and_then_nothing_is_remembered() {
        let trust = Trust::default();
        after(&trust, 200, 1, Breach::Missed);
        trust.pass_time(at(32_000));
        assert!(trust.standing() < 0.7, "{}", trust.standing());
        (33..400).for_each(|second| trust.pass_time(at(second * 1000)));
        assert!(trust.is_clean() && trust.is_full());
        assert_eq!(trust.standing(), 1.0);
    }

    #[test]
    fn a_clean_record_costs_no_time() {
        Trust::default().kept(|| unreachable!("nobody asks for it"));
    }
}
