//! Looking ahead: what the next events will read is read before the first of them happens.
//!
//! The state of ten thousand nodes fits into no cache, and an event goes from its call to the node, on to the function, its
//! gate and its neighbours' counters, and waits for memory at each step. The ways of different events do not depend on each
//! other: taken step by step side by side, all wait at the same time. Nothing is changed here, and nothing depends on what
//! is read.

use std::hint::black_box;

use super::World;
use super::event::Event;

/// So many events at one time: more than memory can be asked at one time, and no more than the nearest cache holds.
const AT_ONCE: usize = 32;

/// A node that an event will ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    node: u32,
    function: u16,
    /// Whether a neighbour is chosen, so that their counters are read.
    chooses: Chooses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chooses {
    Never,
    /// If nothing is free there.
    IfFull,
    Always,
}

impl World<'_> {
    /// Reads what the next events of the day at hand will read.
    pub(super) fn look_ahead(&mut self) {
        let mut visits = std::mem::take(&mut self.visits);
        visits.clear();
        let mut read = 0u64;
        let mut events = 0;
        for event in self.calendar.today().take(AT_ONCE) {
            read = read.wrapping_add(self.first(event, &mut visits));
            events += 1;
        }
        self.looked = self.events + events;
        for visit in &visits {
            let node = visit.node as usize;
            let links = self.experiment.links.neighbours(node).first();
            read = read
                .wrapping_add(self.nodes[node].glance())
                .wrapping_add(u64::from(links.copied().unwrap_or_default()))
                .wrapping_add(self.ledger.glance(node));
        }
        for visit in &visits {
            let function = usize::from(visit.function);
            read = read.wrapping_add(self.nodes[visit.node as usize].glance_function(function));
        }
        for visit in &visits {
            let function = usize::from(visit.function);
            read = read.wrapping_add(self.nodes[visit.node as usize].glance_gate(function));
        }
        for visit in &visits {
            let node = &self.nodes[visit.node as usize];
            let function = usize::from(visit.function);
            let chooses = match visit.chooses {
                Chooses::Never => false,
                Chooses::IfFull => node.is_busy(function),
                Chooses::Always => true,
            };
            if chooses {
                read = read.wrapping_add(node.glance_candidates(function));
            }
        }
        black_box(read);
        self.visits = visits;
    }

    /// The first step of an event's way, and the nodes to which it leads.
    fn first(&self, event: Event, visits: &mut Vec<Visit>) -> u64 {
        let mut visit = |node: u32, function: u16, chooses| {
            visits.push(Visit {
                node,
                function,
                chooses,
            });
        };
        match event {
            Event::Arrival { source } => {
                let (node, function) = self.sources.of(source as usize);
                visit(node, function, Chooses::IfFull);
                0
            }
            Event::Done { call } => {
                let call = &self.calls[call];
                visit(call.at, call.function, Chooses::Never);
                0
            }
            Event::Forwarded { call: id } => {
                let call = &self.calls[id];
                visit(call.at, call.function, Chooses::Never);
                self.calls.way(id).terms.deadline.is_some().into()
            }
            Event::Answer { call: id, .. } => {
                let call = &self.calls[id];
                visit(call.origin, call.function, Chooses::Always);
                u64::from(self.calls.way(id).left.is_some())
            }
            Event::Message { to, from, .. } => {
                self.nodes[to as usize].glance_neighbour(from as usize)
            }
            Event::Token { node, function } => {
                visit(node, function, Chooses::Never);
                0
            }
            Event::Late { .. }
            | Event::Unreached { .. }
            | Event::SharedDone { .. }
            | Event::Tick { .. }
            | Event::Watch { .. }
            | Event::Fault { .. } => 0,
        }
    }
}
