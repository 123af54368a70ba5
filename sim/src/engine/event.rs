//! What happens. Small, as there are millions: calls and messages are kept elsewhere and named by their places.

use dfaas_protocol::delivery::Rejection;

/// A place among the calls.
pub(crate) type CallId = u32;

/// What came of a call at a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It ran.
    Served,
    /// It was refused for want of room.
    Full,
    /// It was more than the neighbour had granted, which says nothing of its room.
    OverGrant,
    /// It was refused for another reason.
    Refused,
}

impl From<Rejection> for Came {
    fn from(why: Rejection) -> Came {
        match why {
            Rejection::Full => Came::Full,
            Rejection::OverGrant => Came::OverGrant,
            _ => Came::Refused,
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A client brings a call.
    Arrival { source: u32 },
    /// A node plans, and tells its neighbours; unless it has begun anew since.
    Tick { node: u32, boot: u32 },
    /// A node looks after its neighbours, unless it has begun anew since.
    Watch { node: u32, boot: u32 },
    /// A control message arrives.
    Message { to: u32, from: u32, message: u32 },
    /// A forwarded call arrives at a neighbour.
    Forwarded { call: CallId },
    /// The origin of a call learns that its neighbour cannot be reached.
    Unreached { call: CallId },
    /// A token comes for the calls that wait for one.
    Token { node: u32, function: u16 },
    /// A call that waits can no longer start in time, if it still waits the same wait.
    Late { call: CallId, wait: u32 },
    /// A call has run.
    Done { call: CallId },
    /// The first of the calls that share a node's cores has run, if nothing came or went there since.
    SharedDone { node: u32, version: u32 },
    /// The answer of a neighbour is back at the call's origin.
    Answer { call: CallId, came: Came },
    /// A fault begins, or is over.
    Fault { incident: u32, begins: bool },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_its_time_is_at_most_24_bytes() {
        assert!(size_of::<Event>() + size_of::<u64>() <= 24);
    }
}
