//! Calls that wait for a slot or a token, and who is next.

use super::delivering::in_time;
use super::event::{CallId, Came, Event};
use super::local::Next;
use super::{JUST_AFTER, World};

impl World<'_> {
    pub(super) fn wait(&mut self, id: CallId) {
        self.waits = self.waits.wrapping_add(1).max(1);
        let call = &mut self.calls[id];
        call.since = self.now;
        call.wait = self.waits;
        let (at, function, wait) = (call.at, call.function, call.wait);
        let now = self.clocks.shows(at as usize, self.now);
        let node = &mut self.nodes[at as usize];
        let way = self.calls.way_mut(id);
        let Some((place, latest)) = node.wait(function.into(), id, &way.terms, now) else {
            return self.drop_from_queue(id);
        };
        way.place = Some(place);
        if let Some(latest) = latest {
            let latest = self.clocks.when(at as usize, latest);
            let late = latest.max(self.now) + JUST_AFTER;
            self.calendar.schedule(late, Event::Late { call: id, wait });
        }
        self.await_token(at as usize, function.into());
    }

    pub(super) fn await_token(&mut self, node: usize, function: usize) {
        let now = self.clocks.shows(node, self.now);
        if let Some(token) = self.nodes[node].awaits_token(function, now) {
            let token = self.clocks.when(node, token);
            let (node, function) = (node as u32, function as u16);
            self.calendar
                .schedule(token, Event::Token { node, function });
        }
    }

    /// A call waits in the place of another, of lower priority.
    pub(super) fn displace(&mut self, id: CallId, other: CallId) {
        self.wait(id);
        self.drop_from_queue(other);
    }

    /// A call that waits can no longer start in time, unless it has started or given up since.
    pub(super) fn late(&mut self, id: CallId, wait: u32) {
        let Some(call) = self.calls.get(id).filter(|call| call.wait == wait) else {
            return;
        };
        let (node, function) = (call.at as usize, usize::from(call.function));
        if let Some(place) = self.calls.way(id).place
            && self.nodes[node].leave(function, place)
        {
            self.drop_from_queue(id);
        }
    }

    /// A call has been taken out of a queue: nothing of it was executed.
    pub(super) fn drop_from_queue(&mut self, id: CallId) {
        let call = &mut self.calls[id];
        call.wait = 0;
        if call.at == call.origin {
            self.calls.way_mut(id).delivery.dropped_here();
            self.deliver_again(id);
        } else {
            self.answer(id, Came::Refused);
        }
    }

    pub(super) fn token(&mut self, node: usize, function: usize) {
        let now = self.clocks.shows(node, self.now);
        if self.nodes[node].token_comes(function, now) {
            while self.start_next(node, function) {}
            self.await_token(node, function);
        }
    }

    /// A slot is given up: whoever waits first and can still start in time has it.
    pub(super) fn release(&mut self, node: usize, function: usize) {
        if self.nodes[node].end(function) {
            self.start_next(node, function);
            self.nodes[node].settle(function);
        }
    }

    /// Starts the next one of those who wait, if one can. Returns whether there was one.
    pub(super) fn start_next(&mut self, node: usize, function: usize) -> bool {
        loop {
            let now = self.clocks.shows(node, self.now);
            match self.nodes[node].next(function, now) {
                Next::Nobody => return false,
                Next::Drop(call) => self.drop_from_queue(call),
                Next::Start(call) => {
                    in_time(&self.calls.way(call).terms, now);
                    self.calls[call].wait = 0;
                    self.ledger.waited(self.now.since(self.calls[call].since));
                    self.start(call);
                    return true;
                }
            }
        }
    }
}
