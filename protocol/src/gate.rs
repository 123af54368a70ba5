//! The gate of a function on its own node: what runs, what waits, what is left.

mod counts;
#[cfg(test)]
pub(crate) mod crowd;
mod rate;
mod slots;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::node_slots::NodeSlots;
use crate::{Capacity, Headroom, Health, HealthState, Slots, Time};

use counts::MAX_WAITING;
use rate::RateGate;
use slots::SlotGate;

/// Counts what a function runs and what waits for it. Lock-free; the driver owns the waiting itself: it holds those who wait in a
/// [`Queue`](crate::queue::Queue), one for all gates that share their node's slots, and asks it for the next one when the
/// gate says so. What a call reads and changes of a gate with slots is in one line of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Gate {
    platform: Arc<Health>,
    /// How many calls may wait.
    queue: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Slots(SlotGate),
    Rate(RateGate),
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

impl Entry {
    /// Of a call that has started, or else waits if it may.
    fn of(started: bool, waits: impl FnOnce() -> bool) -> Entry {
        if started {
            Entry::Run
        } else if waits() {
            Entry::Wait
        } else {
            Entry::Full
        }
    }
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
        Gate {
            platform: Arc::default(),
            queue: queue.min(MAX_WAITING),
            state: match capacity {
                Capacity::Slots(slots) => State::Slots(SlotGate::new(slots)),
                Capacity::Rate(rate) => State::Rate(RateGate::new(rate)),
            },
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
        if let State::Slots(slots) = &mut self.state {
            slots.node = Some(node);
        }
        self
    }

    /// The health of the platform.
    pub fn platform(&self) -> &Health {
        &self.platform
    }

    /// Whether it needs slots of its node, so that its calls wait with those of other functions.
    pub const fn is_sharing(&self) -> bool {
        match &self.state {
            State::Slots(slots) => slots.node.is_some(),
            State::Rate(_) => false,
        }
    }

    /// What it lets run now.
    pub fn capacity(&self) -> Capacity {
        match &self.state {
            State::Slots(slots) => Capacity::Slots(slots.slots()),
            State::Rate(rate) => Capacity::Rate(rate.rate()),
        }
    }

    /// What neighbours are told of it: the fewer of its own slots and of those that it shares.
    pub fn offered(&self) -> Capacity {
        match &self.state {
            State::Slots(slots) => {
                let own = slots.slots();
                let node = slots.node.as_ref();
                Capacity::Slots(node.map_or(own, |node| own.min(node.slots())))
            }
            State::Rate(rate) => Capacity::Rate(rate.rate()),
        }
    }

    /// Changes the slots while calls run. Fewer than run now let nothing start until enough have ended; with more, the driver
    /// lets those start that wait. A rate is not changed.
    pub fn set_slots(&self, slots: Slots) {
        if let State::Slots(own) = &self.state {
            own.set_slots(slots);
        }
    }

    /// The platform refused a running call because it had no room, which may still [`end`](Gate::end): there are no more
    /// slots than what runs beside it, but one.
    pub fn refused_by_platform(&self) {
        if let State::Slots(slots) = &self.state {
            slots.refused_by_platform();
        }
    }

    /// How many calls may wait.
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// Starts a call if it can run now and nobody waits before it. Whoever gets `true` owes an [`end`](Gate::end).
    pub fn start(&self, now: Time) -> bool {
        match &self.state {
            State::Slots(slots) => slots.start(),
            State::Rate(rate) => rate.start(now),
        }
    }

    /// Starts a call, or lets it wait if there is room. One that runs owes an [`end`](Gate::end); so does one that waited
    /// and was [resumed](Gate::resume); one that gives up before owes a [`leave`](Gate::leave).
    pub fn enter(&self, now: Time) -> Entry {
        match &self.state {
            State::Slots(slots) => slots.enter(self.queue),
            State::Rate(rate) => rate.enter(now, self.queue),
        }
    }

    /// Whether a call here may wait in the place of one at that gate of the same queue: those of other functions go only where
    /// it is the node's slots that are short, not the function's own.
    pub fn may_displace(&self, other: &Gate) -> bool {
        std::ptr::eq(self, other) || self.is_open()
    }

    /// Lets a call wait however many do already: it takes the place of one that [left](Gate::leave).
    pub fn wait_in_place_of_another(&self) {
        match &self.state {
            State::Slots(slots) => slots.wait(MAX_WAITING),
            State::Rate(rate) => rate.wait(MAX_WAITING),
        };
    }

    /// Starts a call that waits, if it can run now. Whoever gets `true` must let one start. To be asked by whoever holds the
    /// queue, so that nobody else resumes or leaves at the same time.
    pub fn resume(&self, now: Time) -> bool {
        match &self.state {
            State::Slots(slots) => slots.resume(),
            State::Rate(rate) => rate.resume(now),
        }
    }

    /// Whether a call that waits here may start as far as the function's own slots go.
    pub fn is_open(&self) -> bool {
        match &self.state {
            State::Slots(slots) => slots.is_open(),
            State::Rate(_) => true,
        }
    }

    /// When the driver is to ask for the next one, where calls wait for the tokens of a rate and `ahead` go before; nothing
    /// where they wait for slots.
    pub fn next_token(&self, now: Time, ahead: impl FnOnce() -> usize) -> Option<Time> {
        match &self.state {
            State::Slots(_) => None,
            State::Rate(rate) => Some(rate.next_token(now, ahead())),
        }
    }

    /// A call ended.
    pub fn end(&self) -> Freed {
        match &self.state {
            State::Slots(slots) => slots.end(),
            State::Rate(rate) => {
                rate.end();
                Freed::Free
            }
        }
    }

    /// Once for each [`Freed::ForNext`], after the next one was let start, if there was one.
    pub fn settle(&self) {
        if let State::Slots(slots) = &self.state
            && let Some(node) = &slots.node
        {
            node.settle();
        }
    }

    /// A call that waited gives up. As with [`resume`](Gate::resume), by whoever holds the queue.
    pub fn leave(&self) {
        match &self.state {
            State::Slots(slots) => slots.leave(),
            State::Rate(rate) => rate.leave(),
        }
    }

    /// What is left now; nothing is while the platform is not healthy.
    pub fn headroom(&self, now: Time) -> Headroom {
        let mut headroom = match &self.state {
            State::Slots(slots) => slots.headroom(),
            State::Rate(rate) => rate.headroom(now),
        };
        if self.platform.state() != HealthState::Healthy {
            headroom.free = headroom.free.min(0);
        }
        headroom
    }

    /// Calls that run now.
    pub fn running(&self) -> u32 {
        match &self.state {
            State::Slots(slots) => slots.running(),
            State::Rate(rate) => rate.running(),
        }
    }
}

fn clamp(n: i64) -> i32 {
    n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
