//! Health of what calls are sent to: a neighbour, or the local platform.
//!
//! ```text
//! healthy ──(failures in a row)──▶ ejected ──(its time is over, and a check passes)──▶ probation ──▶ healthy
//!                                     ▲───────────────(any failure)──────────────────────┘
//! ```
//!
//! A call that has no answer in time is no failure: its function may be slow, and those who call others there would pay for
//! it. It is a reason to check, and where as many calls stalled as must fail, the first check that fails ejects.
//!
//! On probation it is let in step by step: one call, then 10, 25 and 50 of a hundred. Each ejection lasts twice as long as
//! the one before it, up to a bound, until it was healthy for as long as that bound.
//!
//! A neighbour that is silent for too long is suspected: from healthy, and back by way of probation at any sign of life. So is
//! one let in that was away, that not everybody throws its calls there at once; neither needs the trial call.
//!
//! Calls ask [`Health::admits`], which reads one atomic number; a success while all is well reads two. Only what may change
//! the state takes the lock.

use crate::Time;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

mod state;

use state::{ALL, Inner, NONE, State, TRIAL};
pub use state::{HealthLimits, HealthState};

/// Something that is told whether a health admits every call, so that calls need not ask for that.
pub(crate) trait Follower: Debug + Send + Sync {
    /// Whether every call is admitted, from now on.
    fn admits_all(&self, all: bool);
}

/// The health of one thing that calls are sent to. What calls and looks read of it is in its first line of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Health {
    /// [`ALL`], [`NONE`], [`TRIAL`], or a share of a hundred calls.
    open: AtomicU32,
    /// The shares of all that asked on probation, added up: a call is admitted when the sum passes a hundred.
    asked: AtomicU32,
    /// The index of the state in [`HealthState::ALL`].
    state: AtomicU8,
    /// Whether failures are remembered that a success must clear.
    failing: AtomicBool,
    /// When a check last passed, in nanoseconds; zero if none has.
    passed: AtomicU64,
    /// Whether a call was answered since that was last asked.
    answered: AtomicBool,
    /// How often it stopped being well, or let in.
    absences: AtomicU32,
    limits: HealthLimits,
    inner: Mutex<Inner>,
    followers: Mutex<Vec<Weak<dyn Follower>>>,
}

impl Default for Health {
    fn default() -> Health {
        Health::new(HealthLimits::default())
    }
}

impl Health {
    /// Something that is healthy.
    pub const fn new(limits: HealthLimits) -> Health {
        Health {
            open: AtomicU32::new(ALL),
            asked: AtomicU32::new(0),
            state: AtomicU8::new(HealthState::Healthy as u8),
            failing: AtomicBool::new(false),
            passed: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            absences: AtomicU32::new(0),
            limits,
            inner: Mutex::new(Inner::new()),
            followers: Mutex::new(Vec::new()),
        }
    }

    /// Whether this call may be sent there. On probation each question counts as a call: so many of a hundred are
    /// admitted, evenly spread.
    pub fn admits(&self) -> bool {
        match self.open.load(Relaxed) {
            ALL => true,
            NONE => false,
            TRIAL => self
                .open
                .compare_exchange(TRIAL, NONE, Relaxed, Relaxed)
                .is_ok(),
            share => self.asked.fetch_add(share, Relaxed) % ALL + share >= ALL,
        }
    }

    /// The state.
    pub fn state(&self) -> HealthState {
        HealthState::ALL[usize::from(self.state.load(Relaxed))]
    }

    /// A call that was sent there was answered, whatever the answer says. Returns the state if it is another now. The
    /// time is asked for only where it matters, as this happens with every call.
    pub fn call_succeeded(&self, now: impl FnOnce() -> Time) -> Option<HealthState> {
        if !self.answered.load(Relaxed) {
            self.answered.store(true, Relaxed);
        }
        // Both are read without an order between them: a failure that is missed here is cleared by the next success.
        if self.open.load(Relaxed) == ALL && !self.failing.load(Relaxed) {
            return None;
        }
        let now = now();
        self.change(|inner| inner.succeeded(now))
    }

    /// A call that was sent there at `sent` failed: no connection, or one that broke. Returns the state if it is another
    /// now.
    pub fn call_failed(&self, sent: Time, now: Time) -> Option<HealthState> {
        let limits = self.limits;
        self.change(|inner| {
            if sent < inner.since {
                return;
            }
            if now.since(inner.last) > limits.window {
                inner.calls = 0;
            }
            inner.calls += 1;
            inner.last = now;
            inner.failed(inner.calls >= limits.call_failures, &limits, now);
        })
    }

    /// A call that was sent there at `sent` had no answer in time. It ejects nobody by itself, and counts until an answer or a
    /// check tells that it lives.
    pub fn call_stalled(&self, sent: Time) {
        if self.passed.load(Relaxed) > sent.as_nanos() {
            return;
        }
        self.change(|inner| {
            if sent >= inner.since {
                inner.stalls += 1;
            }
        });
    }

    /// Whether calls stalled there and nothing was heard since: it should be checked now.
    pub fn is_doubted(&self) -> bool {
        self.inner().stalls > 0
    }

    /// An active check passed. It lets in again what is ejected, once its time is over. Returns the state if it is
    /// another now.
    pub fn check_passed(&self, now: Time) -> Option<HealthState> {
        self.passed.store(now.as_nanos(), Relaxed);
        if self.open.load(Relaxed) == ALL && !self.failing.load(Relaxed) {
            return None;
        }
        self.change(|inner| inner.passed(now))
    }

    /// An active check failed. Returns the state if it is another now.
    pub fn check_failed(&self, now: Time) -> Option<HealthState> {
        let limits = self.limits;
        self.change(|inner| {
            inner.checks += 1;
            let too_many =
                inner.checks >= limits.check_failures || inner.stalls >= limits.call_failures;
            inner.failed(too_many, &limits, now);
        })
    }

    /// It is known not to answer: it is ejected at once. Returns the state if it is another now.
    pub fn eject(&self, now: Time) -> Option<HealthState> {
        let limits = self.limits;
        self.change(|inner| inner.failed(true, &limits, now))
    }

    /// It is silent for too long. One that is on probation is ejected, as by any failure. Returns the state if it is another
    /// now.
    pub fn suspect(&self, now: Time) -> Option<HealthState> {
        let limits = self.limits;
        self.change(|inner| match inner.state {
            State::Healthy => inner.state = State::Suspected,
            State::Probation { .. } => inner.failed(true, &limits, now),
            State::Ejected { .. } | State::Suspected => {}
        })
    }

    /// One that was suspected gave a sign of life. Returns the state if it is another now.
    pub fn is_heard(&self, now: Time) -> Option<HealthState> {
        self.change(|inner| {
            if matches!(inner.state, State::Suspected) {
                inner.let_in(now);
            }
        })
    }

    /// It was away, and is back: it is let in step by step. Returns the state if it is another now.
    pub fn is_back(&self, now: Time) -> Option<HealthState> {
        self.change(|inner| {
            if matches!(inner.state, State::Healthy | State::Suspected) {
                inner.let_in(now);
            }
        })
    }

    /// Whether a call was answered since this was last asked.
    pub fn take_answered(&self) -> bool {
        self.answered.load(Relaxed) && self.answered.swap(false, Relaxed)
    }

    /// When a check last passed.
    pub fn passed(&self) -> Time {
        Time::from_nanos(self.passed.load(Relaxed))
    }

    /// How often it was away, as far as one could see: suspected, ejected, or back without a word. Connections from before
    /// the last time may lead nowhere, though nothing says so.
    pub fn absences(&self) -> u32 {
        self.absences.load(Relaxed)
    }

    /// Changes the state, and publishes to the calls what it admits then.
    fn change(&self, change: impl FnOnce(&mut Inner)) -> Option<HealthState> {
        let mut inner = self.inner();
        let (before, step) = (inner.state.name(), inner.state.open());
        change(&mut inner);
        let open = inner.state.open();
        // A trial that was taken stays taken as long as the step is the same.
        if open != step {
            self.open.store(open, Relaxed);
            self.tell(open == ALL);
        }
        let after = inner.state.name();
        self.state.store(after as u8, Relaxed);
        let was_there = matches!(before, HealthState::Healthy | HealthState::Probation);
        if after != before && was_there && after != HealthState::Healthy {
            self.absences.fetch_add(1, Relaxed);
        }
        let remembers = inner.calls > 0 || inner.checks > 0 || inner.stalls > 0;
        self.failing.store(remembers, Relaxed);
        (after != before).then_some(after)
    }

    /// Tells this one from now on whether every call is admitted.
    pub(crate) fn follow(&self, follower: Weak<dyn Follower>) {
        // Nothing changes meanwhile.
        let inner = self.inner();
        if let Some(follower) = follower.upgrade() {
            follower.admits_all(inner.state.open() == ALL);
        }
        let mut followers = whole(&self.followers);
        followers.retain(|other| other.strong_count() > 0);
        followers.push(follower);
    }

    fn tell(&self, all: bool) {
        let followers = whole(&self.followers);
        for follower in followers.iter().filter_map(Weak::upgrade) {
            follower.admits_all(all);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        whole(&self.inner)
    }
}

fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked with the lock left what is in it whole.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
