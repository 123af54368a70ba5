//! A gate with slots: its own, and where functions share a CPU one of the node's beside each.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::node_slots::NodeSlots;
use crate::{Headroom, Slots};

use super::counts::{Counts, step};
use super::{Entry, Freed, clamp};

/// Counts what takes slots and what waits for them.
#[derive(Debug)]
pub(super) struct SlotGate {
    /// Slots, running and waiting in one word, so that they change in one step: see [`Counts`].
    word: AtomicU64,
    /// What it shares with the node's other functions.
    pub(super) node: Option<Arc<NodeSlots>>,
}

impl SlotGate {
    /// That many of its own, all free.
    pub(super) const fn new(slots: Slots) -> SlotGate {
        let counts = Counts {
            slots: slots.get(),
            running: 0,
            waiting: 0,
        };
        SlotGate {
            word: counts.atomic(),
            node: None,
        }
    }

    /// How many are its own.
    pub(super) fn slots(&self) -> Slots {
        // Only numbers that came out of Slots are ever stored.
        Slots::new(self.counts().slots).unwrap_or(Slots::ONE)
    }

    pub(super) fn set_slots(&self, slots: Slots) {
        let slots = slots.get();
        step(&self.word, |c| Some(Counts { slots, ..c }));
    }

    /// There are no more than what runs beside a call that the platform refused, but one.
    pub(super) fn refused_by_platform(&self) {
        step(&self.word, |c| {
            let slots = c.running.saturating_sub(1).clamp(1, c.slots);
            Some(Counts { slots, ..c })
        });
    }

    pub(super) fn start(&self) -> bool {
        match &self.node {
            None => step(&self.word, Counts::start).is_some(),
            Some(node) => self.start_sharing(node),
        }
    }

    /// Starts a call that comes now, with a slot of its own and one of the node.
    fn start_sharing(&self, node: &NodeSlots) -> bool {
        if step(&self.word, Counts::start).is_none() {
            return false;
        }
        loop {
            if node.take() {
                return true;
            }
            // Whoever came to wait since may have found the function's own slots taken by this call and nobody to wake it.
            // If the node is full, the end of a call that runs there does; if it is not any more, this call runs after all, and
            // its own end does.
            let misled = step(&self.word, |c| Some(c.end())).is_some_and(|c| c.waiting > 0);
            if !misled || node.free() == 0 || step(&self.word, Counts::run).is_none() {
                return false;
            }
        }
    }

    pub(super) fn enter(&self, queue: u32) -> Entry {
        if self.node.is_some() {
            return Entry::of(self.start(), || self.wait(queue));
        }
        match step(&self.word, |c| c.start().or_else(|| c.wait(queue))) {
            Some(before) if before.has_free_slot() => Entry::Run,
            Some(_) => Entry::Wait,
            None => Entry::Full,
        }
    }

    /// Lets a call wait, as one of so many at most.
    pub(super) fn wait(&self, most: u32) -> bool {
        let waits = step(&self.word, |c| c.wait(most)).is_some();
        if let (true, Some(node)) = (waits, &self.node) {
            node.wait();
        }
        waits
    }

    pub(super) fn resume(&self) -> bool {
        let Some(node) = &self.node else {
            return step(&self.word, Counts::resume).is_some();
        };
        // In two steps, of which the first hides nobody who waits.
        if !node.is_open() || step(&self.word, |c| c.resume().and(c.run())).is_none() {
            return false;
        }
        let taken = node.resume();
        if taken {
            step(&self.word, Counts::leave);
        } else {
            step(&self.word, |c| Some(c.end()));
        }
        taken
    }

    /// Whether a call that waits may start as far as its own go.
    pub(super) fn is_open(&self) -> bool {
        self.counts().run().is_some()
    }

    pub(super) fn end(&self) -> Freed {
        let before = step(&self.word, |c| Some(c.end()));
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

    pub(super) fn leave(&self) {
        let left = step(&self.word, Counts::leave).is_some();
        if let (true, Some(node)) = (left, &self.node) {
            node.leave();
        }
    }

    /// What is left: the less of what is its own and of what it shares.
    pub(super) fn headroom(&self) -> Headroom {
        let c = self.counts();
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

    pub(super) fn running(&self) -> u32 {
        self.counts().running
    }

    fn counts(&self) -> Counts {
        Counts::read(&self.word)
    }
}
