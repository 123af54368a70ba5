//! A function of the local platform: its gate, those who wait at it, and how long its calls take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dfaas_protocol::estimate::{Samples, Tail};
use dfaas_protocol::gate::{Freed, Gate, Turn};
use dfaas_protocol::policy::{Priority, Terms};
use dfaas_protocol::queue::{self, Queue};
use dfaas_protocol::{FunctionName, Slots};
use tokio::sync::oneshot;

use crate::clock::Clock;

/// A function of the local platform. It lives until its capacity changes or it is removed.
#[derive(Debug)]
pub struct LocalFunction {
    /// Which.
    pub function: FunctionName,
    /// Its gate.
    pub gate: Arc<Gate>,
    clock: Clock,
    /// Those who wait for a slot. Calls that need not wait do not come here.
    waiting: Mutex<Waiting>,
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

/// Who waits. The gate counts in its own step, so that the counts and the queue differ for an instant.
#[derive(Debug, Default)]
struct Waiting {
    queue: Queue<oneshot::Sender<()>>,
    /// Slots that were handed over to calls that are just about to queue.
    owed: u32,
    /// Slots that were handed over to calls that have just left the queue.
    abandoned: u32,
}

impl LocalFunction {
    /// A function with that gate, whose slots are to be learned.
    pub fn learning(function: FunctionName, gate: Arc<Gate>, clock: Clock) -> LocalFunction {
        LocalFunction {
            samples: Some(Samples::default()),
            ..LocalFunction::new(function, gate, clock)
        }
    }

    /// A function with that gate.
    pub fn new(function: FunctionName, gate: Arc<Gate>, clock: Clock) -> LocalFunction {
        LocalFunction {
            function,
            gate,
            clock,
            waiting: Mutex::default(),
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
        Slot {
            running: self.gate.running(),
            function: Arc::clone(self),
            since,
            ended: Ended::Ran,
        }
    }

    /// Waits for the turn that the gate gave. Nothing if the call is dropped: it cannot start in time, or one of higher
    /// priority took its place. A caller that drops the future leaves the queue.
    pub async fn turn(
        self: &Arc<Self>,
        turn: Turn,
        terms: &Terms,
        service: Option<Duration>,
    ) -> Option<Slot> {
        let latest = terms.latest_start(service);
        match turn {
            Turn::At(time) => {
                let place = Token(Some(self));
                if latest.is_some_and(|latest| latest < time) {
                    return None;
                }
                tokio::time::sleep_until(self.clock.instant(time).into()).await;
                place.taken();
            }
            Turn::WhenFreed => {
                let (sender, turn) = oneshot::channel();
                let Some(place) = self.queue(terms.priority, latest, sender) else {
                    return Some(self.running());
                };
                let place = Place {
                    function: self,
                    place,
                    turn,
                };
                return place
                    .turn(latest.map(|time| self.clock.instant(time)))
                    .await;
            }
        }
        Some(self.running())
    }

    /// Queues a call; nothing if its turn has come already.
    fn queue(
        &self,
        priority: Priority,
        latest: Option<dfaas_protocol::Time>,
        sender: oneshot::Sender<()>,
    ) -> Option<queue::Place> {
        let mut waiting = self.waiting();
        if waiting.owed > 0 {
            waiting.owed -= 1;
            return None;
        }
        Some(waiting.queue.push(priority, latest, sender))
    }

    /// Drops the call that would go last, if its priority is below that one. Then its place is the caller's, who owes a
    /// [`turn`](LocalFunction::turn).
    pub fn displace(&self, priority: Priority) -> bool {
        self.waiting().queue.displace(priority).is_some()
    }

    /// Starts so many of those who wait, as slots were added to the gate.
    pub fn start_waiting(&self, slots: u32) {
        for _ in 0..slots {
            if !self.hand_over() {
                self.release();
            }
        }
    }

    /// What was told of the calls that ended, where slots are learned from it.
    pub fn samples(&self) -> Option<&Samples> {
        self.samples.as_ref()
    }

    /// Changes its slots, and starts those that wait where there are more.
    pub fn resize(&self, slots: Slots) {
        let starting = self.gate.set_slots(slots);
        self.start_waiting(starting);
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
                self.tail.record(took);
                if let Some(samples) = samples {
                    samples.record(running, took);
                }
            }
        }
    }

    fn release(&self) {
        while self.gate.end() == Freed::HandedOver {
            if self.hand_over() {
                return;
            }
        }
    }

    /// Gives a slot to the one who goes first, or keeps it for one who is about to queue. Returns whether it is taken.
    fn hand_over(&self) -> bool {
        let mut waiting = self.waiting();
        match waiting.queue.pop(self.clock.now()) {
            Some((call, true)) => call.send(()).is_ok(),
            // Whoever comes too late learns it as its sender is dropped.
            Some((_, false)) => false,
            None if waiting.abandoned > 0 => {
                waiting.abandoned -= 1;
                false
            }
            None => {
                waiting.owed += 1;
                true
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic while the lock was held leaves a queue that is whole: each change is one step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A token that the gate has promised.
struct Token<'a>(Option<&'a Arc<LocalFunction>>);

impl Token<'_> {
    fn taken(mut self) {
        self.0 = None;
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if let Some(function) = self.0 {
            function.gate.leave();
        }
    }
}

/// A place in the queue.
struct Place<'a> {
    function: &'a Arc<LocalFunction>,
    place: queue::Place,
    turn: oneshot::Receiver<()>,
}

impl Place<'_> {
    async fn turn(mut self, latest: Option<Instant>) -> Option<Slot> {
        let came = match latest {
            Some(latest) => tokio::time::timeout_at(latest.into(), &mut self.turn)
                .await
                .is_ok_and(|turn| turn.is_ok()),
            None => (&mut self.turn).await.is_ok(),
        };
        // Once it was received, dropping the place gives nothing back.
        came.then(|| self.function.running())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let function = self.function;
        let mut waiting = function.waiting();
        if waiting.queue.leave(self.place).is_some() {
            // If a slot is being handed over at this moment, whoever does it must not keep it for somebody else.
            if !function.gate.leave() {
                waiting.abandoned += 1;
            }
            return;
        }
        drop(waiting);
        // The turn came, and nobody was there to take it any more.
        if self.turn.try_recv().is_ok() {
            function.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfaas_protocol::gate::Entry;
    use dfaas_protocol::{Capacity, Slots, Time};

    const TERMS: Terms = Terms {
        priority: Priority::HIGHEST,
        deadline: None,
        start_by: None,
    };

    fn function(slots: u32, queue: u32, clock: Clock) -> Arc<LocalFunction> {
        let gate = Gate::new(Capacity::Slots(Slots::new(slots).unwrap()), queue);
        let name = FunctionName::parse("f").unwrap();
        Arc::new(LocalFunction::new(name, Arc::new(gate), clock))
    }

    #[tokio::test]
    async fn those_who_wait_run_in_their_order() {
        let clock = Clock::start();
        let f = function(1, 2, clock);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
        let slot = f.running();
        let (first, second) = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
        assert_eq!(first, Entry::Wait(Turn::WhenFreed));
        assert_eq!(second, first);
        let mut a = std::pin::pin!(f.turn(Turn::WhenFreed, &TERMS, None));
        let mut b = std::pin::pin!(f.turn(Turn::WhenFreed, &TERMS, None));
        assert!(futures::poll!(&mut a).is_pending());
        assert!(futures::poll!(&mut b).is_pending());
        drop(slot);
        assert!(futures::poll!(&mut b).is_pending());
        let slot = a.await.unwrap();
        assert!(futures::poll!(&mut b).is_pending());
        drop(slot);
        drop(b.await.unwrap());
        assert_eq!(f.gate.headroom(clock.now()).free, 1);
        assert_eq!(f.served().0, 3);
    }

    #[tokio::test]
    async fn giving_up_loses_no_slot() {
        let clock = Clock::start();
        let f = function(1, 2, clock);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
        let slot = f.running();
        let _ = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
        {
            let mut before = std::pin::pin!(f.turn(Turn::WhenFreed, &TERMS, None));
            assert!(futures::poll!(&mut before).is_pending());
        }
        {
            let mut after = Box::pin(f.turn(Turn::WhenFreed, &TERMS, None));
            assert!(futures::poll!(&mut after).is_pending());
            drop(slot);
            // The slot is handed over by now; whoever it was for goes away.
            drop(after);
        }
        assert_eq!(f.gate.headroom(clock.now()).free, 1);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    }

    fn of(priority: u8) -> Terms {
        Terms {
            priority: Priority::new(priority).unwrap(),
            ..TERMS
        }
    }

    #[tokio::test]
    async fn higher_priority_goes_first_and_takes_the_place_of_the_last() {
        let clock = Clock::start();
        let f = function(1, 1, clock);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
        let slot = f.running();
        assert_eq!(f.gate.enter(clock.now()), Entry::Wait(Turn::WhenFreed));
        let (low, high) = (of(3), of(7));
        let mut first = std::pin::pin!(f.turn(Turn::WhenFreed, &low, None));
        assert!(futures::poll!(&mut first).is_pending());
        assert_eq!(f.gate.enter(clock.now()), Entry::Full);
        assert!(!f.displace(low.priority), "not for an equal");
        assert!(f.displace(high.priority));
        let mut second = std::pin::pin!(f.turn(Turn::WhenFreed, &high, None));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(first.await.is_none(), "it was dropped");
        drop(slot);
        drop(second.await.unwrap());
        assert_eq!(f.gate.headroom(clock.now()).free, 1);
    }

    #[tokio::test]
    async fn who_cannot_start_in_time_is_dropped_at_once() {
        let clock = Clock::start();
        let f = function(1, 2, clock);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
        let slot = f.running();
        let _ = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
        let late = Terms {
            deadline: Some(clock.now() + Duration::from_millis(20)),
            ..TERMS
        };
        let mut patient = std::pin::pin!(f.turn(Turn::WhenFreed, &TERMS, None));
        assert!(futures::poll!(&mut patient).is_pending());
        assert!(f.turn(Turn::WhenFreed, &late, None).await.is_none());
        assert!(clock.now() > Time::ZERO + Duration::from_millis(20));
        drop(slot);
        drop(patient.await.unwrap());
        assert_eq!(f.gate.headroom(clock.now()).free, 1);
        assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_who_wait_and_give_up_lose_no_slot() {
        let clock = Clock::start();
        let f = function(3, 20, clock);
        let tasks: Vec<_> = (0..2000u64)
            .map(|n| {
                let f = Arc::clone(&f);
                tokio::spawn(async move {
                    let patience = Duration::from_micros(n % 7 * 100);
                    let terms = of((n % 10) as u8);
                    let slot = match f.gate.enter(f.clock.now()) {
                        Entry::Run => Some(f.running()),
                        Entry::Wait(turn) => {
                            let turn = f.turn(turn, &terms, None);
                            tokio::time::timeout(patience, turn).await.ok().flatten()
                        }
                        Entry::Full if f.displace(terms.priority) => {
                            f.turn(Turn::WhenFreed, &terms, None).await
                        }
                        Entry::Full => None,
                    };
                    if slot.is_some() {
                        tokio::time::sleep(Duration::from_micros(n % 5 * 50)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        // Whatever was left to a call that had given up is settled as the next ones end.
        for _ in 0..2 {
            if f.gate.enter(clock.now()) == Entry::Run {
                drop(f.running());
            }
        }
        assert_eq!(f.gate.headroom(clock.now()).free, 3);
        let waiting = f.waiting();
        assert_eq!(
            (waiting.owed, waiting.abandoned, waiting.queue.len()),
            (0, 0, 0)
        );
    }
}
