//! The states of health and what leads from one to another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;

/// The shares of a hundred calls on probation, after the one trial call.
const SHARES: [u32; 3] = [10, 25, 50];
/// How many calls must succeed on a step before the next one. A check that passes is worth as much.
const STEP_SUCCESSES: u32 = 3;
/// All calls are admitted.
pub(super) const ALL: u32 = 100;
/// No call is admitted.
pub(super) const NONE: u32 = 0;
/// One call is admitted: whoever swaps it for [`NONE`].
pub(super) const TRIAL: u32 = u32::MAX;

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
    /// It is silent for longer than it should be: calls are sent there only if they can go nowhere else.
    Suspected,
}

impl HealthState {
    /// All of them.
    pub const ALL: [HealthState; 4] = [
        HealthState::Healthy,
        HealthState::Ejected,
        HealthState::Probation,
        HealthState::Suspected,
    ];

    /// A word for logs, views and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            HealthState::Healthy => "healthy",
            HealthState::Ejected => "ejected",
            HealthState::Probation => "probation",
            HealthState::Suspected => "suspected",
        }
    }
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: State,
    /// When it last became ejected, or was let in again. Calls from before it say nothing of what is now.
    pub(super) since: Time,
    /// Failures in a row, and when the last one was.
    pub(super) calls: u32,
    pub(super) last: Time,
    pub(super) checks: u32,
    /// Calls without an answer in time since anything was heard of it.
    pub(super) stalls: u32,
    /// How often it was ejected without having been healthy for long in between.
    ejections: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Healthy,
    Ejected {
        until: Time,
    },
    /// `step` counts from the trial call; `successes` are those on this step.
    Probation {
        step: usize,
        successes: u32,
    },
    Suspected,
}

impl State {
    /// What is let in without a trial call, as it was not known to fail.
    const LET_IN: State = State::Probation {
        step: 1,
        successes: 0,
    };

    pub(super) const fn name(self) -> HealthState {
        match self {
            State::Healthy => HealthState::Healthy,
            State::Ejected { .. } => HealthState::Ejected,
            State::Probation { .. } => HealthState::Probation,
            State::Suspected => HealthState::Suspected,
        }
    }

    /// What is admitted.
    pub(super) const fn open(self) -> u32 {
        match self {
            State::Healthy => ALL,
            State::Ejected { .. } | State::Suspected => NONE,
            State::Probation { step: 0, .. } => TRIAL,
            State::Probation { step, .. } => SHARES[step - 1],
        }
    }
}

impl Inner {
    pub(super) const fn new() -> Inner {
        Inner {
            state: State::Healthy,
            since: Time::ZERO,
            calls: 0,
            last: Time::ZERO,
            checks: 0,
            stalls: 0,
            ejections: 0,
        }
    }

    /// A success: on probation it counts, and a suspicion was wrong.
    pub(super) fn succeeded(&mut self, now: Time) {
        self.forget();
        match self.state {
            State::Probation { step, successes } if step > 0 && successes + 1 < STEP_SUCCESSES => {
                let successes = successes + 1;
                self.state = State::Probation { step, successes };
            }
            State::Probation { step, .. } => self.advance(step, now),
            State::Suspected => self.let_in(now),
            State::Healthy | State::Ejected { .. } => {}
        }
    }

    /// A check that passed.
    pub(super) fn passed(&mut self, now: Time) {
        self.checks = 0;
        self.stalls = 0;
        match self.state {
            State::Healthy => {}
            State::Ejected { until } if now < until => {}
            State::Ejected { .. } => {
                self.calls = 0;
                self.since = now;
                self.state = State::Probation {
                    step: 0,
                    successes: 0,
                };
            }
            State::Probation { step, .. } => self.advance(step, now),
            State::Suspected => self.let_in(now),
        }
    }

    /// A failure: on probation any ejects, else only one too many.
    pub(super) fn failed(&mut self, too_many: bool, limits: &HealthLimits, now: Time) {
        match self.state {
            State::Ejected { .. } => return,
            State::Healthy | State::Suspected if !too_many => return,
            State::Healthy if now.since(self.since) > limits.longest_ejection => self.ejections = 0,
            State::Healthy | State::Suspected | State::Probation { .. } => {}
        }
        let factor = 1u32.checked_shl(self.ejections).unwrap_or(u32::MAX);
        let time = limits.ejection.saturating_mul(factor);
        self.ejections = (self.ejections + 1).min(u32::BITS);
        self.since = now;
        self.forget();
        self.state = State::Ejected {
            until: now + time.min(limits.longest_ejection),
        };
    }

    /// It is let in step by step.
    pub(super) fn let_in(&mut self, now: Time) {
        self.forget();
        self.since = now;
        self.state = State::LET_IN;
    }

    /// Failures from before say nothing of what is now.
    fn forget(&mut self) {
        self.calls = 0;
        self.checks = 0;
        self.stalls = 0;
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
