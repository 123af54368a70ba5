//! Health of what calls are sent to: a neighbour, or the local platform.
//!
//! ```text
//! healthy ──(failures in a row)──▶ ejected ──(its time is over, and a check passes)──▶ probation ──▶ healthy
//!                                     ▲───────────────(any failure)──────────────────────┘
//! ```
//!
//! On probation it is let in step by step: one call, then 10, 25 and 50 of a hundred. Each ejection lasts twice as long as
//! the one before it, up to a bound, until it was healthy for as long as that bound.
//!
//! Calls ask [`Health::admits`], which reads one atomic number; a success while all is well reads two. Only what may change
//! the state takes the lock.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;

/// The shares of a hundred calls on probation, after the one trial call.
const SHARES: [u32; 3] = [10, 25, 50];
/// How many calls must succeed on a step before the next one. A check that passes is worth as much.
const STEP_SUCCESSES: u32 = 3;
/// All calls are admitted.
const ALL: u32 = 100;
/// No call is admitted.
const NONE: u32 = 0;
/// One call is admitted: whoever swaps it for [`NONE`].
const TRIAL: u32 = u32::MAX;

/// When something is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthLimits {
    /// How many calls in a row must fail.
    pub call_failures: u32,
    /// The longest time between two of those failures. After a longer one they are counted anew.
    pub window: Duration,
    /// How many checks in a row must fail.
    pub check_failures: u32,
    /// How long the first ejection lasts.
    pub ejection: Duration,
    /// How long an ejection lasts at most.
    pub longest_ejection: Duration,
}

impl Default for HealthLimits {
    fn default() -> HealthLimits {
        HealthLimits {
            call_failures: 3,
            window: Duration::from_secs(10),
            check_failures: 3,
            ejection: Duration::from_secs(1),
            longest_ejection: Duration::from_secs(60),
        }
    }
}

/// The state of health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Every call may be sent there.
    Healthy,
    /// No call is sent there.
    Ejected,
    /// Some calls are sent there, and more with each success.
    Probation,
}

impl HealthState {
    /// All of them.
    pub const ALL: [HealthState; 3] = [
        HealthState::Healthy,
        HealthState::Ejected,
        HealthState::Probation,
    ];

    /// A word for logs, views and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            HealthState::Healthy => "healthy",
            HealthState::Ejected => "ejected",
            HealthState::Probation => "probation",
        }
    }
}

/// The health of one thing that calls are sent to.
#[derive(Debug)]
pub struct Health {
    limits: HealthLimits,
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
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// When it last became ejected, or was let in again. Calls from before it say nothing of what is now.
    since: Time,
    /// Failures in a row, and when the last one was.
    calls: u32,
    last: Time,
    checks: u32,
    /// How often it was ejected without having been healthy for long in between.
    ejections: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Healthy,
    Ejected {
        until: Time,
    },
    /// `step` counts from the trial call; `successes` are those on this step.
    Probation {
        step: usize,
        successes: u32,
    },
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
            limits,
            open: AtomicU32::new(ALL),
            asked: AtomicU32::new(0),
            state: AtomicU8::new(HealthState::Healthy as u8),
            failing: AtomicBool::new(false),
            passed: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                state: State::Healthy,
                since: Time::ZERO,
                calls: 0,
                last: Time::ZERO,
                checks: 0,
                ejections: 0,
            }),
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
        // Both are read without an order between them: a failure that is missed here is cleared by the next success.
        if self.open.load(Relaxed) == ALL && !self.failing.load(Relaxed) {
            return None;
        }
        let now = now();
        self.change(|inner| {
            inner.calls = 0;
            inner.checks = 0;
            if let State::Probation { step, successes } = inner.state {
                if successes + 1 >= STEP_SUCCESSES || step == 0 {
                    inner.advance(step, now);
                } else {
                    let successes = successes + 1;
                    inner.state = State::Probation { step, successes };
                }
            }
        })
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

    /// A call that was sent there at `sent` had no answer in time. It counts as one that failed, unless a check has passed
    /// since: then the function is slow, and whoever calls it could else have the whole ejected.
    pub fn call_stalled(&self, sent: Time, now: Time) -> Option<HealthState> {
        if self.passed.load(Relaxed) > sent.as_nanos() {
            return None;
        }
        self.call_failed(sent, now)
    }

    /// An active check passed. It lets in again what is ejected, once its time is over. Returns the state if it is
    /// another now.
    pub fn check_passed(&self, now: Time) -> Option<HealthState> {
        self.passed.store(now.as_nanos(), Relaxed);
        if self.open.load(Relaxed) == ALL && !self.failing.load(Relaxed) {
            return None;
        }
        self.change(|inner| {
            inner.checks = 0;
            match inner.state {
                State::Healthy => {}
                State::Ejected { until } if now < until => {}
                State::Ejected { .. } => {
                    inner.calls = 0;
                    inner.since = now;
                    inner.state = State::Probation {
                        step: 0,
                        successes: 0,
                    };
                }
                State::Probation { step, .. } => inner.advance(step, now),
            }
        })
    }

    /// An active check failed. Returns the state if it is another now.
    pub fn check_failed(&self, now: Time) -> Option<HealthState> {
        let limits = self.limits;
        self.change(|inner| {
            inner.checks += 1;
            inner.failed(inner.checks >= limits.check_failures, &limits, now);
        })
    }

    /// It is known not to answer: it is ejected at once. Returns the state if it is another now.
    pub fn eject(&self, now: Time) -> Option<HealthState> {
        let limits = self.limits;
        self.change(|inner| inner.failed(true, &limits, now))
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
        }
        let after = inner.state.name();
        self.state.store(after as u8, Relaxed);
        let remembers = inner.calls > 0 || inner.checks > 0;
        self.failing.store(remembers, Relaxed);
        (after != before).then_some(after)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked with the lock left numbers that are whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A failure: on probation any ejects, else only one too many.
    fn failed(&mut self, too_many: bool, limits: &HealthLimits, now: Time) {
        match self.state {
            State::Ejected { .. } => return,
            State::Healthy if !too_many => return,
            State::Healthy if now.since(self.since) > limits.longest_ejection => self.ejections = 0,
            State::Healthy | State::Probation { .. } => {}
        }
        let factor = 1u32.checked_shl(self.ejections).unwrap_or(u32::MAX);
        let time = limits.ejection.saturating_mul(factor);
        self.ejections = (self.ejections + 1).min(u32::BITS);
        self.since = now;
        self.calls = 0;
        self.checks = 0;
        self.state = State::Ejected {
            until: now + time.min(limits.longest_ejection),
        };
    }

    fn advance(&mut self, step: usize, now: Time) {
        self.state = if step < SHARES.len() {
            State::Probation {
                step: step + 1,
                successes: 0,
            }
        } else {
            self.since = now;
            State::Healthy
        };
    }
}

impl State {
    const fn name(self) -> HealthState {
        match self {
            State::Healthy => HealthState::Healthy,
            State::Ejected { .. } => HealthState::Ejected,
            State::Probation { .. } => HealthState::Probation,
        }
    }

    const fn open(self) -> u32 {
        match self {
            State::Healthy => ALL,
            State::Ejected { .. } => NONE,
            State::Probation { step: 0, .. } => TRIAL,
            State::Probation { step, .. } => SHARES[step - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Ejected, Healthy, Probation};

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn admitted(health: &Health, asked: u32) -> u32 {
        (0..asked).map(|_| u32::from(health.admits())).sum()
    }

    fn ejected(now: Time) -> Health {
        let health = Health::default();
        assert_eq!(health.call_failed(now, now), None);
        assert_eq!(health.call_failed(now, now), None);
        assert_eq!(health.call_failed(now, now), Some(Ejected));
        health
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let health = Health::default();
        for ms in 0..20 {
            assert_eq!(health.call_failed(at(ms), at(ms)), None);
            if ms % 2 == 1 {
                assert_eq!(health.call_succeeded(|| at(ms)), None);
            }
        }
        assert_eq!(admitted(&health, 10), 10);
        let health = ejected(at(5));
        assert_eq!(health.state(), Ejected);
        assert_eq!(admitted(&health, 1000), 0);
    }

    #[test]
    fn failures_that_are_far_apart_do_not_eject() {
        let health = Health::default();
        for i in 0..10 {
            let now = at(i * 10_001);
            assert_eq!(health.call_failed(now, now), None);
        }
        assert_eq!(health.state(), Healthy);
    }

    #[test]
    fn checks_that_fail_in_a_row_eject() {
        let health = Health::default();
        for _ in 0..5 {
            assert_eq!(health.check_failed(at(0)), None);
            assert_eq!(health.check_failed(at(0)), None);
            assert_eq!(health.check_passed(at(0)), None);
        }
        health.check_failed(at(0));
        health.check_failed(at(0));
        assert_eq!(health.check_failed(at(0)), Some(Ejected));
    }

    #[test]
    fn a_check_that_passes_does_not_hide_calls_that_fail() {
        let health = Health::default();
        health.call_failed(at(1), at(1));
        health.call_failed(at(2), at(2));
        health.check_passed(at(3));
        assert_eq!(health.call_failed(at(4), at(4)), Some(Ejected));
    }

    #[test]
    fn a_slow_function_ejects_nobody_who_passes_checks() {
        let health = Health::default();
        for s in 1..10 {
            health.check_passed(at(s * 1000));
            let stalled = health.call_stalled(at(s * 1000 - 500), at(s * 1000 + 500));
            assert_eq!(stalled, None);
        }
        assert_eq!(health.state(), Healthy);
        let stalls = [1, 2, 3].map(|s| health.call_stalled(at(9500 + s), at(10_000 + s)));
        assert_eq!(stalls, [None, None, Some(Ejected)]);
    }

    #[test]
    fn only_a_check_after_its_time_lets_it_in_again() {
        let health = ejected(at(0));
        assert_eq!(health.call_succeeded(|| at(5000)), None, "a straggler");
        assert_eq!(health.check_passed(at(999)), None);
        assert_eq!(admitted(&health, 10), 0);
        assert_eq!(health.check_passed(at(1000)), Some(Probation));
    }

    #[test]
    fn it_is_let_in_step_by_step() {
        let health = ejected(at(0));
        health.check_passed(at(1000));
        assert_eq!(admitted(&health, 1000), 1, "one trial call");
        assert_eq!(health.call_succeeded(|| at(1001)), None);
        for (step, share) in [10, 25, 50].into_iter().enumerate() {
            assert_eq!(admitted(&health, 1000), share * 10);
            health.call_succeeded(|| at(1002));
            health.call_succeeded(|| at(1002));
            assert_eq!(admitted(&health, 1000), share * 10, "not yet");
            let last = (step == 2).then_some(Healthy);
            assert_eq!(health.call_succeeded(|| at(1003)), last);
        }
        assert_eq!(admitted(&health, 1000), 1000);
    }

    #[test]
    fn without_calls_checks_let_it_in() {
        let health = ejected(at(0));
        let states: Vec<_> = (1..=5).map(|s| health.check_passed(at(s * 1000))).collect();
        assert_eq!(states, [Some(Probation), None, None, None, Some(Healthy)]);
    }

    #[test]
    fn a_trial_that_was_taken_stays_taken_until_there_is_news() {
        let health = ejected(at(0));
        health.check_passed(at(1000));
        assert_eq!(admitted(&health, 5), 1);
        health.check_passed(at(2000));
        assert_eq!(admitted(&health, 100), 10);
    }

    #[test]
    fn a_failure_on_probation_ejects_for_twice_the_time_up_to_the_bound() {
        let health = ejected(at(0));
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(health.check_passed(at(now + seconds * 1000 - 1)), None);
            now += seconds * 1000;
            assert_eq!(health.check_passed(at(now)), Some(Probation));
            assert_eq!(health.call_failed(at(now), at(now)), Some(Ejected));
        }
    }

    #[test]
    fn ejections_are_forgotten_when_it_was_healthy_for_long() {
        let health = ejected(at(0));
        (1..=5).for_each(|s| assert!(health.check_passed(at(s * 1000)) != Some(Ejected)));
        assert_eq!(health.state(), Healthy);
        let soon = at(10_000);
        for _ in 0..3 {
            let _ = health.call_failed(soon, soon);
        }
        assert_eq!(health.check_passed(at(11_000)), None, "twice as long");
        for s in 12..=16 {
            let _ = health.check_passed(at(s * 1000));
        }
        assert_eq!(health.state(), Healthy);
        let late = at(100_000);
        for _ in 0..3 {
            let _ = health.call_failed(late, late);
        }
        assert_eq!(health.check_passed(at(101_000)), Some(Probation));
    }

    #[test]
    fn calls_from_before_say_nothing_of_what_is_now() {
        let health = ejected(at(10));
        health.check_passed(at(2000));
        assert_eq!(health.call_failed(at(9), at(2001)), None);
        assert_eq!(health.call_failed(at(1999), at(2001)), None);
        assert_eq!(health.state(), Probation);
    }
}
