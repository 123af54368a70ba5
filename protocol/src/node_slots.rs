//! What a node runs at one time of all its functions together, where they share a CPU.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::Slots;

/// The slots of a node, lock-free. The gates of the functions that share them take them and give them back.
#[derive(Debug)]
pub struct NodeSlots {
    slots: Slots,
    /// Running, kept and waiting in one word, so that they change in one step: see [`Counts`].
    word: AtomicU64,
}

/// 20 bits of calls that run, 20 of slots that are kept, 24 of calls that wait, which is more than fit into any memory.
#[derive(Clone, Copy)]
struct Counts {
    running: u32,
    /// Slots of calls that ended while others waited: kept from calls that come until those who wait were asked.
    kept: u32,
    waiting: u32,
}

impl Counts {
    const fn of(word: u64) -> Counts {
        Counts {
            running: (word >> 44) as u32,
            kept: (word >> 24) as u32 & ((1 << 20) - 1),
            waiting: word as u32 & ((1 << 24) - 1),
        }
    }

    const fn word(self) -> u64 {
        (self.running as u64) << 44 | (self.kept as u64) << 24 | self.waiting as u64
    }
}

impl NodeSlots {
    /// That many, all free.
    pub fn new(slots: Slots) -> NodeSlots {
        NodeSlots {
            slots,
            word: AtomicU64::new(0),
        }
    }

    /// How many there are.
    pub const fn slots(&self) -> Slots {
        self.slots
    }

    /// How many are free for a call that comes now.
    pub fn free(&self) -> u32 {
        let Counts { running, kept, .. } = self.counts();
        self.slots.get().saturating_sub(running + kept)
    }

    /// How many calls run.
    pub fn running(&self) -> u32 {
        self.counts().running
    }

    /// How many calls wait, for one of these or for one of their function's own.
    pub fn waiting(&self) -> u32 {
        self.counts().waiting
    }

    /// Whether a call that waits could have one.
    pub(crate) fn is_open(&self) -> bool {
        self.running() < self.slots.get()
    }

    /// Takes one for a call that comes now, if one is free.
    pub(crate) fn take(&self) -> bool {
        self.step(|c| {
            let running = c.running + 1;
            (running + c.kept <= self.slots.get()).then_some(Counts { running, ..c })
        })
        .is_some()
    }

    /// Takes one for a call that waits, if one is free or kept.
    pub(crate) fn resume(&self) -> bool {
        self.step(|c| {
            let (running, waiting) = (c.running + 1, c.waiting.checked_sub(1)?);
            (running <= self.slots.get()).then_some(Counts {
                running,
                waiting,
                ..c
            })
        })
        .is_some()
    }

    /// A call waits.
    pub(crate) fn wait(&self) {
        self.step(|c| {
            let waiting = c.waiting + 1;
            Some(Counts { waiting, ..c })
        });
    }

    /// A call that waited gives up.
    pub(crate) fn leave(&self) {
        self.step(|c| {
            let waiting = c.waiting.saturating_sub(1);
            Some(Counts { waiting, ..c })
        });
    }

    /// A call ended. Whether its slot is kept, as calls wait.
    pub(crate) fn end(&self) -> bool {
        let before = self.step(|c| {
            let (running, keeps) = (c.running.saturating_sub(1), c.waiting > 0);
            let kept = c.kept + u32::from(keeps);
            Some(Counts { running, kept, ..c })
        });
        before.is_some_and(|c| c.waiting > 0)
    }

    /// Those who wait were asked for one that was kept.
    pub(crate) fn settle(&self) {
        self.step(|c| {
            let kept = c.kept.saturating_sub(1);
            Some(Counts { kept, ..c })
        });
    }

    fn counts(&self) -> Counts {
        Counts::of(self.word.load(SeqCst))
    }

    fn step(&self, mut change: impl FnMut(Counts) -> Option<Counts>) -> Option<Counts> {
        let change = |w| change(Counts::of(w)).map(Counts::word);
        let before = self.word.fetch_update(SeqCst, SeqCst, change);
        #[cfg(test)]
        crate::gate::crowd::hold_up();
        before.ok().map(Counts::of)
    }
}
