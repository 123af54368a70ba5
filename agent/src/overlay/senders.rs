//! Who sends how much: what is too much is ignored, and whoever goes on is cut off for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dfaas_protocol::allowance::{Rates, Reaction, Sender};
use dfaas_protocol::{NodeId, Time};

/// More senders are not remembered than this, but for those against whom something is.
const MOST: usize = 1024;

/// The nodes that sent something, neighbours or not.
pub(super) struct Senders {
    rates: Rates,
    start: Instant,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    senders: BTreeMap<NodeId, Sender>,
    /// Those whose connections are to be closed.
    to_close: Vec<NodeId>,
}

impl Senders {
    pub(super) fn new(rates: Rates) -> Senders {
        Senders {
            rates,
            start: Instant::now(),
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// A node sent so many bytes in one message. One that is cut off is to be [closed](Senders::to_close).
    pub(super) fn sent(&self, node: NodeId, bytes: usize) -> Reaction {
        let now = self.now();
        let mut table = self.lock();
        if table.senders.len() >= MOST && !table.senders.contains_key(&node) {
            table.senders.retain(|_, sender| sender.is_of_note(now));
        }
        let rates = self.rates;
        let sender = table.senders.entry(node);
        let reaction = sender
            .or_insert_with(|| Sender::new(rates))
            .sends(bytes, now);
        if matches!(reaction, Reaction::Cut(_)) {
            table.to_close.push(node);
        }
        reaction
    }

    /// Whether a node is cut off now.
    pub(super) fn is_cut(&self, node: &NodeId) -> bool {
        let now = self.now();
        let table = self.lock();
        table
            .senders
            .get(node)
            .is_some_and(|sender| sender.is_cut(now))
    }

    /// The nodes that were cut off since this was last asked.
    pub(super) fn to_close(&self) -> Vec<NodeId> {
        std::mem::take(&mut self.lock().to_close)
    }
}
