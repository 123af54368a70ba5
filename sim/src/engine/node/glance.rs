//! What is read of a node ahead of the events that ask it: see the module that looks ahead. The sums mean nothing.

use crate::engine::calls::SentTo;
use crate::engine::local::Local;

use super::{CallId, Node, id_of};

impl Node {
    /// Reads the node itself.
    pub(in crate::engine) fn glance(&self) -> u64 {
        u64::from(self.boot)
    }

    /// Reads a function.
    pub(in crate::engine) fn glance_function(&self, function: usize) -> u64 {
        let own = self.functions[function].as_ref();
        own.map_or(0, Local::glance)
    }

    /// Reads the way of a function's calls.
    pub(in crate::engine) fn glance_route(&self, function: usize) -> u64 {
        self.there(function).len() as u64
    }

    /// Reads what is left of a function.
    pub(in crate::engine) fn glance_gate(&self, function: usize) -> u64 {
        let own = self.functions[function].as_ref();
        own.map_or(0, |local| u64::from(local.gate.running()))
    }

    /// Reads for whom it ran calls of a function.
    pub(in crate::engine) fn glance_for_peers(&self, function: usize) -> u64 {
        let own = self.functions[function].as_ref();
        own.and_then(|local| local.for_peers.first().copied())
            .unwrap_or_default()
    }

    /// Reads where one more call of a function would wait.
    pub(in crate::engine) fn glance_last(&self, function: usize) -> u64 {
        let own = self.functions[function].as_ref();
        let last = own.and_then(|local| local.waiting.last());
        last.map_or(0, |(_, (_, call))| u64::from(*call))
    }

    /// The call that waits first for a slot of a function, of those that wait for no other slot.
    pub(in crate::engine) fn waits_first(&self, function: usize) -> Option<CallId> {
        let (_, (_, call)) = self.functions[function].as_ref()?.waiting.first()?;
        Some(*call)
    }

    /// Reads who else has a function.
    pub(in crate::engine) fn glance_candidates(&self, function: usize) -> u64 {
        let there = self.there(function).iter();
        there
            .map(|candidate| u64::from(candidate.node.key()[7]))
            .sum()
    }

    /// Reads what is known of those who else have a function.
    pub(in crate::engine) fn glance_remotes(&self, function: usize) -> u64 {
        let there = self.there(function).iter();
        there
            .map(|candidate| u64::from(candidate.remote.queue()))
            .sum()
    }

    /// Reads one of them.
    pub(in crate::engine) fn glance_candidate(&self, function: usize, at: SentTo) -> u64 {
        u64::from(self.remote(function, at).is_some())
    }

    /// Reads what is known of one of them, and of its calls.
    pub(in crate::engine) fn glance_remote(&self, function: usize, from: SentTo) -> u64 {
        let remote = self.remote(function, from);
        remote.map_or(0, |remote| {
            remote.calls_sent() + u64::from(remote.health().absences())
        })
    }

    /// Whether a call that comes now would not run at once.
    pub(in crate::engine) fn is_busy(&self, function: usize) -> bool {
        let local = self.functions[function].as_ref();
        local.is_none_or(|local| local.gate.headroom(self.measured).free <= 0)
    }

    /// Reads what it has of its neighbours.
    pub(in crate::engine) fn glance_control(&self) -> u64 {
        self.neighbours.len() as u64
    }

    /// Reads each neighbour.
    pub(in crate::engine) fn glance_neighbours(&self) -> u64 {
        let neighbours = self.neighbours.iter();
        let known = neighbours.map(|neighbour| {
            let heard = neighbour.heard.as_nanos();
            heard.wrapping_add(neighbour.functions.len() as u64)
        });
        known.fold(0, u64::wrapping_add)
    }

    /// Reads the health of each neighbour.
    pub(in crate::engine) fn glance_healths(&self) -> u64 {
        let neighbours = self.neighbours.iter();
        neighbours
            .map(|neighbour| u64::from(neighbour.health.absences()))
            .sum()
    }

    /// Reads the rest of what is known of a neighbour.
    pub(in crate::engine) fn glance_neighbour(&self, from: usize) -> u64 {
        let neighbour = self.neighbours.get(id_of(from));
        neighbour.map_or(0, |neighbour| {
            let offered = neighbour.functions.first();
            let offered = offered.map(|offered| u64::from(offered.service.is_some()));
            offered.unwrap_or_default() + u64::from(neighbour.endpoint.port)
        })
    }

    /// Reads the counters of what a neighbour offers.
    pub(in crate::engine) fn glance_offered(&self, from: usize) -> u64 {
        let neighbour = self.neighbours.get(id_of(from));
        let offered = neighbour.and_then(|neighbour| neighbour.functions.first());
        offered.map_or(0, |offered| {
            u64::from(offered.remote.queue()) + offered.remote.calls_sent()
        })
    }
}
