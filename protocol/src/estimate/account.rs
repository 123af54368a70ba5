//! What one account knows of calls, and whether that still holds.

use super::levels::Levels;
use super::samples::Taken;
use crate::capacity::MAX_SLOTS;

/// How much likelier, in units of log-likelihood, another number must be by the calls of late before what is older is given up.
const CHANGED: f64 = 6.0;

/// Calls by how many ran, remembered twice: for long, as one number of slots is told from the next only by thousands of calls, and of
/// late, as what was looked at has to be looked at again, and to tell whether what is older still holds. A memory of one length does one of
/// them badly.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) recent: Levels,
    lasting: Levels,
}

impl Account {
    /// Adds what was taken of a bin.
    pub(super) fn add(&mut self, index: usize, taken: Taken) {
        self.recent.add(index, taken);
        self.lasting.add(index, taken);
    }

    /// Keeps that part of the calls of late, by level, and of all.
    pub(super) fn keep(&mut self, recent: impl Fn(f64) -> f64, lasting: f64) {
        self.recent.keep(recent);
        self.lasting.keep(|_| lasting);
    }

    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.lasting.clear();
    }

    /// Whether the calls of late speak against the number that all of them make the likeliest, a generalised likelihood-ratio test.
    pub(super) fn changed(&self, now: u32) -> bool {
        let was = self.lasting.likeliest(now, MAX_SLOTS, 0.0);
        self.recent.likeliest(was, MAX_SLOTS, CHANGED) != was
    }

    /// Gives up what is older than the calls of late.
    pub(super) fn forget_older(&mut self) {
        self.lasting.clone_from(&self.recent);
    }

    /// The likeliest number: see [`Levels::likeliest`].
    pub(super) fn likeliest(&self, now: u32, most: u32, hysteresis: f64) -> u32 {
        self.lasting.likeliest(now, most, hysteresis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many calls of 10 ms, of which each two end where `level` run on two slots.
    fn add(account: &mut Account, level: u32, calls: f64, stretch: f64) {
        let taken = Taken {
            level: f64::from(level),
            calls,
            seconds: calls * 0.01 * stretch,
        };
        account.add(super::super::samples::bin(level), taken);
    }

    #[test]
    fn what_is_older_holds_until_the_calls_of_late_speak_against_it() {
        // Two slots: where four run, a call takes twice as long.
        let mut account = Account::default();
        add(&mut account, 2, 1000.0, 1.0);
        add(&mut account, 4, 1000.0, 2.0);
        assert_eq!(account.likeliest(3, 9, 0.0), 2);
        account.keep(|_| 0.0, 1.0);
        // A few calls that look like four slots are luck.
        add(&mut account, 2, 10.0, 1.0);
        add(&mut account, 4, 10.0, 1.0);
        assert!(!account.changed(2));
        // Many are a change, and outweigh what is older at once.
        add(&mut account, 2, 90.0, 1.0);
        add(&mut account, 4, 90.0, 1.0);
        assert!(account.changed(2));
        assert_eq!(account.likeliest(2, 9, 0.0), 2);
        account.forget_older();
        assert_eq!(account.likeliest(2, 9, 0.0), 4);
        assert!(!account.changed(2));
    }
}
