//! What the overlay tells the node.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::wire::Message;
use tokio::sync::mpsc;

use super::counters::Counters;

/// How many events may wait for the node.
const CAPACITY: usize = 4096;
/// Places kept free for events that are not repeated by themselves.
const RESERVED: usize = 1024;

/// What the overlay tells the node.
#[derive(Clone, Debug, PartialEq)]
pub enum OverlayEvent {
    /// A neighbour said something.
    Heard {
        /// Who.
        from: NodeId,
        /// The remote address of its connection.
        seen_at: IpAddr,
        /// What.
        message: Message,
    },
    /// A round trip to a connected node, which need not be a neighbour, was measured.
    Measured {
        /// Who.
        node: NodeId,
        /// The least of those measured lately.
        round_trip: Duration,
    },
    /// The first substream to a node is live: it is a neighbour now, and wants an offer at once.
    Joined {
        /// Who.
        node: NodeId,
    },
    /// The last substream to a node is gone: it is no neighbour any more.
    Lost {
        /// Who.
        node: NodeId,
    },
}

/// The way to the node. It never blocks: what does not fit is dropped and counted.
#[derive(Clone)]
pub(super) struct Events {
    sender: mpsc::Sender<OverlayEvent>,
    counters: Arc<Counters>,
}

impl Events {
    pub(super) fn new(counters: Arc<Counters>) -> (Events, mpsc::Receiver<OverlayEvent>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Events { sender, counters }, receiver)
    }

    pub(super) fn emit(&self, event: OverlayEvent) {
        let repeated = matches!(
            event,
            OverlayEvent::Heard { .. } | OverlayEvent::Measured { .. }
        );
        if repeated && self.sender.capacity() <= RESERVED {
            self.counters.dropped.add(1);
        } else if let Err(mpsc::error::TrySendError::Full(event)) = self.sender.try_send(event) {
            self.counters.dropped.add(1);
            tracing::error!(?event, "the node does not take the overlay's events");
        }
    }
}
