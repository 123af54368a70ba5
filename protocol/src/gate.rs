//! The gate of a function on its own node: what runs, what waits, what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::estimate::TokenBucket;
use crate::{Capacity, Headroom, Health, HealthState, Slots, Time};

/// A burst is a tenth of a second of the rate.
const BURST_SECONDS: f64 = 0.1;

/// Counts what a function runs and what waits for it. Lock-free; the driver owns the waiting itself (a future, or an
/// event in virtual time) and tells the gate when a call ends or gives up.
#[derive(Debug)]
pub struct Gate {
    capacity: Capacity,
    /// How many calls may wait.
    queue: u32,
    state: State,
    platform: Arc<Health>,
}

#[derive(Debug)]
enum State {
    /// Running in the high half, waiting in the low half, so that both change in one step.
    Slots { slots: Slots, counts: AtomicU64 },
    Rate {
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
}

const ONE_RUNNING: u64 = 1 << 32;

const fn running(counts: u64) -> u32 {
    (counts >> 32) as u32
}

const fn waiting(counts: u64) -> u32 {
    counts as u32
}

/// Calls wait only while every slot is taken, since a slot that ends is handed over; so nobody is overtaken.
const fn has_free_slot(counts: u64, slots: Slots) -> bool {
    waiting(counts) == 0 && running(counts) < slots.get()
}

impl Gate {
    /// A gate for that capacity at which `queue` calls may wait.
    pub fn new(capacity: Capacity, queue: u32) -> Gate {
        let state = match capacity {
            Capacity::Slots(slots) => State::Slots {
                slots,
                counts: AtomicU64::new(0),
            },
            Capacity::Rate(rate) => {
                let burst = (rate.per_second() * BURST_SECONDS).ceil().max(1.0) as u32;
                State::Rate {
                    bucket: TokenBucket::new(rate, burst),
                    burst,
                    running: AtomicU32::new(0),
                }
            }
        };
        Gate {
            capacity,
            queue,
            state,
            platform: Arc::default(),
        }
    }

    /// The gate of a function on a platform of that health.
    pub fn on(mut self, platform: Arc<Health>) -> Gate {
        self.platform = platform;
        self
    }

    /// The health of the platform.
    pub fn platform(&self) -> &Health {
        &self.platform
    }

    /// What the gate was made for.
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// How many calls may wait.
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// Starts a call if it can run now and nobody waits before it. Whoever gets `true` owes an [`end`](Gate::end).
    pub fn start(&self, now: Time) -> bool {
        match &self.state {
            State::Slots { slots, counts } => counts
                .fetch_update(Relaxed, Relaxed, |c| {
                    has_free_slot(c, *slots).then_some(c + ONE_RUNNING)
                })
                .is_ok(),
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

    /// Starts a call, or lets it wait if there is room. One that runs owes an [`end`](Gate::end); so does one that waited
    /// and whose turn came; one that gives up before owes a [`leave`](Gate::leave).
    pub fn enter(&self, now: Time) -> Entry {
        match &self.state {
            State::Slots { slots, counts } => {
                let before = counts.fetch_update(Relaxed, Relaxed, |c| {
                    if has_free_slot(c, *slots) {
                        Some(c + ONE_RUNNING)
                    } else {
                        (waiting(c) < self.queue).then_some(c + 1)
                    }
                });
                match before {
                    Ok(c) if has_free_slot(c, *slots) => Entry::Run,
                    Ok(_) => Entry::Wait(Turn::WhenFreed),
                    Err(_) => Entry::Full,
                }
            }
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
            State::Slots { counts, .. } => {
                let before = counts.fetch_update(Relaxed, Relaxed, |c| {
                    if waiting(c) > 0 {
                        Some(c - 1)
                    } else {
                        c.checked_sub(ONE_RUNNING)
                    }
                });
                match before {
                    Ok(c) if waiting(c) > 0 => Freed::HandedOver,
                    _ => Freed::Free,
                }
            }
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
            State::Slots { counts, .. } => counts
                .fetch_update(Relaxed, Relaxed, |c| (waiting(c) > 0).then(|| c - 1))
                .is_ok(),
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
            State::Slots { slots, counts } => {
                let c = counts.load(Relaxed);
                let busy = i64::from(running(c)) + i64::from(waiting(c));
                Headroom {
                    free: clamp(i64::from(slots.get()) - busy),
                    size: slots.get(),
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
            State::Slots { counts, .. } => running(counts.load(Relaxed)),
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
}
