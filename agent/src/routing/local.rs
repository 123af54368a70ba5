//! A function of the local platform: its gate, those who wait at it, and how long its calls take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dfaas_protocol::estimate::{Samples, Tail};
use dfaas_protocol::gate::Gate;
use dfaas_protocol::policy::{Priority, Terms};
use dfaas_protocol::{FunctionName, Slots};

use super::Waiters;

/// A function of the local platform. It lives until its capacity changes or it is removed.
#[derive(Debug)]
pub struct LocalFunction {
    /// Which.
    pub function: FunctionName,
    /// Its gate.
    pub gate: Arc<Gate>,
    /// Those who wait at its gate, and at those that share its node's slots.
    waiters: Arc<Waiters>,
    /// Calls that ended, and the nanoseconds that they took in all.
    ended: AtomicU64,
    busy_nanos: AtomicU64,
    /// The time that 95 % of them keep to.
    tail: Tail,
    /// What its slots are learned from, where they are.
    samples: Option<Samples>,
}

/// How a call ended for the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It took its time there.
    Ran,
    /// The platform had no room for it.
    Refused,
    /// It never came to the function, and says nothing of it.
    Unanswered,
}

impl LocalFunction {
    /// A function with that gate, whose slots are to be learned.
    pub fn learning(
        function: FunctionName,
        gate: Arc<Gate>,
        waiters: Arc<Waiters>,
    ) -> LocalFunction {
        LocalFunction {
            samples: Some(Samples::default()),
            ..LocalFunction::new(function, gate, waiters)
        }
    }

    /// A function with that gate.
    pub fn new(function: FunctionName, gate: Arc<Gate>, waiters: Arc<Waiters>) -> LocalFunction {
        LocalFunction {
            function,
            gate,
            waiters,
            ended: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            tail: Tail::default(),
            samples: None,
        }
    }

    /// The slot of a call that the gate has let run, now.
    pub fn running(self: &Arc<Self>) -> Slot {
        self.running_since(Instant::now())
    }

    /// The slot of a call that the gate let run at that moment.
    pub fn running_since(self: &Arc<Self>, since: Instant) -> Slot {
        let running = self.gate.running();
        if let Some(samples) = &self.samples {
            samples.begins(running, self.waiters.clock().at(since));
        }
        Slot {
            running,
            function: Arc::clone(self),
            since,
            until: None,
            ended: Ended::Ran,
        }
    }

    /// Waits for the turn of a call that the gate lets wait. Nothing if the call is dropped: it cannot start in time, or one of
    /// higher priority took its place. The call is queued at once; a caller that drops the future leaves the queue.
    pub fn turn<'a>(
        self: &'a Arc<Self>,
        terms: &Terms,
        service: Option<Duration>,
    ) -> impl Future<Output = Option<Slot>> + use<'a> {
        let latest = terms.latest_start(service);
        let place = self.waiters.queue(&self.gate, terms.priority, latest);
        async move { place?.turn().await.then(|| self.running()) }
    }

    /// Drops a call that waits and would go last, if its priority is below that one. Then its place is the caller's, who owes a
    /// [`turn`](LocalFunction::turn).
    pub fn displace(&self, priority: Priority) -> bool {
        self.waiters.displace(&self.gate, priority)
    }

    /// What was told of the calls that ended, where slots are learned from it.
    pub fn samples(&self) -> Option<&Samples> {
        self.samples.as_ref()
    }

    /// Changes its slots, and starts those that wait where there are more.
    pub fn resize(&self, slots: Slots) {
        self.gate.set_slots(slots);
        self.waiters.start();
    }

    /// Calls that ended, and the time that they took in all.
    pub fn served(&self) -> (u64, Duration) {
        let nanos = self.busy_nanos.load(Relaxed);
        (self.ended.load(Relaxed), Duration::from_nanos(nanos))
    }

    /// The time that 95 % of calls keep to, once one has ended.
    pub fn tail(&self) -> Option<Duration> {
        self.tail.get()
    }

    /// A call ended that began when `began` ran, itself among them, and took so long until now.
    fn record(&self, began: u32, took: Duration, now: Instant, ended: Ended) {
        if ended == Ended::Ran {
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.ended.fetch_add(1, Relaxed);
            self.busy_nanos.fetch_add(nanos, Relaxed);
            self.tail.record(took);
        }
        let Some(samples) = &self.samples else {
            return;
        };
        let (running, now) = (self.gate.running(), self.waiters.clock().at(now));
        match ended {
            Ended::Ran => samples.answered(began, running, took, now),
            Ended::Unanswered => samples.ends(running, now),
            Ended::Refused => {
                samples.ends(running, now);
                self.gate.refused_by_platform();
                samples.refuse();
            }
        }
    }
}

/// A running call's slot; dropped when the call ended.
#[derive(Debug)]
pub struct Slot {
    function: Arc<LocalFunction>,
    since: Instant,
    /// When the call ended, if that is not when it is dropped.
    until: Option<Instant>,
    /// How many ran when the call took it, itself among them.
    running: u32,
    ended: Ended,
}

impl Slot {
    /// When the call took it.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The call ended at that moment, which has just passed.
    pub fn ended_at(mut self, until: Instant) {
        self.until = Some(until);
    }

    /// The platform refused the call because it had no room: nothing was executed.
    pub fn refused(mut self) {
        self.ended = Ended::Refused;
    }

    /// The call never came to the function, or broke off.
    pub fn unanswered(mut self) {
        self.ended = Ended::Unanswered;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let now = self.until.unwrap_or_else(Instant::now);
        let took = now.saturating_duration_since(self.since);
        self.function.record(self.running, took, now, self.ended);
        self.function.waiters.release(&self.function.gate);
    }
}

#[cfg(test)]
mod tests;
