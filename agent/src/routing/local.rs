//! A function of the local platform: its gate, those who wait at it, and how long its calls take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dfaas_protocol::estimate::Samples;
use dfaas_protocol::gate::{Freed, Gate, Turn};
use dfaas_protocol::{FunctionName, Slots};
use tokio::sync::Semaphore;

use crate::clock::Clock;

/// A function of the local platform. It lives until its capacity changes or it is removed.
#[derive(Debug)]
pub struct LocalFunction {
    /// Which.
    pub function: FunctionName,
    /// Its gate.
    pub gate: Arc<Gate>,
    /// Slots that were handed over and not yet taken; the semaphore serves those who wait in their order.
    handed_over: Semaphore,
    /// Calls that ended, and the nanoseconds that they took in all.
    ended: AtomicU64,
    busy_nanos: AtomicU64,
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
    pub fn learning(function: FunctionName, gate: Arc<Gate>) -> LocalFunction {
        LocalFunction {
            samples: Some(Samples::default()),
            ..LocalFunction::new(function, gate)
        }
    }

    /// A function with that gate.
    pub fn new(function: FunctionName, gate: Arc<Gate>) -> LocalFunction {
        LocalFunction {
            function,
            gate,
            handed_over: Semaphore::new(0),
            ended: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            samples: None,
        }
    }

    /// The slot of a call that the gate has let run, now.
    pub fn running(self: &Arc<Self>) -> Slot {
        self.running_since(Instant::now())
    }

    /// The slot of a call that the gate let run at that moment.
    pub fn running_since(self: &Arc<Self>, since: Instant) -> Slot {
        Slot {
            running: self.gate.running(),
            function: Arc::clone(self),
            since,
            ended: Ended::Ran,
        }
    }

    /// Waits for the turn that the gate gave. A caller that drops the future leaves the queue.
    pub async fn turn(self: &Arc<Self>, turn: Turn, clock: Clock) -> Slot {
        let place = Place(Some(self));
        match turn {
            Turn::At(time) => tokio::time::sleep_until(clock.instant(time).into()).await,
            Turn::WhenFreed => match self.handed_over.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) => unreachable!("the semaphore is never closed"),
            },
        }
        place.taken();
        self.running()
    }

    /// What was told of the calls that ended, where slots are learned from it.
    pub fn samples(&self) -> Option<&Samples> {
        self.samples.as_ref()
    }

    /// Changes its slots, and starts those that wait where there are more.
    pub fn resize(&self, slots: Slots) {
        let starting = self.gate.set_slots(slots);
        self.handed_over.add_permits(starting as usize);
    }

    /// Calls that ended, and the time that they took in all.
    pub fn served(&self) -> (u64, Duration) {
        let nanos = self.busy_nanos.load(Relaxed);
        (self.ended.load(Relaxed), Duration::from_nanos(nanos))
    }

    fn record(&self, running: u32, took: Duration, ended: Ended) {
        match (ended, &self.samples) {
            (Ended::Refused, Some(samples)) => {
                self.gate.refused_by_platform();
                samples.refuse();
            }
            (Ended::Refused | Ended::Unanswered, _) => {}
            (Ended::Ran, samples) => {
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.ended.fetch_add(1, Relaxed);
                self.busy_nanos.fetch_add(nanos, Relaxed);
                if let Some(samples) = samples {
                    samples.record(running, took);
                }
            }
        }
    }

    fn release(&self) {
        match self.gate.end() {
            Freed::Free => {}
            Freed::HandedOver => self.handed_over.add_permits(1),
        }
    }
}

/// A running call's slot; dropped when the call ended.
#[derive(Debug)]
pub struct Slot {
    function: Arc<LocalFunction>,
    since: Instant,
    /// How many ran when the call took it, itself among them.
    running: u32,
    ended: Ended,
}

impl Slot {
    /// When the call took it.
    pub fn since(&self) -> Instant {
        self.since
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
        let took = self.since.elapsed();
        self.function.record(self.running, took, self.ended);
        self.function.release();
    }
}

/// A place in the queue.
struct Place<'a>(Option<&'a Arc<LocalFunction>>);

impl Place<'_> {
    fn taken(mut self) {
        self.0 = None;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(function) = self.0 else { return };
        if function.gate.leave() {
            return;
        }
        // A slot was handed over to this call while it gave up: its permit is there, or the one who hands it over is
        // between counting and adding it, which takes nanoseconds.
        loop {
            if let Ok(permit) = function.handed_over.try_acquire() {
                permit.forget();
                return function.release();
            }
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfaas_protocol::gate::Entry;
    use dfaas_protocol::{Capacity, Slots};

    fn function(slots: u32, queue: u32) -> Arc<LocalFunction> {
        let gate = Gate::new(Capacity::Slots(Slots::new(slots).unwrap()), queue);
        let name = FunctionName::parse("f").unwrap();
        Arc::new(LocalFunction::new(name, Arc::new(gate)))
    }

    #[tokio::test]
    async fn those_who_wait_run_in_their_order() {
        let clock = Clock::start();
        let f = function(1, 2);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
        let slot = f.running();
        let (first, second) = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
        assert_eq!(first, Entry::Wait(Turn::WhenFreed));
        assert_eq!(second, first);
        let mut a = std::pin::pin!(f.turn(Turn::WhenFreed, clock));
        let mut b = std::pin::pin!(f.turn(Turn::WhenFreed, clock));
        assert!(futures::poll!(&mut a).is_pending());
        assert!(futures::poll!(&mut b).is_pending());
        drop(slot);
        assert!(futures::poll!(&mut b).is_pending());
        let slot = a.await;
        assert!(futures::poll!(&mut b).is_pending());
        drop(slot);
        drop(b.await);
        assert_eq!(f.gate.headroom(clock.now()).free, 1);
        assert_eq!(f.served().0, 3);
    }

    #[tokio::test]
    async fn giving_up_loses_no_slot() {
        let clock = Clock::start();
        let f = function(1, 2);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
        let slot = f.running();
        let _ = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
        {
            let mut before = std::pin::pin!(f.turn(Turn::WhenFreed, clock));
            assert!(futures::poll!(&mut before).is_pending());
        }
        {
            let mut after = Box::pin(f.turn(Turn::WhenFreed, clock));
            assert!(futures::poll!(&mut after).is_pending());
            drop(slot);
            // The slot is handed over by now; whoever it was for goes away.
            drop(after);
        }
        assert_eq!(f.gate.headroom(clock.now()).free, 1);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    }
}
