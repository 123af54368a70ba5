//! Looking ahead: what the next events will read is read before the first of them happens.
//!
//! The state of ten thousand nodes fits into no cache, and an event goes from its call to the node, on to the function, its
//! gate and its neighbours' counters, and waits for memory at each step. The ways of different events do not depend on each
//! other: taken step by step side by side, all wait at the same time. Nothing is changed here, and nothing depends on what
//! is read. Each step has a loop for each kind of way, as a processor that has to guess which way is next reads nothing
//! ahead of a wrong guess.

use std::hint::black_box;

use super::World;
use super::event::{CallId, Came, Event};

/// So many events at one time: far more than memory can be asked at one time, as each step waits for its last answer.
const AT_ONCE: usize = 64;

/// The ways of the events that are looked ahead to, as they are looked for.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Calls that clients bring.
    arrivals: Vec<Visit>,
    /// Calls that a node decides on, if nothing is free there.
    choices: Vec<Visit>,
    /// Calls that end at a node.
    ends: Vec<Visit>,
    /// Calls that wait there.
    next: Vec<CallId>,
    /// Calls of neighbours.
    forwarded: Vec<Visit>,
    /// Answers of neighbours.
    answers: Vec<(Visit, CallId)>,
    /// Calls that were sent to a neighbour.
    sent: Vec<CallId>,
    /// Nodes over whose links something is sent.
    senders: Vec<u32>,
    /// Nodes that look at all their neighbours.
    looks: Vec<u32>,
    /// Nodes that hear a neighbour.
    hears: Vec<(u32, u32)>,
}

/// A node and a function that an event asks for.
#[derive(Clone, Copy, Debug)]
struct Visit {
    node: u32,
    function: u16,
}

impl Visit {
    fn node(self) -> usize {
        self.node as usize
    }

    fn function(self) -> usize {
        usize::from(self.function)
    }
}

impl Ahead {
    fn clear(&mut self) {
        self.arrivals.clear();
        self.choices.clear();
        self.ends.clear();
        self.next.clear();
        self.forwarded.clear();
        self.answers.clear();
        self.sent.clear();
        self.senders.clear();
        self.looks.clear();
        self.hears.clear();
    }

    /// All calls that ask for something free.
    fn calls(&self) -> impl Iterator<Item = &Visit> {
        self.arrivals.iter().chain(&self.forwarded)
    }

    fn control(&self) -> impl Iterator<Item = usize> + '_ {
        let looks = self.looks.iter();
        let nodes = looks.chain(self.hears.iter().map(|(to, _)| to));
        nodes.map(|node| *node as usize)
    }
}

impl World<'_> {
    /// Reads what the next events of the day at hand will read.
    pub(super) fn look_ahead(&mut self) {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.clear();
        let mut events = 0;
        let mut read = 0u64;
        for event in self.calendar.today().take(AT_ONCE) {
            read = read.wrapping_add(self.first(event, &mut ahead));
            events += 1;
        }
        self.looked = self.events + events;
        let mut sum = |glance: u64| read = read.wrapping_add(glance);
        // The nodes.
        for visit in &ahead.arrivals {
            sum(self.glance(visit.node()));
        }
        for visit in &ahead.ends {
            sum(self.glance(visit.node()));
        }
        for visit in &ahead.forwarded {
            sum(self.glance(visit.node()));
        }
        for (visit, _) in &ahead.answers {
            sum(self.glance(visit.node()));
        }
        for node in ahead.control() {
            sum(self.nodes[node].glance_control());
        }
        // Their functions, their links and their neighbours.
        for visit in ahead.calls() {
            let node = &self.nodes[visit.node()];
            sum(node.glance_function(visit.function()));
            sum(node.glance_route(visit.function()));
        }
        for visit in &ahead.ends {
            sum(self.nodes[visit.node()].glance_function(visit.function()));
        }
        for (visit, _) in &ahead.answers {
            sum(self.nodes[visit.node()].glance_route(visit.function()));
        }
        for call in &ahead.sent {
            sum(self.calls.glance(*call));
            sum(self.link_back(*call).to as u64);
        }
        for (_, call) in &ahead.answers {
            sum(self.calls.glance_all(*call));
        }
        for node in &ahead.senders {
            sum(self.experiment.links.glance(*node as usize));
        }
        for node in ahead.control() {
            sum(self.nodes[node].glance_neighbours());
        }
        // What is left of the functions, and who else has them.
        for visit in &ahead.arrivals {
            sum(self.nodes[visit.node()].glance_gate(visit.function()));
        }
        for visit in &ahead.forwarded {
            let node = &self.nodes[visit.node()];
            sum(node.glance_gate(visit.function()));
            sum(node.glance_for_peers(visit.function()));
            sum(node.glance_last(visit.function()));
        }
        for visit in &ahead.ends {
            let node = &self.nodes[visit.node()];
            sum(node.glance_gate(visit.function()));
            ahead.next.extend(node.waits_first(visit.function()));
        }
        for (visit, call) in &ahead.answers {
            let node = &self.nodes[visit.node()];
            sum(node.glance_candidate(visit.function(), self.calls.sent_to(*call)));
        }
        for node in &ahead.looks {
            sum(self.nodes[*node as usize].glance_healths());
        }
        for (to, from) in &ahead.hears {
            sum(self.nodes[*to as usize].glance_neighbour(*from as usize));
        }
        ahead.choices.retain(|visit| {
            let node = &self.nodes[visit.node()];
            node.is_busy(visit.function())
        });
        for visit in &ahead.choices {
            let node = &self.nodes[visit.node()];
            sum(node.glance_candidates(visit.function()));
            sum(node.glance_last(visit.function()));
            sum(self.experiment.links.glance(visit.node()));
        }
        sum(self.calls.glance_free(ahead.choices.len()));
        for call in &ahead.next {
            sum(self.calls[*call].service.to_bits());
            sum(self.calls.glance(*call));
        }
        // What is known of those.
        for (visit, call) in &ahead.answers {
            let node = &self.nodes[visit.node()];
            sum(node.glance_remote(visit.function(), self.calls.sent_to(*call)));
        }
        for (to, from) in &ahead.hears {
            sum(self.nodes[*to as usize].glance_offered(*from as usize));
        }
        for visit in &ahead.choices {
            sum(self.nodes[visit.node()].glance_remotes(visit.function()));
        }
        black_box(read);
        self.ahead = ahead;
    }

    /// Reads what an event itself names, and notes the way that it goes from there.
    fn first(&self, event: Event, ahead: &mut Ahead) -> u64 {
        match event {
            Event::Arrival { source } => {
                let (node, function) = self.sources.of(source as usize);
                let visit = Visit { node, function };
                ahead.arrivals.push(visit);
                ahead.choices.push(visit);
                self.sources.glance(self.experiment, source as usize)
            }
            Event::Done { call: id } => {
                let call = &self.calls[id];
                let (node, function) = (call.at, call.function);
                ahead.ends.push(Visit { node, function });
                if call.at == call.origin {
                    return 0;
                }
                ahead.sent.push(id);
                0
            }
            Event::Forwarded { call: id } => {
                let call = &self.calls[id];
                let (node, function) = (call.at, call.function);
                ahead.forwarded.push(Visit { node, function });
                ahead.sent.push(id);
                0
            }
            Event::Answer { call: id, came } => {
                let call = &self.calls[id];
                let (node, function) = (call.origin, call.function);
                let visit = Visit { node, function };
                ahead.answers.push((visit, id));
                if came != Came::Served {
                    // It is decided anew.
                    ahead.arrivals.push(visit);
                    ahead.choices.push(visit);
                }
                0
            }
            Event::Message { to, from, message } => {
                ahead.hears.push((to, from));
                self.messages.glance(message)
            }
            Event::Watch { node, .. } => {
                ahead.looks.push(node);
                0
            }
            Event::Tick { node, .. } => {
                ahead.looks.push(node);
                ahead.senders.push(node);
                0
            }
            Event::Token { node, function } => {
                ahead.ends.push(Visit { node, function });
                0
            }
            Event::Late { .. }
            | Event::Unreached { .. }
            | Event::SharedDone { .. }
            | Event::Fault { .. } => 0,
        }
    }

    /// Reads a node, and what is counted of it.
    fn glance(&self, node: usize) -> u64 {
        let own = self.nodes[node].glance();
        own.wrapping_add(self.ledger.glance(node))
    }
}
