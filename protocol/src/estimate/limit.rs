//! Slots that are learned from how long calls take, and from how many end.
//!
//! While `k` calls run, a platform that runs `n` at one time ends them at the rate min(k, n)/S, with S the mean service time, whether
//! what exceeds `n` waits inside the platform or all share its cores: throughput grows with `k` up to `n` and no more. By Little's law
//! a call that begins when `k` run, itself among them, takes S·max(1, k/n) on average where calls wait first come first
//! served. It is the queue that TCP Vegas estimates as L × (1 − RTTnoload/RTT), the plateau that BBR looks for, and the gradient of
//! Netflix's concurrency-limits, RTTnoload/RTT, as <https://github.com/Netflix/concurrency-limits> has them. Those take one time for the
//! unloaded one, a minimum or a long mean, and add room for a queue. Here instead all that is remembered, by `k`, is fitted at once: of
//! each `n` the likelihood is computed, with exponential times and the best service time for that `n`. So a service time that varies is
//! no queue, and the fit also says which numbers are not excluded yet: only those are tried, the far ones first, by a gate that lets a
//! few calls more or fewer run for a moment, and only while calls press. A look above costs no throughput. One below does; what it costs is
//! counted, and kept to a small share of what is served.
//!
//! Two accounts are kept, and the lesser number holds, as each errs upwards on one kind of platform. How many calls end while
//! `k` run is exact for exponential times, and on shared cores for any, as processor sharing is insensitive to them (Kelly, "Reversibility and
//! Stochastic Networks", 1979); but where calls of equal times wait, they end at the moments at which few are left. The times of
//! calls by how many ran when each began are exact where calls wait; but on shared cores those that come later slow a call down as well. A
//! platform that refuses says more than any fit: then its refusals count alone. Each account remembers for long what number it is, and
//! for less what is to be looked at again: see [`Account`].

use std::time::Duration;

use crate::capacity::MAX_SLOTS;
use crate::{Slots, Time};

use super::account::Account;
use super::late::Late;
use super::levels::{FEWEST, stretch};
use super::loss::Loss;
use super::samples::Samples;

/// How much likelier one number of slots must be than another before the other is given up, in units of log-likelihood, at each
/// [`REACH`]. More where it is far, as one that is given up by mistake there is missed by much, and soon told if it is not.
const EVIDENCE: [f64; 3] = [6.0, 4.0, 3.0];
/// So many times that much above, as to look there costs nothing.
const EVIDENCE_ABOVE: f64 = 1.5;
/// A change to a number that is hardly likelier is not made.
const HYSTERESIS: f64 = 0.5;
/// While calls do not press, a lesser number is taken up only with so much more likelihood: more slots than are needed cost
/// nothing then, and there is little to tell from.
const HYSTERESIS_IDLE: f64 = 2.0;
/// How far above and below is looked, one after the other, but by one slot at least: what is far is told soonest.
const REACH: [f64; 3] = [2.0, 1.4, 1.1];
/// For how long calls are remembered.
const MEMORY: f64 = 100.0;
/// For how long those that ran above the limit count as of late: it costs nothing to look there again.
const MEMORY_ABOVE: f64 = 10.0;
/// At least so many calls are remembered, however long ago they were.
const REMEMBERED: f64 = 1000.0;
/// How long nothing above is tried after the platform refused a call.
const REFUSED_PAUSE: Duration = Duration::from_secs(6);
/// And until so many calls ended since: a trial costs the call that is refused, and may cost no more than one in so many.
const REFUSED_CALLS: f64 = 150.0;
/// For how long a platform that refused is taken for one that refuses rather than let calls wait.
const REFUSED_MEMORY: Duration = Duration::from_secs(60);
/// Each slot of a phase must have seen so many calls before they are believed, as short calls end first.
const TURNS: f64 = 3.0;
/// Calls that run for so long in all, in seconds, may always run at one time, up to the number to begin with: to make short
/// calls wait gains nothing, and a burst of them that finds the queue full is lost.
const HARMLESS: f64 = 0.01;
/// Calls press where the gate is full that share of the time: fewer slots may be tried, which costs throughput.
const PRESSED: f64 = 0.5;
/// Where it is full that share of the time, more slots may be tried, which costs none, and something is learned of them.
const BUSY: f64 = 0.002;

/// Learns the slots of a function. See the module.
#[derive(Debug)]
pub struct Limiter {
    /// How many calls end while so many run.
    meanwhile: Account,
    /// How long calls take, by how many ran when each began.
    since: Account,
    initial: u32,
    /// How many may run whatever is learned.
    harmless: u32,
    learned: u32,
    phase: Phase,
    /// Calls that ended in this phase.
    ended: f64,
    stepped: Time,
    /// The share of the time in which the gate is full.
    pressed: f64,
    loss: Loss,
    /// When the platform last refused a call, if that was not long ago.
    refused: Option<Time>,
    /// Calls that ended since.
    ended_since: f64,
    late: Late,
}

/// What the gate is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Hold,
    Above(u32),
    Below(u32),
}

impl Limiter {
    /// A limiter that begins with so many.
    pub fn new(initial: Slots, now: Time) -> Limiter {
        Limiter {
            meanwhile: Account::default(),
            since: Account::default(),
            initial: initial.get(),
            harmless: 0,
            learned: initial.get(),
            phase: Phase::Hold,
            ended: 0.0,
            stepped: now,
            pressed: 0.0,
            loss: Loss::default(),
            refused: None,
            ended_since: 0.0,
            late: Late::default(),
        }
    }

    /// What has been learned. The gate may have more or fewer for a moment: see [`step`](Limiter::step).
    pub fn learned(&self) -> Slots {
        Slots::new(self.learned).unwrap_or(Slots::ONE)
    }

    /// Takes what was recorded since the last step, a tenth of a second ago or so, and returns how many slots the gate
    /// shall have. `slots` are those that it has, which a refusal may have made fewer; `full` says whether they are all taken.
    pub fn step(&mut self, samples: &Samples, slots: Slots, full: bool, now: Time) -> Slots {
        let seconds = now.since(self.stepped).as_secs_f64();
        self.stepped = now;
        let turned = self.ended >= TURNS * f64::from(slots.get());
        let taken = self.take(samples, turned);
        self.ended += taken;
        self.ended_since += taken;
        self.forget(seconds, taken);
        let share = 1.0 - (-seconds).exp();
        self.pressed += share * (f64::from(u8::from(full)) - self.pressed);
        self.count_loss(seconds, taken);
        if samples.take_refused() > 0 {
            self.refused = Some(now);
            self.ended_since = 0.0;
            self.harmless = 0;
            self.learned = slots.get();
            self.enter(Phase::Hold);
        }
        self.refused = self.refused.filter(|at| now.since(*at) < REFUSED_MEMORY);
        let least = self.refused.map_or(BUSY, |_| PRESSED);
        if self.pressed < least {
            self.fit(self.learned, HYSTERESIS_IDLE);
            self.enter(Phase::Hold);
        } else if turned {
            self.fit(MAX_SLOTS, HYSTERESIS);
            let phase = self.next_phase(now);
            self.enter(phase);
        }
        let slots = match self.phase {
            Phase::Hold => self.learned,
            Phase::Above(slots) | Phase::Below(slots) => slots.max(self.harmless),
        };
        Slots::new(slots).unwrap_or(Slots::ONE)
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.ended = 0.0;
        }
    }

    /// Counts what a trial of fewer slots costs: the calls that would have ended meanwhile at what was learned, less those that ended. If
    /// fewer serve as much, it costs nothing.
    fn count_loss(&mut self, seconds: f64, ended: f64) {
        let service = self.meanwhile.recent.service(self.learned);
        if let (Phase::Below(_), Some(service)) = (self.phase, service) {
            self.loss
                .add(seconds - ended * service / f64::from(self.learned));
        }
        self.loss.fade(seconds);
    }

    fn forget(&mut self, seconds: f64, calls: f64) {
        let part = |memory: f64| (-(seconds / memory).min(calls / REMEMBERED)).exp();
        let (above, all) = (part(MEMORY_ABOVE), part(MEMORY));
        let learned = f64::from(self.learned);
        let recent = |level| if level > learned { above } else { all };
        self.meanwhile.keep(recent, all);
        self.since.keep(recent, all);
    }

    fn take(&mut self, samples: &Samples, turned: bool) -> f64 {
        let mut calls = 0.0;
        let service = self.meanwhile.recent.service(self.learned);
        for (index, taken) in samples.take_since() {
            self.since.add(index, taken);
        }
        for (index, taken) in samples.take_meanwhile() {
            calls += taken.calls;
            self.meanwhile.add(index, taken);
            if turned && let Some(service) = service {
                let expected = service * stretch(taken.level, self.learned);
                self.late.add(taken.calls, taken.seconds / expected);
            }
        }
        if self.late.tell_of_a_change() {
            self.meanwhile.clear();
            self.since.clear();
            self.late = Late::default();
            self.loss = Loss::default();
        }
        calls
    }

    /// Takes up the likeliest number, but none above `most`: calls that do not press tell nothing of more.
    fn fit(&mut self, most: u32, hysteresis: f64) {
        if self.refused.is_some() {
            if let Phase::Above(slots) = self.phase {
                self.learned = slots;
            }
            return;
        }
        if self.meanwhile.recent.weigh(|_| true) < FEWEST {
            return;
        }
        if self.meanwhile.changed(self.learned) || self.since.changed(self.learned) {
            self.meanwhile.forget_older();
            self.since.forget_older();
        }
        let likeliest = |account: &Account| account.likeliest(self.learned, most, hysteresis);
        let best = likeliest(&self.meanwhile).min(likeliest(&self.since));
        let service = self.meanwhile.recent.service(best);
        self.harmless = service.map_or(0, |s| (HARMLESS / s).round() as u32);
        self.harmless = self.harmless.min(self.initial);
        self.learned = best.max(self.harmless);
    }

    /// Looks below or above, where a number is not excluded yet, or gathers calls at what was learned to compare with.
    fn next_phase(&self, now: Time) -> Phase {
        if let Some(at) = self.refused {
            let step = (f64::from(self.learned) * (REACH[2] - 1.0)).round() as u32;
            return if now.since(at) < REFUSED_PAUSE || self.ended_since < REFUSED_CALLS {
                Phase::Hold
            } else {
                Phase::Above((self.learned + step.max(1)).min(MAX_SLOTS))
            };
        }
        let n = self.learned;
        let seen = &self.meanwhile.recent;
        let at_least = |least: u32| seen.weigh(|level| level >= f64::from(least));
        let at_most = |most: u32| seen.weigh(|level| level <= f64::from(most));
        let here = seen.likelihood(n);
        let open = |other: u32, evidence: f64| here - seen.likelihood(other) < evidence;
        let may_lose = self.pressed >= PRESSED && self.loss.is_small();
        for (reach, evidence) in REACH.into_iter().zip(EVIDENCE) {
            let below = ((f64::from(n) / reach).round() as u32).min(n - 1);
            if below > 0 && open(below, evidence) {
                if may_lose && at_most(below) <= at_least(n) {
                    return Phase::Below(below);
                }
                // While that has to wait, what is nearer may be looked at.
                continue;
            }
            let above = (f64::from(n) * reach).round() as u32;
            let above = above.clamp(n + 1, MAX_SLOTS);
            if open(above, EVIDENCE_ABOVE * evidence) {
                return if at_least(above) <= at_most(n) {
                    Phase::Above(above)
                } else {
                    Phase::Hold
                };
            }
        }
        Phase::Hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is learned in a minute of calls that press on one worker, of which each alone takes `service`.
    fn learned(service: Duration) -> u32 {
        let initial = Slots::new(16).unwrap_or(Slots::ONE);
        let mut limiter = Limiter::new(initial, Time::ZERO);
        let (samples, mut slots) = (Samples::default(), initial);
        for tenth in 1..=600u32 {
            let now = Time::ZERO + Duration::from_millis(100) * tenth;
            for call in 0..40 {
                // One ends each service time, whether it is alone or others wait.
                let running = 1 + call % slots.get();
                let end = now + service * (call + 1);
                samples.begins(1, now + service * call);
                samples.answered(running, running, service * running, end);
            }
            slots = limiter.step(&samples, slots, true, now);
        }
        limiter.learned().get()
    }

    #[test]
    fn short_calls_are_not_made_to_wait_for_one_another() {
        assert_eq!(learned(Duration::from_millis(50)), 1);
        // Four of them are done within ten milliseconds.
        assert_eq!(learned(Duration::from_micros(2500)), 4);
        assert_eq!(learned(Duration::from_micros(100)), 16);
    }
}
