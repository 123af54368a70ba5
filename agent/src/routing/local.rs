//! A function of the local platform: its gate, those who wait at it, and how long its calls take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dfaas_protocol::FunctionName;
use dfaas_protocol::gate::{Freed, Gate, Turn};
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
}

impl LocalFunction {
    /// A function with that gate.
    pub fn new(function: FunctionName, gate: Arc<Gate>) -> LocalFunction {
        LocalFunction {
            function,
            gate,
            handed_over: Semaphore::new(0),
            ended: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
        }
    }

    /// The slot of a call that the gate has let run, now.
    pub fn running(self: &Arc<Self>) -> Slot {
        self.running_since(Instant::now())
    }

    /// The slot of a call that the gate let run at that moment.
    pub fn running_since(self: &Arc<Self>, since: Instant) -> Slot {
        Slot {
            function: Arc::clone(self),
            since,
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

    /// Calls that ended, and the time that they took in all.
    pub fn served(&self) -> (u64, Duration) {
        let nanos = self.busy_nanos.load(Relaxed);
        (self.ended.load(Relaxed), Duration::from_nanos(nanos))
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
}

impl Slot {
    /// When the call took it.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.function.ended.fetch_add(1, Relaxed);
        self.function.busy_nanos.fetch_add(nanos, Relaxed);
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
