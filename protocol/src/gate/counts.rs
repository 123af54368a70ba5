//! What a gate with slots counts.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// What a gate with slots counts, as one word: 20 bits of slots, 21 of calls that run, 23 of calls that wait. As slots may
/// shrink while calls run, more may run than there are slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) slots: u32,
    pub(super) running: u32,
    pub(super) waiting: u32,
}

/// The longest queue that fits into the word; more than any driver can let wait.
pub(super) const MAX_WAITING: u32 = (1 << 23) - 1;

impl Counts {
    pub(super) const fn of(word: u64) -> Counts {
        Counts {
            slots: (word >> 44) as u32,
            running: (word >> 23) as u32 & ((1 << 21) - 1),
            waiting: word as u32 & MAX_WAITING,
        }
    }

    const fn word(self) -> u64 {
        (self.slots as u64) << 44 | (self.running as u64) << 23 | self.waiting as u64
    }

    pub(super) fn read(word: &AtomicU64) -> Counts {
        Counts::of(word.load(SeqCst))
    }

    /// Those in a word of their own.
    pub(super) const fn atomic(self) -> AtomicU64 {
        AtomicU64::new(self.word())
    }

    /// Whether a slot is free that is not for those who wait, so that nobody is overtaken.
    pub(super) const fn has_free_slot(self) -> bool {
        self.waiting == 0 && self.running < self.slots
    }

    /// A call that comes now starts.
    pub(super) fn start(self) -> Option<Counts> {
        self.has_free_slot().then(|| self.started())
    }

    /// A call starts, whoever waits.
    pub(super) fn run(self) -> Option<Counts> {
        (self.running < self.slots).then(|| self.started())
    }

    const fn started(self) -> Counts {
        let running = self.running + 1;
        Counts { running, ..self }
    }

    /// A call waits, as one of so many at most.
    pub(super) fn wait(self, queue: u32) -> Option<Counts> {
        let waiting = self.waiting + 1;
        (waiting <= queue).then_some(Counts { waiting, ..self })
    }

    /// A call that waited does not any more.
    pub(super) fn leave(self) -> Option<Counts> {
        let waiting = self.waiting.checked_sub(1)?;
        Some(Counts { waiting, ..self })
    }

    /// A call that waited starts.
    pub(super) fn resume(self) -> Option<Counts> {
        self.leave()?.run()
    }

    pub(super) fn end(self) -> Counts {
        let running = self.running.saturating_sub(1);
        Counts { running, ..self }
    }
}

/// Changes the counts in one step and returns what they were, or nothing if `change` has none.
///
/// Where functions share a node's slots, the steps here and those of the node have one order in which all threads see them:
/// that no call sleeps beside a free slot rests on it.
pub(super) fn step(
    word: &AtomicU64,
    mut change: impl FnMut(Counts) -> Option<Counts>,
) -> Option<Counts> {
    let before = word.fetch_update(SeqCst, SeqCst, |w| change(Counts::of(w)).map(Counts::word));
    #[cfg(test)]
    super::crowd::hold_up();
    before.ok().map(Counts::of)
}
