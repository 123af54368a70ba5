//! The gate of a function on its own node: what runs, what waits, what is left.

mod counts;
#[cfg(test)]
pub(crate) mod crowd;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::estimate::TokenBucket;
use crate::node_slots::NodeSlots;
use crate::{CallRate, Capacity, Headroom, Health, HealthState, Slots, Time};

use counts::{Counts, MAX_WAITING, step};

/// A burst is a tenth of a second of the rate.
const BURST_SECONDS: f64 = 0.1;

/// Counts what a function runs and what waits for it. Lock-free; the driver owns the waiting itself: it holds those who wait in a
/// [`Queue`](crate::queue::Queue), one for all gates that share their node's slots, and asks it for the next one when the
/// gate says so. What a call reads and changes of a gate with slots is in one line of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Gate {
    platform: Arc<Health>,
    /// What it shares with the node's other functions.
    node: Option<Arc<NodeSlots>>,
    /// How many calls may wait.
    queue: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Slots, running and waiting in one word, so that they change in one step: see [`Counts`].
    Slots(AtomicU64),
    Rate {
        rate: CallRate,
        bucket: TokenBucket,
        burst: u32,
        running: AtomicU32,
        waiting: AtomicU32,
    },
}

/// What the gate does with a call that is ready to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It runs now.
    Run,
    /// It waits for its turn: the driver queues it, and then asks for the next one, as a slot may have come free
    /// meanwhile.
    Wait,
    /// There is no room.
    Full,
}

/// What becomes of the slot of a call that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "those who wait are not started by themselves"]
pub enum Freed {
    /// Nobody waits: it is free.
    Free,
    /// It is for those who wait: the driver lets the next one start, [settles](Gate::settle) then, and goes on until there is no
    /// next one.
    ForNext,
}

impl Gate {
    /// A gate for that capacity at which `queue` calls may wait.
    pub fn new(capacity: Capacity, queue: u32) -> Gate {
        let state = match capacity {
            Capacity::Slots(slots) => {
                let counts = Counts {
                    slots: slots.get(),
                    running: 0,
                    waiting: 0,
                };
                State::Slots(counts.atomic())
            }
            Capacity::Rate(rate) => {
                let burst = (rate.per_second() * BURST_SECONDS).ceil().max(1.0) as u32;
                State::Rate {
                    rate,
                    bucket: TokenBucket::new(rate, burst),
                    burst,
                    running: AtomicU32::new(0),
                    waiting: AtomicU32::new(0),
                }
            }
        };
        Gate {
            queue: queue.min(MAX_WAITING),
            state,
            platform: Arc::default(),
            node: None,
        }
    }

    /// The gate of a function on a platform of that health.
    pub fn on(mut self, platform: Arc<Health>) -> Gate {
        self.platform = platform;
        self
    }

    /// The gate of a function that needs a slot of its node beside its own. Only a gate with slots shares them: a rate is
    /// kept whatever else the node runs.
    pub fn sharing(mut self, node: Arc<NodeSlots>) -> Gate {
        self.node = matches!(self.state, State::Slots(_)).then_some(node);
        self
    }

    /// The health of the platform.
    pub fn platform(&self) -> &Health {
        &self.platform
    }

    /// Whether it needs slots of its node, so that its calls wait with those of other functions.
    pub const fn is_sharing(&self) -> bool {
        self.node.is_some()
    }

    /// What it lets run now.
    pub fn capacity(&self) -> Capacity {
        match &self.state {
            State::Slots(word) => {
                let slots = Counts::read(word).slots;
                // Only numbers that came out of Slots are ever stored.
                Capacity::Slots(Slots::new(slots).unwrap_or(Slots::ONE))
            }
            State::Rate { rate, .. } => Capacity::Rate(*rate),
        }
    }

    /// What neighbours are told of it: the fewer of its own slots and of those that it shares.
    pub fn offered(&self) -> Capacity {
        match (self.capacity(), &self.node) {
            (Capacity::Slots(own), Some(node)) => Capacity::Slots(own.min(node.slots())),
            (capacity, _) => capacity,
        }
    }

    /// Changes the slots while calls run. Fewer than run now let nothing start until enough have ended; with more, the driver
    /// lets those start that wait. A rate is not changed.
    pub fn set_slots(&self, slots: Slots) {
        if let State::Slots(word) = &self.state {
            let slots = slots.get();
            step(word, |c| Some(Counts { slots, ..c }));
        }
    }

    /// The platform refused a running call because it had no room, which may still [`end`](Gate::end): there are no more
    /// slots than what runs beside it, but one.
    pub fn refused_by_platform(&self) {
        if let State::Slots(word) = &self.state {
            step(word, |c| {
                let slots = c.running.saturating_sub(1).clamp(1, c.slots);
                Some(Counts { slots, ..c })
            });
        }
    }

    /// How many calls may wait.
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// Starts a call if it can run now and nobody waits before it. Whoever gets `true` owes an [`end`](Gate::end).
    pub fn start(&self, now: Time) -> bool {
        match (&self.state, &self.node) {
            (State::Slots(word), None) => step(word, Counts::start).is_some(),
            (State::Slots(word), Some(node)) => start_shared(word, node),
            (
                State::Rate {
                    bucket,
                    running,
                    waiting,
                    ..
                },
                _,
            ) => {
                let taken = waiting.load(Relaxed) == 0 && bucket.try_take(now);
                if taken {
                    running.fetch_add(1, Relaxed);
                }
                taken
            }
        }
    }

    /// Starts a call, or lets it wait if there is room. One that runs owes an [`end`](Gate::end); so does one that waited
    /// and was [resumed](Gate::resume); one that gives up before owes a [`leave`](Gate::leave).
    pub fn enter(&self, now: Time) -> Entry {
        if let (State::Slots(word), None) = (&self.state, &self.node) {
            return match step(word, |c| c.start().or_else(|| c.wait(self.queue))) {
                Some(before) if before.has_free_slot() => Entry::Run,
                Some(_) => Entry::Wait,
                None => Entry::Full,
            };
        }
        if self.start(now) {
            Entry::Run
        } else if self.wait_as_one_of(self.queue) {
            Entry::Wait
        } else {
            Entry::Full
        }
    }

    /// Whether a call here may wait in the place of one at that gate of the same queue: those of other functions go only where
    /// it is the node's slots that are short, not the function's own.
    pub fn may_displace(&self, other: &Gate) -> bool {
        std::ptr::eq(self, other) || self.is_open()
    }

    /// Lets a call wait however many do already: it takes the place of one that [left](Gate::leave).
    pub fn wait_in_place_of_another(&self) {
        self.wait_as_one_of(MAX_WAITING);
    }

    fn wait_as_one_of(&self, most: u32) -> bool {
        match &self.state {
            State::Slots(word) => {
                let waits = step(word, |c| c.wait(most)).is_some();
                if let (true, Some(node)) = (waits, &self.node) {
                    node.wait();
                }
                waits
            }
            State::Rate { waiting, .. } => {
                let more = |n| (n < most).then_some(n + 1);
                waiting.fetch_update(Relaxed, Relaxed, more).is_ok()
            }
        }
    }

    /// Starts a call that waits, if it can run now. Whoever gets `true` must let one start. To be asked by whoever holds the
    /// queue, so that nobody else resumes or leaves at the same time.
    pub fn resume(&self, now: Time) -> bool {
        match (&self.state, &self.node) {
            (State::Slots(word), None) => step(word, Counts::resume).is_some(),
            (State::Slots(word), Some(node)) => {
                // In two steps, of which the first hides nobody who waits.
                if !node.is_open() || step(word, |c| c.resume().and(c.run())).is_none() {
                    return false;
                }
                let taken = node.resume();
                if taken {
                    step(word, Counts::leave);
                } else {
                    step(word, |c| Some(c.end()));
                }
                taken
            }
            (
                State::Rate {
                    bucket,
                    running,
                    waiting,
                    ..
                },
                _,
            ) => {
                let taken = waiting.load(Relaxed) > 0 && bucket.take_waiting(now);
                if taken {
                    waiting.fetch_sub(1, Relaxed);
                    running.fetch_add(1, Relaxed);
                }
                taken
            }
        }
    }

    /// Whether a call that waits here may start as far as the function's own slots go.
    pub fn is_open(&self) -> bool {
        match &self.state {
            State::Slots(word) => Counts::read(word).run().is_some(),
            State::Rate { .. } => true,
        }
    }

    /// When the driver is to ask for the next one, where calls wait for the tokens of a rate and `ahead` go before; nothing
    /// where they wait for slots.
    pub fn next_token(&self, now: Time, ahead: impl FnOnce() -> usize) -> Option<Time> {
        match &self.state {
            State::Slots(_) => None,
            State::Rate { bucket, .. } => {
                let ahead = u32::try_from(ahead()).unwrap_or(u32::MAX);
                Some(bucket.next(now, ahead))
            }
        }
    }

    /// A call ended.
    pub fn end(&self) -> Freed {
        match &self.state {
            State::Slots(word) => {
                let before = step(word, |c| Some(c.end()));
                let is_for_next = match &self.node {
                    Some(node) => node.end(),
                    None => before.is_some_and(|c| c.end().resume().is_some()),
                };
                if is_for_next {
                    Freed::ForNext
                } else {
                    Freed::Free
                }
            }
            State::Rate { running, .. } => {
                running.fetch_sub(1, Relaxed);
                Freed::Free
            }
        }
    }

    /// Once for each [`Freed::ForNext`], after the next one was let start, if there was one.
    pub fn settle(&self) {
        if let Some(node) = &self.node {
            node.settle();
        }
    }

    /// A call that waited gives up. As with [`resume`](Gate::resume), by whoever holds the queue.
    pub fn leave(&self) {
        match &self.state {
            State::Slots(word) => {
                let left = step(word, Counts::leave).is_some();
                if let (true, Some(node)) = (left, &self.node) {
                    node.leave();
                }
            }
            State::Rate { waiting, .. } => {
                let _ = waiting.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
            }
        }
    }

    /// What is left now; nothing is while the platform is not healthy.
    pub fn headroom(&self, now: Time) -> Headroom {
        let mut headroom = self.counted(now);
        if self.platform.state() != HealthState::Healthy {
            headroom.free = headroom.free.min(0);
        }
        headroom
    }

    fn counted(&self, now: Time) -> Headroom {
        match &self.state {
            State::Slots(word) => {
                let c = Counts::read(word);
                let busy = i64::from(c.running) + i64::from(c.waiting);
                let own = Headroom {
                    free: clamp(i64::from(c.slots) - busy),
                    size: c.slots,
                };
                match &self.node {
                    Some(node) => own.min(Headroom {
                        free: clamp(i64::from(node.free()) - i64::from(c.waiting)),
                        size: node.slots().get(),
                    }),
                    None => own,
                }
            }
            State::Rate {
                bucket,
                burst,
                waiting,
                ..
            } => Headroom {
                free: clamp(bucket.tokens(now) - i64::from(waiting.load(Relaxed))),
                size: *burst,
            },
        }
    }

    /// Calls that run now.
    pub fn running(&self) -> u32 {
        match &self.state {
            State::Slots(word) => Counts::read(word).running,
            State::Rate { running, .. } => running.load(Relaxed),
        }
    }
}

/// Starts a call that comes now, with a slot of its own and one of the node.
fn start_shared(word: &AtomicU64, node: &NodeSlots) -> bool {
    if step(word, Counts::start).is_none() {
        return false;
    }
    loop {
        if node.take() {
            return true;
        }
        // Whoever came to wait since may have found the function's own slots taken by this call and nobody to wake it. If
        // the node is full, the end of a call that runs there does; if it is not any more, this call runs after all, and its own
        // end does.
        let misled = step(word, |c| Some(c.end())).is_some_and(|c| c.waiting > 0);
        if !misled || node.free() == 0 || step(word, Counts::run).is_none() {
            return false;
        }
    }
}

fn clamp(n: i64) -> i32 {
    n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallRate;
    use std::time::Duration;

    fn slots(n: u32, queue: u32) -> Gate {
        Gate::new(Capacity::Slots(Slots::new(n).unwrap()), queue)
    }

    #[test]
    fn slots_run_then_wait_then_refuse() {
        let gate = slots(2, 1);
        assert!(gate.start(Time::ZERO) && gate.start(Time::ZERO));
        assert!(!gate.start(Time::ZERO));
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
        assert_eq!(gate.enter(Time::ZERO), Entry::Full);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -1, size: 2 });
        gate.wait_in_place_of_another();
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -2, size: 2 });
    }

    #[test]
    fn the_slot_of_an_ended_call_is_for_the_one_that_waits() {
        let gate = slots(1, 1);
        assert!(gate.start(Time::ZERO));
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
        assert!(!gate.resume(Time::ZERO), "no slot is free");
        assert_eq!(gate.end(), Freed::ForNext);
        assert!(!gate.start(Time::ZERO), "one waits");
        assert!(gate.resume(Time::ZERO));
        gate.settle();
        assert!(!gate.resume(Time::ZERO), "nobody waits any more");
        assert_eq!(gate.end(), Freed::Free);
        assert!(gate.start(Time::ZERO));
    }

    #[test]
    fn a_call_that_is_ready_to_wait_runs_where_it_can() {
        let gate = slots(1, 0);
        assert_eq!(gate.enter(Time::ZERO), Entry::Run);
        assert_eq!(gate.enter(Time::ZERO), Entry::Full);
    }

    #[test]
    fn fewer_slots_let_nothing_start_until_enough_have_ended() {
        let gate = slots(3, 2);
        assert!((0..3).all(|_| gate.start(Time::ZERO)));
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
        gate.set_slots(Slots::ONE);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -3, size: 1 });
        assert_eq!([gate.end(), gate.end()], [Freed::Free; 2]);
        assert_eq!(gate.end(), Freed::ForNext);
        assert!(gate.resume(Time::ZERO));
        assert_eq!(gate.end(), Freed::Free);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: 1, size: 1 });
    }

    #[test]
    fn more_slots_let_those_start_that_wait() {
        let gate = slots(1, 3);
        for _ in 0..4 {
            let _ = gate.enter(Time::ZERO);
        }
        gate.set_slots(Slots::new(3).unwrap());
        assert!(!gate.start(Time::ZERO), "three wait");
        assert!(gate.resume(Time::ZERO) && gate.resume(Time::ZERO) && !gate.resume(Time::ZERO));
        assert_eq!(gate.running(), 3);
        gate.set_slots(Slots::new(9).unwrap());
        assert!(gate.resume(Time::ZERO));
        assert!(gate.start(Time::ZERO));
    }

    #[test]
    fn a_call_that_the_platform_refuses_takes_its_slot_with_it() {
        let gate = slots(8, 0);
        assert!((0..5).all(|_| gate.start(Time::ZERO)));
        gate.refused_by_platform();
        assert_eq!(gate.end(), Freed::Free);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: 0, size: 4 });
        let one = slots(1, 0);
        assert!(one.start(Time::ZERO));
        one.refused_by_platform();
        assert_eq!(one.capacity(), Capacity::Slots(Slots::ONE));
    }

    #[test]
    fn a_rate_is_a_rate_also_for_short_calls() {
        let gate = Gate::new(Capacity::Rate(CallRate::new(100.0).unwrap()), 8);
        let mut ran = 0;
        for i in 0..1100u64 {
            let now = Time::ZERO + Duration::from_micros(i * 1_000_000 / 110);
            if gate.start(now) {
                ran += 1;
                let _ = gate.end();
            }
        }
        assert!((1000..=1010).contains(&ran), "{ran}");
    }

    #[test]
    fn who_waits_for_a_token_goes_before_who_comes() {
        let gate = Gate::new(Capacity::Rate(CallRate::new(10.0).unwrap()), 2);
        let now = Time::ZERO + Duration::from_secs(1);
        assert!(gate.start(now));
        let later = now + Duration::from_millis(100);
        assert_eq!(gate.enter(now), Entry::Wait);
        assert_eq!(gate.enter(now), Entry::Wait);
        assert_eq!(gate.enter(now), Entry::Full);
        assert_eq!(gate.next_token(now, || 0), Some(later));
        assert_eq!(gate.headroom(now).free, -2);
        gate.leave();
        assert_eq!(gate.headroom(now).free, -1);
        assert!(!gate.resume(now), "no token is there");
        assert!(!gate.start(later), "the token is for the one that waits");
        assert!(gate.resume(later) && !gate.resume(later));
        assert_eq!(gate.headroom(later).free, 0);
        assert_eq!(gate.running(), 2);
    }

    #[test]
    fn functions_that_share_a_node_share_its_headroom() {
        let node = Arc::new(NodeSlots::new(Slots::new(4).unwrap()));
        let [a, b] = [3, 3].map(|own| slots(own, 2).sharing(Arc::clone(&node)));
        let free = |gate: &Gate| {
            let Headroom { free, size } = gate.headroom(Time::ZERO);
            (free, size)
        };
        assert_eq!((free(&a), free(&b)), ((3, 3), (3, 3)));
        assert_eq!(a.offered(), a.capacity());
        let most = slots(9, 2).sharing(Arc::clone(&node)).offered();
        assert_eq!(most, Capacity::Slots(node.slots()));
        assert!(a.start(Time::ZERO) && a.start(Time::ZERO));
        // One of three is left to a; two of the node's four are left to b, which are fewer than its own three.
        assert_eq!((free(&a), free(&b)), ((1, 3), (2, 4)));
        assert!(b.start(Time::ZERO) && b.start(Time::ZERO));
        assert!(!a.start(Time::ZERO) && !b.start(Time::ZERO));
        assert_eq!((a.running(), b.running()), (2, 2));
        assert_eq!(b.enter(Time::ZERO), Entry::Wait);
        assert_eq!(b.enter(Time::ZERO), Entry::Wait);
        assert_eq!(b.enter(Time::ZERO), Entry::Full);
        // Nothing is free on the node, and two wait for b.
        assert_eq!((free(&a), free(&b)), ((0, 4), (-2, 4)));
        assert!(!b.resume(Time::ZERO));
        assert_eq!(a.end(), Freed::ForNext);
        assert!(!a.resume(Time::ZERO), "none waits for it");
        assert!(!a.start(Time::ZERO), "the slot is kept for who waits");
        assert!(b.resume(Time::ZERO));
        a.settle();
        assert_eq!(free(&b), (-1, 3));
        assert_eq!(a.end(), Freed::ForNext);
        assert!(
            !b.resume(Time::ZERO),
            "it has all the slots that are its own"
        );
        assert!(!a.start(Time::ZERO), "the slot is still kept");
        a.settle();
        b.leave();
        assert_eq!((free(&a), free(&b)), ((1, 4), (0, 3)));
        assert_eq!((node.running(), node.waiting(), node.free()), (3, 0, 1));
        assert_eq!(b.end(), Freed::Free);
    }
}
