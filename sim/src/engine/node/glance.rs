//! What is read of a node ahead of the events that ask it: see the module that looks ahead. The sums mean nothing.

use crate::engine::local::Local;

use super::{Node, id_of};

impl Node {
    /// Reads the node itself.
    pub(in crate::engine) fn glance(&self) -> u64 {
        u64::from(self.boot)
    }

    /// Reads a function and the way of its calls.
    pub(in crate::engine) fn glance_function(&self, function: usize) -> u64 {
        let own = self.functions[function].as_ref().map(Local::glance);
        let way = self.routes[function]
            .as_ref()
            .map(|route| route.there.len() as u64);
        own.unwrap_or_default() + way.unwrap_or_default()
    }

    /// Reads what is left of a function, and who else has it.
    pub(in crate::engine) fn glance_gate(&self, function: usize) -> u64 {
        let gate = self.functions[function].as_ref();
        let gate = gate.map(|local| u64::from(local.gate.running()));
        let there = self.routes[function]
            .as_ref()
            .map_or(&[][..], |route| &route.there);
        let there = there
            .iter()
            .map(|candidate| u64::from(candidate.node.key()[7]));
        gate.unwrap_or_default() + there.sum::<u64>()
    }

    /// Reads what is known of those who else have a function.
    pub(in crate::engine) fn glance_candidates(&self, function: usize) -> u64 {
        let there = self.routes[function]
            .as_ref()
            .map_or(&[][..], |route| &route.there);
        let remotes = there.iter().map(|candidate| {
            let remote = &candidate.remote;
            let known = u64::from(remote.queue()) + u64::from(remote.round_trip().is_some());
            known + remote.health().state() as u64
        });
        remotes.sum()
    }

    /// Whether a call that comes now would not run at once.
    pub(in crate::engine) fn is_busy(&self, function: usize) -> bool {
        let local = self.functions[function].as_ref();
        local.is_none_or(|local| local.gate.headroom(self.measured).free <= 0)
    }

    /// Reads what is known of a neighbour.
    pub(in crate::engine) fn glance_neighbour(&self, from: usize) -> u64 {
        let neighbour = self.neighbours.get(id_of(from));
        let known = neighbour.map(|neighbour| {
            let offered = neighbour.functions.values().next();
            let queue = offered.map(|offered| u64::from(offered.remote.queue()));
            neighbour
                .heard
                .as_nanos()
                .wrapping_add(queue.unwrap_or_default())
        });
        known.unwrap_or_default()
    }
}
