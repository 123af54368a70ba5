//! What happens, in the order of virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use dfaas_protocol::delivery::Delivery;
use dfaas_protocol::{Headroom, Time};

/// A call on its way. It is moved from event to event, so that none is lost or served twice.
#[derive(Debug)]
pub(crate) struct Call {
    /// The node that a client brought it to.
    pub(crate) origin: usize,
    pub(crate) arrived: Time,
    /// How long it will run, wherever it runs.
    pub(crate) service: Duration,
    pub(crate) delivery: Delivery,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client brings a call.
    Arrival(Box<Call>),
    /// A node plans, and tells its neighbours.
    Tick { node: usize },
    /// A control message arrives.
    Message {
        to: usize,
        from: usize,
        bytes: Rc<[u8]>,
    },
    /// A forwarded call arrives at a neighbour.
    Forwarded { to: usize, call: Box<Call> },
    /// A call that waited for a token may start.
    Turn { node: usize, call: Box<Call> },
    /// A call has run.
    Done { node: usize, call: Box<Call> },
    /// The answer of a neighbour is back at the call's origin.
    Answer {
        from: usize,
        call: Box<Call>,
        served: bool,
        headroom: Headroom,
    },
}

/// Events by time; those of one time in the order in which they were put there.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

#[derive(Debug)]
struct Scheduled {
    at: Time,
    order: u64,
    event: Event,
}

impl Events {
    pub(crate) fn schedule(&mut self, at: Time, event: Event) {
        let order = self.scheduled;
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled { at, order, event }));
    }

    pub(crate) fn next(&mut self) -> Option<(Time, Event)> {
        let Reverse(scheduled) = self.heap.pop()?;
        Some((scheduled.at, scheduled.event))
    }
}

impl Scheduled {
    const fn key(&self) -> (Time, u64) {
        (self.at, self.order)
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_their_order() {
        let mut events = Events::default();
        for (node, at) in [30, 10, 20, 10, 30].into_iter().enumerate() {
            events.schedule(Time::from_nanos(at), Event::Tick { node });
        }
        let mut seen = Vec::new();
        while let Some((at, Event::Tick { node })) = events.next() {
            seen.push((at.as_nanos(), node));
        }
        assert_eq!(seen, [(10, 1), (10, 3), (20, 2), (30, 0), (30, 4)]);
    }
}
