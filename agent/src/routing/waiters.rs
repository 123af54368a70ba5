//! Those who wait: for the slots or the rate of one function, or for the slots that functions share.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dfaas_protocol::gate::{Freed, Gate};
use dfaas_protocol::policy::Priority;
use dfaas_protocol::queue::{self, Queue};
use dfaas_protocol::{Capacity, Time};
use tokio::sync::oneshot;

use crate::clock::Clock;

/// Those who wait at one gate, or at all gates that share their node's slots. Calls that need not wait do not come here.
#[derive(Debug)]
pub struct Waiters {
    clock: Clock,
    queue: Mutex<Queue<Waiter>>,
    /// Whoever holds it asks for the next one when a token comes.
    timekeeping: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiter {
    gate: Arc<Gate>,
    turn: oneshot::Sender<()>,
}

impl Waiters {
    /// Nobody.
    pub fn new(clock: Clock) -> Waiters {
        Waiters {
            clock,
            queue: Mutex::default(),
            timekeeping: tokio::sync::Mutex::default(),
        }
    }

    /// The clock that they are kept waiting by.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Queues a call that the gate counts as one that waits. Nothing if it cannot start in time.
    pub(super) fn queue<'a>(
        &'a self,
        gate: &'a Arc<Gate>,
        priority: Priority,
        latest: Option<Time>,
    ) -> Option<Place<'a>> {
        let (sender, turn) = oneshot::channel();
        let waiter = Waiter {
            gate: Arc::clone(gate),
            turn: sender,
        };
        let mut queue = self.lock();
        let place = queue.push(priority, latest, waiter);
        let token = latest.and_then(|_| {
            let now = self.clock.now();
            gate.next_token(now, || queue.ahead_of(place))
        });
        let place = Place {
            waiters: self,
            gate,
            place,
            latest,
            turn,
        };
        if token
            .zip(latest)
            .is_some_and(|(token, latest)| token > latest)
        {
            drop(queue);
            return None;
        }
        // Whoever freed a slot since this call was counted did not find it here.
        if gate.is_open() {
            while self.next(&mut queue) {}
        }
        Some(place)
    }

    /// Drops the call that would go last, if its priority is below that one. Then the caller waits in its place, and is to be
    /// [queued](Waiters::queue).
    pub(super) fn displace(&self, gate: &Gate, priority: Priority) -> bool {
        let mut queue = self.lock();
        let displaced = queue.displace(priority, |waiter| gate.may_displace(&waiter.gate));
        if let Some(other) = &displaced {
            other.gate.leave();
            gate.wait_in_place_of_another();
        }
        displaced.is_some()
    }

    /// Starts all that can start, as slots were added to a gate.
    pub(super) fn start(&self) {
        let mut queue = self.lock();
        while self.next(&mut queue) {}
    }

    /// A call that ran ended.
    pub(super) fn release(&self, gate: &Gate) {
        if gate.end() == Freed::ForNext {
            let mut queue = self.lock();
            self.next(&mut queue);
            gate.settle();
            while self.next(&mut queue) {}
        }
    }

    /// Starts the one who goes first of those that can start. Returns whether there was one.
    fn next(&self, queue: &mut Queue<Waiter>) -> bool {
        let now = self.clock.now();
        while let Some((waiter, in_time)) = queue.next(now, |waiter| waiter.gate.resume(now)) {
            if in_time {
                // Somebody receives it, as a place leaves the queue before its receiver goes.
                let _ = waiter.turn.send(());
                return true;
            }
            // It learns it as its sender is dropped.
            waiter.gate.leave();
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Waiter>> {
        // A panic while the lock was held leaves a queue that is whole: each change is one step.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }
}

/// A place in the queue. Dropped before its turn, it is left.
#[derive(Debug)]
pub(super) struct Place<'a> {
    waiters: &'a Waiters,
    gate: &'a Arc<Gate>,
    place: queue::Place,
    latest: Option<Time>,
    turn: oneshot::Receiver<()>,
}

impl Place<'_> {
    /// Waits for the call's turn. Returns whether it came: then the caller owes an [`end`](Gate::end).
    pub(super) async fn turn(mut self) -> bool {
        let (waiters, gate) = (self.waiters, self.gate);
        let turn = async {
            tokio::select! {
                biased;
                turn = &mut self.turn => turn.is_ok(),
                never = keep_time(waiters, gate) => match never {},
            }
        };
        match self.latest {
            Some(latest) => {
                let latest = waiters.clock.instant(latest).into();
                tokio::time::timeout_at(latest, turn).await.unwrap_or(false)
            }
            None => turn.await,
        }
        // Once the turn was received, dropping the place gives nothing back.
    }
}

/// Asks for the next one whenever a token comes. One of those who wait for tokens does it for all of them.
async fn keep_time(waiters: &Waiters, gate: &Gate) -> Infallible {
    if let Capacity::Slots(_) = gate.capacity() {
        return std::future::pending().await;
    }
    let _timekeeping = waiters.timekeeping.lock().await;
    while let Some(token) = gate.next_token(waiters.clock.now(), || 0) {
        tokio::time::sleep_until(waiters.clock.instant(token).into()).await;
        waiters.start();
    }
    std::future::pending().await
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.waiters.lock();
        if queue.leave(self.place).is_some() {
            return self.gate.leave();
        }
        drop(queue);
        // The turn came, and nobody was there to take it any more.
        if self.turn.try_recv().is_ok() {
            self.waiters.release(self.gate);
        }
    }
}
