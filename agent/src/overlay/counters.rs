//! What the overlay counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the overlay counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverlayCounters {
    /// Messages written to neighbours.
    pub messages_sent: u64,
    /// Messages read from neighbours, without the malformed ones.
    pub messages_received: u64,
    /// Bytes written to neighbours, with the frames' length prefixes.
    pub bytes_sent: u64,
    /// Bytes read from neighbours, with the frames' length prefixes.
    pub bytes_received: u64,
    /// Frames that were not a message.
    pub malformed: u64,
    /// Messages that were given up: the neighbour was gone or slow, or nobody took the event in time.
    pub dropped: u64,
    /// Messages that were ignored, as their senders sent too many.
    pub ignored: u64,
    /// How often a node was cut off that went on sending too much.
    pub cut: u64,
    /// Connections that could not be made.
    pub dials_failed: u64,
    /// How often the overlay's task was started anew after a failure.
    pub task_restarts: u64,
}

/// The counters at work.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) messages_sent: Counter,
    pub(super) messages_received: Counter,
    pub(super) bytes_sent: Counter,
    pub(super) bytes_received: Counter,
    pub(super) malformed: Counter,
    pub(super) dropped: Counter,
    pub(super) ignored: Counter,
    pub(super) cut: Counter,
    pub(super) dials_failed: Counter,
    pub(super) task_restarts: Counter,
}

impl Counters {
    pub(super) fn snapshot(&self) -> OverlayCounters {
        OverlayCounters {
            messages_sent: self.messages_sent.get(),
            messages_received: self.messages_received.get(),
            bytes_sent: self.bytes_sent.get(),
            bytes_received: self.bytes_received.get(),
            malformed: self.malformed.get(),
            dropped: self.dropped.get(),
            ignored: self.ignored.get(),
            cut: self.cut.get(),
            dials_failed: self.dials_failed.get(),
            task_restarts: self.task_restarts.get(),
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
