//! A function on a node: its gate, the calls that wait at it, and what was measured of it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::estimate::{RateMeter, Tail};
use dfaas_protocol::gate::{Freed, Gate};
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::policy::{Policy, Priority, Terms};
use dfaas_protocol::queue::{Place, Queue};
use dfaas_protocol::{NodeLabels, Time};

use crate::scenario::Placement;

use super::event::CallId;

/// Who has a slot that a call gave up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Nobody,
    /// It may start.
    Start(CallId),
    /// It can no longer start in time, and the slot is somebody else's.
    Drop(CallId),
}

#[derive(Debug)]
pub(crate) struct Local {
    pub(super) gate: Arc<Gate>,
    policy: Policy,
    /// Whether calls of neighbours are taken.
    pub(super) is_offered: bool,
    waiting: Queue<CallId>,
    pub(super) from_clients: Counter,
    /// Calls run for each neighbour, by its place among the links of this node.
    pub(super) for_peers: Vec<Counter>,
    /// Sum and number of the service times since the last tick.
    pub(super) services: (Duration, u32),
    /// Mean time of a call, once one has been measured.
    pub(super) service: Option<Duration>,
    /// The time that 95 % of calls keep to.
    pub(super) tail: Tail,
}

#[derive(Clone, Debug)]
pub(super) struct Counter {
    pub(super) count: u64,
    meter: RateMeter,
}

impl Counter {
    pub(super) fn new(now: Time) -> Counter {
        Counter {
            count: 0,
            meter: RateMeter::new(0, now),
        }
    }

    pub(super) fn rate(&mut self, now: Time) -> f64 {
        self.meter.read(self.count, now)
    }
}

impl Local {
    /// With the slots of its node, if functions share them.
    pub(super) fn new(
        placement: Placement,
        node: Option<Arc<NodeSlots>>,
        policy: Policy,
        labels: &NodeLabels,
        peers: usize,
        now: Time,
    ) -> Local {
        let gate = Gate::new(placement.capacity, placement.queue);
        Local {
            gate: Arc::new(match node {
                Some(node) => gate.sharing(node),
                None => gate,
            }),
            is_offered: policy.is_offered_by(labels),
            policy,
            waiting: Queue::new(),
            from_clients: Counter::new(now),
            for_peers: vec![Counter::new(now); peers],
            services: (Duration::ZERO, 0),
            service: None,
            tail: Tail::default(),
        }
    }

    /// The terms of a call that comes now.
    pub(super) fn terms(&self, now: Time) -> Terms {
        let patience = self.policy.patience(self.tail.get());
        Terms {
            priority: self.policy.priority,
            deadline: None,
            start_by: patience.map(|patience| now + patience),
        }
    }

    /// A call waits for a slot. Returns its place, and until when waiting is of any use.
    pub(super) fn wait(&mut self, call: CallId, terms: &Terms) -> (Place, Option<Time>) {
        let latest = terms.latest_start(self.service);
        (self.waiting.push(terms.priority, latest, call), latest)
    }

    /// Takes out the call that would go last, if its priority is below that of these terms.
    pub(super) fn displace(&mut self, terms: &Terms) -> Option<CallId> {
        self.waiting.displace(terms.priority)
    }

    /// A call that waited gives up. Returns whether it was still there.
    pub(super) fn leave(&mut self, place: Place) -> bool {
        let left = self.waiting.leave(place).is_some();
        if left {
            assert!(self.gate.leave(), "the gate counts every call that waits");
        }
        left
    }

    /// A slot is given up; nothing if it is for all functions of the node.
    pub(super) fn release(&mut self, now: Time) -> Option<Next> {
        match self.gate.end() {
            Freed::Free => Some(Next::Nobody),
            Freed::HandedOver => Some(self.next(now)),
            Freed::Shared => None,
        }
    }

    /// Who has a slot of the node that is free, if it is for a call of this function.
    pub(super) fn resume(&mut self, now: Time) -> Option<Next> {
        self.gate.resume().then(|| self.next(now))
    }

    /// Its place among those of the node that are resumed; nothing if no call waits.
    pub(super) fn precedence(&self) -> Option<(Priority, Reverse<u32>)> {
        let waits = !self.waiting.is_empty();
        waits.then(|| self.gate.precedence(self.policy.priority))
    }

    fn next(&mut self, now: Time) -> Next {
        match self.waiting.pop(now) {
            Some((call, true)) => Next::Start(call),
            Some((call, false)) => Next::Drop(call),
            None => unreachable!("a slot is for one that waits only while the gate counts one"),
        }
    }

    /// All that waits is gone.
    pub(super) fn clear(&mut self, now: Time) -> Vec<CallId> {
        std::iter::from_fn(|| self.waiting.pop(now).map(|(call, _)| call)).collect()
    }
}
