//! The live offer substreams: a node with at least one is a neighbour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dfaas_protocol::NodeId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::events::{Events, OverlayEvent};

/// Messages that may wait for a slow neighbour. Offers are periodic, so more would only be stale.
const QUEUE: usize = 8;
/// Substreams that one node may open to us; one more closes the oldest.
const MAX_THEIRS: usize = 4;

/// Who opened a substream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Theirs,
}

/// The live substreams of all neighbours.
pub(super) struct Links {
    table: Mutex<Table>,
    events: Events,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Table {
    nodes: BTreeMap<NodeId, Vec<Entry>>,
    next: u64,
}

struct Entry {
    serial: u64,
    side: Side,
    queue: mpsc::Sender<Bytes>,
    stop: CancellationToken,
}

/// A live substream's place in the table; it is given up when this is dropped, however its task ends.
pub(super) struct Link {
    links: Arc<Links>,
    node: NodeId,
    serial: u64,
}

impl Links {
    pub(super) fn new(events: Events, counters: Arc<Counters>) -> Links {
        Links {
            table: Mutex::default(),
            events,
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a live substream. What is to be written comes out of the receiver.
    pub(super) fn enter(
        self: &Arc<Self>,
        node: NodeId,
        side: Side,
        stop: CancellationToken,
    ) -> (Link, mpsc::Receiver<Bytes>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let mut table = self.lock();
        let serial = table.next;
        table.next += 1;
        let entries = table.nodes.entry(node).or_default();
        entries.push(Entry {
            serial,
            side,
            queue,
            stop,
        });
        let theirs = entries.iter().filter(|e| e.side == Side::Theirs);
        if theirs.clone().count() > MAX_THEIRS {
            // Entries are in the order in which they came.
            if let Some(oldest) = theirs.into_iter().find(|e| !e.stop.is_cancelled()) {
                oldest.stop.cancel();
            }
        }
        if entries.len() == 1 {
            // Under the lock, so that joining and losing are told in the order in which they happen.
            self.events.emit(OverlayEvent::Joined { node });
        }
        drop(table);
        let link = Link {
            links: Arc::clone(self),
            node,
            serial,
        };
        (link, receiver)
    }

    pub(super) fn send(&self, node: &NodeId, frame: Bytes) {
        let table = self.lock();
        let sent = table
            .nodes
            .get(node)
            .is_some_and(|entries| offer_to(entries, frame));
        if !sent {
            self.counters.dropped.add(1);
        }
    }

    pub(super) fn broadcast(&self, frame: &Bytes) {
        for entries in self.lock().nodes.values() {
            if !offer_to(entries, frame.clone()) {
                self.counters.dropped.add(1);
            }
        }
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.lock().nodes.keys().copied().collect()
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.lock().nodes.contains_key(node)
    }
}

/// Gives a frame to one of a node's substreams: the one that we opened, or else its newest.
fn offer_to(entries: &[Entry], frame: Bytes) -> bool {
    let alive = |e: &&Entry| !e.stop.is_cancelled() && !e.queue.is_closed();
    let ours = entries.iter().filter(alive).find(|e| e.side == Side::Ours);
    let entry = ours.or_else(|| entries.iter().rev().find(alive));
    entry.is_some_and(|e| e.queue.try_send(frame).is_ok())
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut table = self.links.lock();
        if let Some(entries) = table.nodes.get_mut(&self.node) {
            entries.retain(|e| e.serial != self.serial);
            if entries.is_empty() {
                table.nodes.remove(&self.node);
                self.links
                    .events
                    .emit(OverlayEvent::Lost { node: self.node });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> (Arc<Links>, mpsc::Receiver<OverlayEvent>, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let (events, receiver) = Events::new(Arc::clone(&counters));
        let links = Arc::new(Links::new(events, Arc::clone(&counters)));
        (links, receiver, counters)
    }

    const NODE: NodeId = NodeId::from_key([7; 32]);

    #[test]
    fn a_second_substream_neither_joins_nor_loses() {
        let (links, mut events, _) = links();
        let (ours, _q1) = links.enter(NODE, Side::Ours, CancellationToken::new());
        let (theirs, mut queue) = links.enter(NODE, Side::Theirs, CancellationToken::new());
        assert_eq!(events.try_recv(), Ok(OverlayEvent::Joined { node: NODE }));
        drop(ours);
        assert!(events.try_recv().is_err());
        links.send(&NODE, Bytes::from_static(b"x"));
        assert_eq!(queue.try_recv().unwrap(), Bytes::from_static(b"x"));
        drop(theirs);
        assert_eq!(events.try_recv(), Ok(OverlayEvent::Lost { node: NODE }));
        assert!(links.nodes().is_empty());
    }

    #[test]
    fn a_slow_neighbour_costs_only_what_is_sent_to_it() {
        let (links, _events, counters) = links();
        let (_link, mut queue) = links.enter(NODE, Side::Ours, CancellationToken::new());
        for _ in 0..QUEUE + 3 {
            links.broadcast(&Bytes::from_static(b"x"));
        }
        assert_eq!(counters.snapshot().dropped, 3);
        let queued = std::iter::from_fn(|| queue.try_recv().ok()).count();
        assert_eq!(queued, QUEUE);
    }

    #[test]
    fn of_too_many_substreams_the_oldest_goes() {
        let (links, _events, _) = links();
        let stops: Vec<_> = (0..=MAX_THEIRS).map(|_| CancellationToken::new()).collect();
        let _links: Vec<_> = stops
            .iter()
            .map(|stop| links.enter(NODE, Side::Theirs, stop.clone()))
            .collect();
        let stopped: Vec<_> = stops.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(stopped, [true, false, false, false, false]);
    }
}
