//! What a node runs at one time of all its functions together, where they share a CPU.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::Slots;

/// The slots of a node, lock-free. The gates of the functions that share them take and give them back; who waits, waits
/// at its function's gate.
#[derive(Debug)]
pub struct NodeSlots {
    slots: Slots,
    running: AtomicU32,
}

impl NodeSlots {
    /// That many, all free.
    pub fn new(slots: Slots) -> NodeSlots {
        NodeSlots {
            slots,
            running: AtomicU32::new(0),
        }
    }

    /// How many there are.
    pub const fn slots(&self) -> Slots {
        self.slots
    }

    /// How many are free.
    pub fn free(&self) -> u32 {
        let running = self.running.load(Relaxed);
        self.slots.get().saturating_sub(running)
    }

    /// Takes one if one is free.
    pub(crate) fn take(&self) -> bool {
        let more = |running| (running < self.slots.get()).then_some(running + 1);
        self.running.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives one back.
    pub(crate) fn give_back(&self) {
        // Whoever gives one back has taken it, so that there is one to take away.
        self.running.fetch_sub(1, Relaxed);
    }
}
