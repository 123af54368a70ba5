//! The calls on their way, each in one place that is used again when it has been answered.

use std::ops::{Index, IndexMut};

use dfaas_protocol::delivery::Delivery;
use dfaas_protocol::policy::{Asked, Terms};
use dfaas_protocol::queue::Place;
use dfaas_protocol::{Headroom, Time};

use super::event::CallId;

/// A call on its way: what its events read of it, in one line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Call {
    pub(crate) arrived: Time,
    /// When it began to wait, to run, or was sent.
    pub(crate) since: Time,
    /// Seconds that it takes on a node of speed 1.
    pub(crate) service: f64,
    /// The node that a client brought it to, and which start of that node it was.
    pub(crate) origin: u32,
    pub(crate) origin_boot: u32,
    /// The node where it runs or was sent, and which start of that node it was.
    pub(crate) at: u32,
    pub(crate) at_boot: u32,
    /// Which wait for a slot it is in, of all; zero while it does not wait.
    pub(crate) wait: u32,
    /// The neighbour to which it was sent last, if it was.
    pub(crate) before: u32,
    /// The link by which its answer goes back, from where it was sent to last.
    pub(crate) back: u32,
    /// Where its way is, if it ever waited or was sent.
    pub(crate) way: Option<u32>,
    pub(crate) function: u16,
    /// How often it was sent to a neighbour.
    pub(crate) sent: u8,
    /// Whether the place is used.
    pub(crate) live: bool,
}

/// The neighbour that a call is sent to, and its place among the candidates then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentTo {
    pub(crate) node: u32,
    pub(crate) candidate: u32,
}

/// What only those calls need that wait or go to a neighbour. What nearly each of these reads is in its first line of the cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Way {
    /// What it asks for of the node that it was sent to.
    pub(crate) asked: Asked,
    /// When it was last sent to a neighbour.
    pub(crate) sent_at: Time,
    /// The place of that neighbour among the candidates, then.
    pub(crate) candidate: u32,
    /// What is left where it was sent, as the answer that is on its way says.
    pub(crate) left: Option<Headroom>,
    /// What it asks for where it is.
    pub(crate) terms: Terms,
    /// Where it waits for a slot.
    pub(crate) place: Option<Place>,
    pub(crate) delivery: Delivery,
}

impl Way {
    /// Reads each of its lines ahead.
    fn glance(&self) -> u64 {
        let tried = self.delivery.tried();
        let lines = [
            self.left.is_some(),
            self.place.is_some(),
            tried.here(),
            tried.terms().start_by.is_some(),
        ];
        lines.into_iter().map(u64::from).sum()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Calls {
    places: Vec<Call>,
    free: Vec<CallId>,
    ways: Vec<Way>,
    free_ways: Vec<u32>,
}

/// Why it is no fault to ask for a way.
const HAS_WAY: &str = "a call that waits or was sent has a way";

impl Calls {
    pub(crate) fn put(&mut self, call: Call) -> CallId {
        match self.free.pop() {
            Some(id) => {
                self.places[id as usize] = call;
                id
            }
            None => {
                self.places.push(call);
                (self.places.len() - 1) as CallId
            }
        }
    }

    pub(crate) fn take(&mut self, id: CallId) -> Call {
        let call = &mut self.places[id as usize];
        assert!(call.live, "a call is answered once");
        call.live = false;
        self.free.push(id);
        self.free_ways.extend(call.way);
        *call
    }

    /// The call there, unless it has been answered.
    pub(crate) fn get(&self, id: CallId) -> Option<&Call> {
        self.places.get(id as usize).filter(|call| call.live)
    }

    /// The way of a call that waits or was sent to a neighbour.
    pub(crate) fn way(&self, id: CallId) -> &Way {
        &self.ways[self[id].way.expect(HAS_WAY) as usize]
    }

    pub(crate) fn way_mut(&mut self, id: CallId) -> &mut Way {
        let way = self[id].way.expect(HAS_WAY);
        &mut self.ways[way as usize]
    }

    /// From now on that is the way of a call.
    pub(crate) fn set_way(&mut self, id: CallId, way: Way) {
        let call = &mut self.places[id as usize];
        let place = call.way.or_else(|| self.free_ways.pop());
        let place = place.unwrap_or(self.ways.len() as u32);
        call.way = Some(place);
        match self.ways.get_mut(place as usize) {
            Some(known) => *known = way,
            None => self.ways.push(way),
        }
    }

    /// Where a call was sent to last.
    pub(crate) fn sent_to(&self, id: CallId) -> SentTo {
        SentTo {
            node: self[id].at,
            candidate: self.way(id).candidate,
        }
    }

    /// Reads ahead what is read of the way of a call where it was sent.
    pub(crate) fn glance(&self, id: CallId) -> u64 {
        let way = self.way(id);
        u64::from(way.left.is_some()) + u64::from(way.terms.start_by.is_some())
    }

    /// Reads all of the way of a call ahead.
    pub(crate) fn glance_all(&self, id: CallId) -> u64 {
        self.way(id).glance()
    }

    /// Reads the places ahead that the next ways have, so many of them.
    pub(crate) fn glance_free(&self, count: usize) -> u64 {
        let next = self.free_ways.iter().rev().take(count);
        let read = next.map(|way| self.ways[*way as usize].glance());
        read.fold(0, u64::wrapping_add)
    }

    /// How many are on their way.
    pub(crate) fn live(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

impl Index<CallId> for Calls {
    type Output = Call;

    fn index(&self, id: CallId) -> &Call {
        &self.places[id as usize]
    }
}

impl IndexMut<CallId> for Calls {
    fn index_mut(&mut self, id: CallId) -> &mut Call {
        &mut self.places[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_one_line_of_the_cache() {
        assert_eq!(size_of::<Call>(), 64);
    }
}
