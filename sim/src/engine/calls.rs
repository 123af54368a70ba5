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
    pub(crate) function: u16,
    /// How often it was sent to a neighbour.
    pub(crate) sent: u8,
    /// Whether the place is used.
    pub(crate) live: bool,
}

/// What only those calls need that wait or go to a neighbour. What nearly each of these reads is in its first line of the cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Way {
    /// What it asks for of the node that it was sent to.
    pub(crate) asked: Asked,
    /// When it was last sent to a neighbour.
    pub(crate) sent_at: Time,
    /// What is left where it was sent, as the answer that is on its way says.
    pub(crate) left: Option<Headroom>,
    /// What it asks for where it is.
    pub(crate) terms: Terms,
    /// Where it waits for a slot.
    pub(crate) place: Option<Place>,
    pub(crate) delivery: Delivery,
}

#[derive(Debug, Default)]
pub(crate) struct Calls {
    places: Vec<Call>,
    /// The way of each; what it says of a call that never waited nor left is of one before it.
    ways: Vec<Way>,
    free: Vec<CallId>,
}

impl Calls {
    pub(crate) fn put(&mut self, call: Call) -> CallId {
        match self.free.pop() {
            Some(id) => {
                self.places[id as usize] = call;
                id
            }
            None => {
                self.places.push(call);
                self.ways.push(Way::default());
                (self.places.len() - 1) as CallId
            }
        }
    }

    pub(crate) fn take(&mut self, id: CallId) -> Call {
        let call = &mut self.places[id as usize];
        assert!(call.live, "a call is answered once");
        call.live = false;
        self.free.push(id);
        *call
    }

    /// The call there, unless it has been answered.
    pub(crate) fn get(&self, id: CallId) -> Option<&Call> {
        self.places.get(id as usize).filter(|call| call.live)
    }

    /// The way of a call that waits or was sent to a neighbour.
    pub(crate) fn way(&self, id: CallId) -> &Way {
        &self.ways[id as usize]
    }

    pub(crate) fn way_mut(&mut self, id: CallId) -> &mut Way {
        &mut self.ways[id as usize]
    }

    /// Reads the way of a call ahead.
    pub(crate) fn glance(&self, id: CallId) -> u64 {
        let way = self.way(id);
        u64::from(way.left.is_some()) + u64::from(way.place.is_some())
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
