//! A function on a node: its gate, the calls that wait at it, and what was measured of it.

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::estimate::{RateMeter, Tail};
use dfaas_protocol::gate::Gate;
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::policy::{Policy, Terms};
use dfaas_protocol::queue::Queue;
use dfaas_protocol::{Health, NodeLabels, Time};

use crate::scenario::Placement;

use super::event::CallId;

/// Who is next of those who wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Nobody,
    /// It may start.
    Start(CallId),
    /// It can no longer start in time.
    Drop(CallId),
}

/// Calls that wait, each with its function.
pub(super) type Waiting = Queue<(u16, CallId)>;

/// What nearly every call reads or changes comes first. It begins at no line of the cache of its own, as one would be lost
/// before it in its node.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Local {
    pub(super) gate: Arc<Gate>,
    policy: Arc<Policy>,
    /// The time that 95 % of calls keep to.
    pub(super) tail: Tail,
    /// Calls that clients brought.
    pub(super) brought: u64,
    /// Sum and number of the service times since the last tick.
    pub(super) services: (Duration, u32),
    /// Whether calls of neighbours are taken.
    pub(super) is_offered: bool,
    /// Those who wait, where they do not wait together with those of the node's other functions.
    pub(super) waiting: Waiting,
    /// Mean time of a call, once one has been measured.
    pub(super) service: Option<Duration>,
    /// When the next token comes that somebody waits for.
    pub(super) token_at: Option<Time>,
    /// Calls run for each neighbour, by its place among the links of this node, and how fast they come.
    pub(super) for_peers: Vec<u64>,
    pub(super) peer_meters: Vec<RateMeter>,
    pub(super) from_clients: RateMeter,
}

impl Local {
    /// With the slots of its node, if functions share them.
    pub(super) fn new(
        placement: Placement,
        node: Option<Arc<NodeSlots>>,
        policy: Arc<Policy>,
        labels: &NodeLabels,
        platform: &Arc<Health>,
        peers: usize,
        now: Time,
    ) -> Local {
        let gate = Gate::new(placement.capacity, placement.queue).on(Arc::clone(platform));
        Local {
            gate: Arc::new(match node {
                Some(node) => gate.sharing(node),
                None => gate,
            }),
            is_offered: policy.is_offered_by(labels),
            policy,
            waiting: Queue::new(),
            token_at: None,
            brought: 0,
            from_clients: RateMeter::new(0, now),
            for_peers: vec![0; peers],
            peer_meters: vec![RateMeter::new(0, now); peers],
            services: (Duration::ZERO, 0),
            service: None,
            tail: Tail::default(),
        }
    }

    /// Reads it.
    pub(super) fn glance(&self) -> u64 {
        self.brought + u64::from(self.services.1) + u64::from(self.waiting.is_empty())
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
}
