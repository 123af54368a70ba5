//! The gate of a function on its own node: what runs, what waits, what is left.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::estimate::TokenBucket;
use crate::node_slots::NodeSlots;
use crate::policy::Priority;
use crate::{CallRate, Capacity, Headroom, Health, HealthState, Slots, Time};

/// A burst is a tenth of a second of the rate.
const BURST_SECONDS: f64 = 0.1;

/// Counts what a function runs and what waits for it. Lock-free; the driver owns the waiting itself (a future, or an
/// event in virtual time) and tells the gate when a call ends or gives up.
#[derive(Debug)]
pub struct Gate {
    /// How many calls may wait.
    queue: u32,
    state: State,
    platform: Arc<Health>,
    /// What it shares with the node's other functions.
    node: Option<Arc<NodeSlots>>,
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
    },
}

/// What the gate does with a call that is ready to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It runs now.
    Run,
    /// It waits for its turn.
    Wait(Turn),
    /// There is no room.
    Full,
}

/// When a call that waits may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// When a running call ends and hands its slot over, first come first served.
    WhenFreed,
    /// At that time.
    At(Time),
}

/// What becomes of the slot of a call that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a slot that is handed over and not taken is lost"]
pub enum Freed {
    /// Nobody waits: it is free.
    Free,
    /// It belongs to the call that waits longest; the driver must let it start.
    HandedOver,
    /// Functions share it: the driver [resumes](Gate::resume) the gates of the node at which calls wait, in the order of
    /// [`Gate::precedence`], until none can.
    Shared,
}

/// What a gate with slots counts, as one word: 20 bits of slots, 21 of calls that run, 23 of calls that wait. As slots may
/// shrink while calls run, more may run than there are slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    slots: u32,
    running: u32,
    waiting: u32,
}

/// The longest queue that fits into the word; more than any driver can let wait.
const MAX_WAITING: u32 = (1 << 23) - 1;

impl Counts {
    const fn of(word: u64) -> Counts {
        Counts {
            slots: (word >> 44) as u32,
            running: (word >> 23) as u32 & ((1 << 21) - 1),
            waiting: word as u32 & MAX_WAITING,
        }
    }

    const fn word(self) -> u64 {
        (self.slots as u64) << 44 | (self.running as u64) << 23 | self.waiting as u64
    }

    /// Calls wait only while every slot is taken, since a slot that ends is handed over; so nobody is overtaken.
    const fn has_free_slot(self) -> bool {
        self.waiting == 0 && self.running < self.slots
    }

    const fn start(self) -> Option<Counts> {
        let running = self.running + 1;
        if self.has_free_slot() {
            Some(Counts { running, ..self })
        } else {
            None
        }
    }

    const fn wait(self, queue: u32) -> Option<Counts> {
        let waiting = self.waiting + 1;
        if waiting <= queue {
            Some(Counts { waiting, ..self })
        } else {
            None
        }
    }

    /// Whether the slot of a call that ends goes to one that waits. It does not while more run than there are slots.
    const fn hands_over(self) -> bool {
        self.waiting > 0 && self.running <= self.slots
    }

    fn end(self) -> Counts {
        if self.hands_over() {
            let waiting = self.waiting - 1;
            Counts { waiting, ..self }
        } else {
            let running = self.running.saturating_sub(1);
            Counts { running, ..self }
        }
    }

    /// How many that wait may start with that many slots.
    fn resized(self, slots: u32) -> (Counts, u32) {
        let starting = self.waiting.min(slots.saturating_sub(self.running));
        let counts = Counts {
            slots,
            running: self.running + starting,
            waiting: self.waiting - starting,
        };
        (counts, starting)
    }
}

/// Changes the counts in one step and returns what they were, or nothing if `change` has none.
fn step(word: &AtomicU64, mut change: impl FnMut(Counts) -> Option<Counts>) -> Option<Counts> {
    word.fetch_update(Relaxed, Relaxed, |w| {
        change(Counts::of(w)).map(Counts::word)
    })
    .ok()
    .map(Counts::of)
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
                State::Slots(AtomicU64::new(counts.word()))
            }
            Capacity::Rate(rate) => {
                let burst = (rate.per_second() * BURST_SECONDS).ceil().max(1.0) as u32;
                State::Rate {
                    rate,
                    bucket: TokenBucket::new(rate, burst),
                    burst,
                    running: AtomicU32::new(0),
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

    /// What it lets run now.
    pub fn capacity(&self) -> Capacity {
        match &self.state {
            State::Slots(word) => {
                let slots = Counts::of(word.load(Relaxed)).slots;
                // Only numbers that came out of Slots are ever stored.
                Capacity::Slots(Slots::new(slots).unwrap_or(Slots::ONE))
            }
            State::Rate { rate, .. } => Capacity::Rate(*rate),
        }
    }

    /// Changes the slots while calls run. Fewer than run now let nothing start until enough have ended; more let calls start
    /// that wait: the driver must start as many as this returns, those that wait longest. A rate is not changed. Where functions share
    /// their node's slots it returns none, and the driver [resumes](Gate::resume) them.
    #[must_use = "a slot that is handed over and not taken is lost"]
    pub fn set_slots(&self, slots: Slots) -> u32 {
        match &self.state {
            State::Slots(word) if self.node.is_some() => {
                let slots = slots.get();
                step(word, |c| Some(Counts { slots, ..c }));
                0
            }
            State::Slots(word) => step(word, |c| Some(c.resized(slots.get()).0))
                .map_or(0, |c| c.resized(slots.get()).1),
            State::Rate { .. } => 0,
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
        match &self.state {
            State::Slots(word) => {
                step(word, Counts::start).is_some() && (self.takes_of_node() || self.undo(word))
            }
            State::Rate {
                bucket, running, ..
            } => {
                let taken = bucket.try_take(now);
                if taken {
                    running.fetch_add(1, Relaxed);
                }
                taken
            }
        }
    }

    fn takes_of_node(&self) -> bool {
        self.node.as_ref().is_none_or(|node| node.take())
    }

    /// Takes back a start for which the node has no slot; always false.
    fn undo(&self, word: &AtomicU64) -> bool {
        step(word, |c| {
            let running = c.running.saturating_sub(1);
            Some(Counts { running, ..c })
        });
        false
    }

    /// Starts a call that waits, if it has a slot here and one of the node. Whoever gets `true` must let one start.
    pub fn resume(&self) -> bool {
        let (State::Slots(word), Some(_)) = (&self.state, &self.node) else {
            return false;
        };
        let resumed = step(word, |c| {
            let waiting = c.waiting.checked_sub(1)?;
            let running = c.running + 1;
            (running <= c.slots).then_some(Counts {
                running,
                waiting,
                ..c
            })
        });
        if resumed.is_none() {
            return false;
        }
        let taken = self.takes_of_node();
        if !taken {
            step(word, |c| {
                let (running, waiting) = (c.running.saturating_sub(1), c.waiting + 1);
                Some(Counts {
                    running,
                    waiting,
                    ..c
                })
            });
        }
        taken
    }

    /// Who is resumed first of those that share a node, the greatest first: the higher priority, then the one that runs
    /// fewer.
    pub fn precedence(&self, priority: Priority) -> (Priority, Reverse<u32>) {
        (priority, Reverse(self.running()))
    }

    /// Starts a call, or lets it wait if there is room. One that runs owes an [`end`](Gate::end); so does one that waited
    /// and whose turn came; one that gives up before owes a [`leave`](Gate::leave).
    pub fn enter(&self, now: Time) -> Entry {
        match &self.state {
            State::Slots(word) if self.node.is_some() => {
                if self.start(now) {
                    Entry::Run
                } else if step(word, |c| c.wait(self.queue)).is_some() {
                    Entry::Wait(Turn::WhenFreed)
                } else {
                    Entry::Full
                }
            }
            State::Slots(word) => match step(word, |c| c.start().or(c.wait(self.queue))) {
                Some(before) if before.has_free_slot() => Entry::Run,
                Some(_) => Entry::Wait(Turn::WhenFreed),
                None => Entry::Full,
            },
            State::Rate {
                bucket, running, ..
            } => match bucket.promise(now, self.queue) {
                Some(turn) => {
                    running.fetch_add(1, Relaxed);
                    if turn <= now {
                        Entry::Run
                    } else {
                        Entry::Wait(Turn::At(turn))
                    }
                }
                None => Entry::Full,
            },
        }
    }

    /// A call ended.
    pub fn end(&self) -> Freed {
        match &self.state {
            State::Slots(word) if let Some(node) = &self.node => {
                self.undo(word);
                node.give_back();
                Freed::Shared
            }
            State::Slots(word) => match step(word, |c| Some(c.end())) {
                Some(before) if before.hands_over() => Freed::HandedOver,
                _ => Freed::Free,
            },
            State::Rate { running, .. } => {
                running.fetch_sub(1, Relaxed);
                Freed::Free
            }
        }
    }

    /// A call that waited gives up. Returns whether it left the queue; if not, a slot has already been handed to it,
    /// and it must [`end`](Gate::end) instead.
    pub fn leave(&self) -> bool {
        match &self.state {
            State::Slots(word) => step(word, |c| {
                let waiting = c.waiting.checked_sub(1)?;
                Some(Counts { waiting, ..c })
            })
            .is_some(),
            State::Rate {
                bucket, running, ..
            } => {
                bucket.give_back();
                running.fetch_sub(1, Relaxed);
                true
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
                let c = Counts::of(word.load(Relaxed));
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
            State::Rate { bucket, burst, .. } => Headroom {
                free: clamp(bucket.tokens(now)),
                size: *burst,
            },
        }
    }

    /// Calls that run now; for a rate, those that wait for a token are among them.
    pub fn running(&self) -> u32 {
        match &self.state {
            State::Slots(word) => Counts::of(word.load(Relaxed)).running,
            State::Rate { running, .. } => running.load(Relaxed),
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
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
        assert_eq!(gate.enter(Time::ZERO), Entry::Full);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -1, size: 2 });
    }

    #[test]
    fn an_ended_call_hands_its_slot_to_the_one_that_waits() {
        let gate = slots(1, 1);
        assert!(gate.start(Time::ZERO));
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
        assert_eq!(gate.end(), Freed::HandedOver);
        assert!(!gate.leave(), "the slot was already handed over");
        assert!(
            !gate.start(Time::ZERO),
            "the slot belongs to the one that waited"
        );
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
        assert_eq!(gate.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
        assert_eq!(gate.set_slots(Slots::ONE), 0);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -3, size: 1 });
        assert_eq!([gate.end(), gate.end()], [Freed::Free; 2]);
        assert_eq!(gate.end(), Freed::HandedOver);
        assert_eq!(gate.end(), Freed::Free);
        assert_eq!(gate.headroom(Time::ZERO), Headroom { free: 1, size: 1 });
    }

    #[test]
    fn more_slots_let_those_start_that_wait() {
        let gate = slots(1, 3);
        for _ in 0..4 {
            let _ = gate.enter(Time::ZERO);
        }
        assert_eq!(gate.set_slots(Slots::new(3).unwrap()), 2);
        assert_eq!(gate.running(), 3);
        assert!(!gate.start(Time::ZERO), "one still waits");
        assert_eq!(gate.set_slots(Slots::new(9).unwrap()), 1);
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
    fn a_promised_token_that_is_not_used_comes_back() {
        let gate = Gate::new(Capacity::Rate(CallRate::new(10.0).unwrap()), 2);
        let now = Time::ZERO + Duration::from_secs(1);
        assert!(gate.start(now));
        let later = now + Duration::from_millis(100);
        assert_eq!(gate.enter(now), Entry::Wait(Turn::At(later)));
        assert_eq!(gate.headroom(now).free, -1);
        assert!(gate.leave());
        assert_eq!(gate.headroom(now).free, 0);
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
        assert!(a.start(Time::ZERO) && a.start(Time::ZERO));
        // One of three is left to a; two of the node's four are left to b, which are fewer than its own three.
        assert_eq!((free(&a), free(&b)), ((1, 3), (2, 4)));
        assert!(b.start(Time::ZERO) && b.start(Time::ZERO));
        assert!(!a.start(Time::ZERO) && !b.start(Time::ZERO));
        assert_eq!((a.running(), b.running()), (2, 2));
        assert_eq!(b.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
        assert_eq!(b.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
        assert_eq!(b.enter(Time::ZERO), Entry::Full);
        // Nothing is free on the node, and two wait for b.
        assert_eq!((free(&a), free(&b)), ((0, 4), (-2, 4)));
        assert!(!b.resume());
        assert_eq!(a.end(), Freed::Shared);
        assert!(!a.resume(), "none waits for it");
        assert!(b.resume());
        assert_eq!(free(&b), (-1, 3));
        assert_eq!(a.end(), Freed::Shared);
        assert!(!b.resume(), "it has all the slots that are its own");
        assert!(b.leave());
        assert_eq!((free(&a), free(&b)), ((1, 4), (0, 3)));
    }
}
