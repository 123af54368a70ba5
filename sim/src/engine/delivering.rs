//! A call on its way: decided at its origin, sent to a neighbour, and answered from there.

use dfaas_protocol::Time;
use dfaas_protocol::delivery::MAX_ATTEMPTS;
use dfaas_protocol::policy::Terms;

use crate::policy::Policy;

use super::calls::{SentTo, Way};
use super::event::{CallId, Came, Event};
use super::node::Step;
use super::{CONNECT, HEAD_BYTES, World};

impl World<'_> {
    /// Decides a call that came back to its origin, or did not leave it.
    pub(super) fn deliver_again(&mut self, id: CallId) {
        let mut way = *self.calls.way(id);
        // Where it was, it had until another time, on another clock.
        way.terms = *way.delivery.tried().terms();
        self.deliver(id, way);
    }

    /// Decides a call at its origin, and does it.
    pub(super) fn deliver(&mut self, id: CallId, mut way: Way) {
        let call = &self.calls[id];
        let (origin, function) = (call.origin as usize, usize::from(call.function));
        if self.policy == Policy::Dispatcher {
            self.look_around(origin, function);
        }
        let call = &mut self.calls[id];
        let now = self.clocks.shows(origin, self.now);
        let node = &mut self.nodes[origin];
        let step = node.decide(self.experiment, function, &mut way.delivery, now);
        call.at = call.origin;
        call.at_boot = call.origin_boot;
        // Most calls run at once, and nobody asks for their way again.
        if !matches!(step, Step::Run | Step::Refuse(_)) {
            self.calls.set_way(id, way);
        }
        match step {
            Step::Run => {
                in_time(&way.terms, now);
                self.start(id);
            }
            Step::Wait => self.wait(id),
            Step::Displace(other) => self.displace(id, other),
            Step::Forward(to) => self.forward(id, to),
            Step::Refuse(why) => {
                self.calls.take(id);
                self.ledger.refuse(origin, why.as_str(), self.now);
            }
        }
    }

    fn forward(&mut self, id: CallId, sent_to: SentTo) {
        let to = sent_to.node as usize;
        let call = &mut self.calls[id];
        let origin = call.origin as usize;
        call.sent += 1;
        assert!(
            usize::from(call.sent) <= MAX_ATTEMPTS,
            "a call is sent to neighbours so often at most"
        );
        let function = usize::from(call.function);
        let policy = &self.experiment.functions[function].policy;
        assert!(
            policy.is_offered_by(&self.experiment.nodes[to].labels),
            "a call stays where its function's fence keeps it"
        );
        assert_ne!(origin, to, "a call is sent to another node");
        assert!(
            call.sent == 1 || call.before != to as u32,
            "a call is sent to another neighbour each time"
        );
        call.before = to as u32;
        call.since = self.now;
        let link = self.link(origin, to);
        let now = self.clocks.shows(origin, self.now);
        let way = self.calls.way_mut(id);
        way.asked = way.delivery.tried().terms().asked(now, 2 * link.delay);
        way.sent_at = self.now;
        way.candidate = sent_to.candidate;
        let call = &mut self.calls[id];
        call.at = sent_to.node;
        call.back = self.experiment.links.back(link).index as u32;
        self.ledger.forward(origin, self.now);
        let bytes = HEAD_BYTES + self.experiment.functions[function].body_bytes;
        let arrives = self.cross(link, bytes);
        if !self.wires.joins(origin, to) {
            let at = self.clocks.after(origin, self.now, CONNECT);
            self.calendar.schedule(at, Event::Unreached { call: id });
        } else {
            self.calendar
                .schedule(arrives, Event::Forwarded { call: id });
        }
    }

    pub(super) fn forwarded(&mut self, id: CallId) {
        let call = &mut self.calls[id];
        let (to, function) = (call.at as usize, usize::from(call.function));
        let now = self.clocks.shows(to, self.now);
        let node = &mut self.nodes[to];
        if !node.up {
            // It takes the way back to learn that nobody listens.
            let at = self.cross_back(id, 0);
            self.calendar.schedule(at, Event::Unreached { call: id });
            return;
        }
        call.at_boot = node.boot;
        let back = self.experiment.links.at(call.back as usize);
        let way = self.calls.way_mut(id);
        way.terms = node.terms(function, way.asked, now);
        match node.admit(self.experiment, function, back, &way.terms, now) {
            Step::Run => {
                in_time(&way.terms, now);
                self.start(id);
            }
            Step::Wait => self.wait(id),
            Step::Displace(other) => self.displace(id, other),
            Step::Refuse(why) => self.answer(id, why.into()),
            Step::Forward(_) => unreachable!("an admission has no way to say forward"),
        }
    }

    /// The origin learns that nobody took a call that it sent: nothing was executed.
    pub(super) fn unreached(&mut self, id: CallId) {
        let call = &self.calls[id];
        let (origin, to, sent) = (call.origin as usize, self.calls.sent_to(id), call.since);
        self.ledger.unreached();
        if self.nodes[origin].boot != call.origin_boot || !self.nodes[origin].up {
            return self.lose(id);
        }
        let function = usize::from(call.function);
        let (sent, now) = (
            self.clocks.shows(origin, sent),
            self.clocks.shows(origin, self.now),
        );
        self.nodes[origin].unreached(function, to, sent, now);
        self.deliver_again(id);
    }

    /// Sends the answer to a forwarded call back, with what is left here now.
    pub(super) fn answer(&mut self, id: CallId, came: Came) {
        let call = &self.calls[id];
        let (from, function) = (call.at as usize, usize::from(call.function));
        let body = if came == Came::Served {
            self.experiment.functions[function].answer_bytes
        } else {
            0
        };
        let at = self.cross_back(id, HEAD_BYTES + body);
        let left = self.nodes[from].says(function, self.clocks.shows(from, self.now));
        self.calls.way_mut(id).left = Some(left);
        self.calendar.schedule(at, Event::Answer { call: id, came });
    }

    pub(super) fn answered(&mut self, id: CallId, came: Came) {
        let call = &self.calls[id];
        let (origin, from) = (call.origin as usize, call.at as usize);
        let is_there = self.nodes[origin].up && self.nodes[origin].boot == call.origin_boot;
        if !is_there || !self.wires.joins(origin, from) {
            return self.lose(id);
        }
        let function = usize::from(call.function);
        let (at, way) = (self.calls.sent_to(id), self.calls.way(id));
        if let Some(left) = way.left {
            let (sent, now) = (
                self.clocks.shows(origin, way.sent_at),
                self.clocks.shows(origin, self.now),
            );
            self.nodes[origin].answered(function, at, came, left, sent, now);
        }
        if came == Came::Served {
            let call = self.calls.take(id);
            let latency = self.now.since(call.arrived);
            self.ledger
                .serve((origin, function), latency, true, self.now);
        } else {
            self.ledger.peer_refusal(from, self.now);
            self.deliver_again(id);
        }
    }

    /// For the dispatcher: a node sees what is left at each of its candidates now.
    pub(super) fn look_around(&self, origin: usize, function: usize) {
        let origin = &self.nodes[origin];
        for (place, candidate) in origin.candidates(function).enumerate() {
            let now = self.clocks.shows(candidate, self.now);
            let headroom = self.nodes[candidate].headroom(function, now);
            origin.inform(function, place, headroom);
        }
    }
}

/// A call is not begun after its deadline. It may be at the deadline itself, by one that waited and whose time to run is not known yet.
pub(super) fn in_time(terms: &Terms, now: Time) {
    assert!(
        terms.deadline.is_none_or(|deadline| now <= deadline),
        "a call does not begin after its deadline"
    );
}
