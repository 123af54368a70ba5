//! Calls that wait at a node: for a slot of their function, for one that functions share, or for a token.

use std::sync::Arc;

use dfaas_protocol::Time;
use dfaas_protocol::gate::{Freed, Gate};
use dfaas_protocol::policy::Terms;
use dfaas_protocol::queue::Place;

use crate::engine::event::CallId;
use crate::engine::local::{Local, Next, Waiting};

use super::Node;

impl Node {
    /// A function that is here, and those who wait for the slots that it shares, if it does.
    fn with_waiting(&mut self, function: usize) -> Option<(&mut Local, Option<&mut Waiting>)> {
        let local = self.functions[function].as_mut()?;
        let together = local.gate.is_sharing().then_some(&mut self.together);
        Some((local, together))
    }

    /// A call waits. Returns its place, and until when waiting is of any use; nothing if it already is of none.
    pub(crate) fn wait(
        &mut self,
        function: usize,
        call: CallId,
        terms: &Terms,
        now: Time,
    ) -> Option<(Place, Option<Time>)> {
        let (local, together) = self.with_waiting(function)?;
        let latest = terms.latest_start(local.service);
        let queue = together.unwrap_or(&mut local.waiting);
        let place = queue.push(terms.priority, latest, (function as u16, call));
        let token = latest.and_then(|_| local.gate.next_token(now, || queue.ahead_of(place)));
        if token
            .zip(latest)
            .is_some_and(|(token, latest)| token > latest)
        {
            queue.leave(place);
            local.gate.leave();
            return None;
        }
        Some((place, latest))
    }

    /// When to ask for the next one, if somebody waits for a token and that was not asked yet.
    pub(crate) fn awaits_token(&mut self, function: usize, now: Time) -> Option<Time> {
        let local = self.functions[function].as_mut()?;
        if local.waiting.is_empty() || local.token_at.is_some() {
            return None;
        }
        local.token_at = local.gate.next_token(now, || 0);
        local.token_at
    }

    /// Whether a token comes now that somebody waits for.
    pub(crate) fn token_comes(&mut self, function: usize, now: Time) -> bool {
        let local = self.functions[function].as_mut();
        local.is_some_and(|local| local.token_at.take_if(|at| *at <= now).is_some())
    }

    /// Takes out the call that would go last, if its priority is below that of these terms: another waits in its place.
    pub(super) fn displace(&mut self, function: usize, terms: &Terms) -> Option<CallId> {
        let gate = Arc::clone(&self.functions[function].as_ref()?.gate);
        let (_, call) = if gate.is_sharing() {
            let functions = &self.functions;
            let of = |function: u16| functions[usize::from(function)].as_ref();
            let may = |gate: &Gate, function| {
                of(function).is_some_and(|local| gate.may_displace(&local.gate))
            };
            let displaced = self
                .together
                .displace(terms.priority, |(function, _)| may(&gate, *function))?;
            if let Some(local) = of(displaced.0) {
                local.gate.leave();
            }
            displaced
        } else {
            let local = self.functions[function].as_mut()?;
            let displaced = local.waiting.displace(terms.priority, |_| true)?;
            gate.leave();
            displaced
        };
        gate.wait_in_place_of_another();
        Some(call)
    }

    /// A call that waits gives up. Returns whether it was still waiting.
    pub(crate) fn leave(&mut self, function: usize, place: Place) -> bool {
        let Some((local, together)) = self.with_waiting(function) else {
            return false;
        };
        let left = together
            .unwrap_or(&mut local.waiting)
            .leave(place)
            .is_some();
        if left {
            local.gate.leave();
        }
        left
    }

    /// A call ended. Whether its slot is for those who wait: then the node [settles](Node::settle) when the
    /// [next](Node::next) of them was let start.
    pub(crate) fn end(&self, function: usize) -> bool {
        let local = self.functions[function].as_ref();
        local.is_some_and(|local| local.gate.end() == Freed::ForNext)
    }

    pub(crate) fn settle(&self, function: usize) {
        if let Some(local) = &self.functions[function] {
            local.gate.settle();
        }
    }

    /// Who is next of those who wait where the calls of that function do.
    pub(crate) fn next(&mut self, function: usize, now: Time) -> Next {
        let Some(local) = self.functions[function].as_mut() else {
            return Next::Nobody;
        };
        let next = if local.gate.is_sharing() {
            let functions = &self.functions;
            let gate = |function: u16| Some(&functions[usize::from(function)].as_ref()?.gate);
            let resume = |function| gate(function).is_some_and(|gate| gate.resume(now));
            self.together.next(now, |(function, _)| resume(*function))
        } else {
            let gate = &local.gate;
            local.waiting.next(now, |_| gate.resume(now))
        };
        match next {
            Some(((_, call), true)) => Next::Start(call),
            Some(((function, call), false)) => {
                if let Some(local) = &self.functions[usize::from(function)] {
                    local.gate.leave();
                }
                Next::Drop(call)
            }
            None => Next::Nobody,
        }
    }

    /// The node is gone; returns the calls that waited for a slot.
    pub(crate) fn crash(&mut self, now: Time) -> Vec<CallId> {
        self.up = false;
        let locals = self.functions.iter_mut().flatten();
        let queues = locals.map(|local| &mut local.waiting);
        let queues = queues.chain([&mut self.together]);
        let drain = |queue: &mut Waiting| {
            let next = || queue.next(now, |_| true).map(|((_, call), _)| call);
            std::iter::from_fn(next).collect::<Vec<_>>()
        };
        queues.flat_map(drain).collect()
    }
}
