//! What is kept of one call.

use std::fmt;
use std::time::Duration;

use dfaas_protocol::standing::Standing;
use dfaas_protocol::{Headroom, NodeId, Time};

/// Longer texts are cut. An id of our own has 36 bytes, the reason of a neighbour's refusal 64 at most.
const LONGEST: usize = 64;
/// How many neighbours are kept for each step. An agent looks for that many by itself.
pub(super) const MOST_CANDIDATES: usize = 8;
/// More steps than a call takes: two attempts at neighbours, a wait and a run here, and what came of it.
pub(super) const MOST_STEPS: usize = 6;

/// The id of a call, or a neighbour's word, in place: what is nowhere else need not be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Short {
    pub(super) fn new(text: &[u8]) -> Short {
        let length = text.len().min(LONGEST);
        let mut bytes = [0; LONGEST];
        bytes[..length].copy_from_slice(&text[..length]);
        Short {
            bytes,
            length: length as u8,
        }
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes[..usize::from(self.length)];
        f.write_str(&String::from_utf8_lossy(bytes))
    }
}

/// A function, as records know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionNumber(u32);

impl FunctionNumber {
    pub(super) fn nth(n: usize) -> FunctionNumber {
        // Nobody deploys four thousand million functions.
        FunctionNumber(u32::try_from(n).unwrap_or(u32::MAX))
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The local platform answered a client's call.
    RunHere,
    /// A neighbour answered a client's call.
    Forwarded,
    /// A client's call was refused, and nothing was executed.
    Refused,
    /// It failed after something may have been executed, or whoever brought it went away.
    Failed,
    /// The local platform answered a neighbour's call.
    RunForPeer,
    /// A neighbour's call was refused, and nothing was executed.
    RefusedToPeer,
}

impl Ending {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Ending::RunHere => "run_here",
            Ending::Forwarded => "forwarded",
            Ending::Refused => "refused",
            Ending::Failed => "failed",
            Ending::RunForPeer => "run_for_peer",
            Ending::RefusedToPeer => "refused_to_peer",
        }
    }
}

/// What is kept of every call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    pub(super) id: Short,
    pub(super) function: FunctionNumber,
    pub(super) arrived: Time,
    /// The neighbour that forwarded it; nothing for a client's call.
    pub(super) from: Option<NodeId>,
    /// Why it went where it went last; empty as long as nothing is decided.
    pub(super) reason: &'static str,
    pub(super) ending: Ending,
    pub(super) status: u16,
    /// Nothing as long as it has not ended.
    pub(super) took: Option<Duration>,
}

impl Brief {
    pub(super) fn new(
        id: &[u8],
        function: FunctionNumber,
        arrived: Time,
        from: Option<NodeId>,
    ) -> Brief {
        Brief {
            id: Short::new(id),
            function,
            arrived,
            from,
            reason: "",
            ending: Ending::Failed,
            status: 0,
            took: None,
        }
    }

    pub(super) fn ended(&mut self, ending: Ending, status: u16, took: Duration) {
        self.ending = ending;
        self.status = status;
        self.took = Some(took);
    }
}

/// All that is kept of one call.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) brief: Brief,
    /// What was done for it one after the other; none for a call that ran here at once.
    pub(super) steps: Vec<Step>,
    /// How neighbours stood when its steps were decided, one step after the other.
    pub(super) neighbours: Vec<Standing>,
}

/// What was decided once, and what came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) reason: &'static str,
    /// After the call's arrival.
    pub(super) began: Duration,
    /// How long it waited here for its turn, if it did until that came.
    pub(super) waited: Option<Duration>,
    pub(super) took: Duration,
    pub(super) came_to: CameTo,
    /// What was left here, before the call was counted.
    pub(super) here: Option<Headroom>,
    /// How many of the record's neighbours stood at its decision, after those of the steps before it.
    pub(super) stood: u8,
    /// How many more there were.
    pub(super) left_out: usize,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Run,
    Wait,
    Forward(NodeId),
    Refuse,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CameTo {
    /// It is not over yet, or whoever brought the call went away in its midst.
    Nothing,
    /// The call ended with it, as the record says.
    End,
    /// Refused, with nothing executed; by a neighbour with that word.
    Refused(Short),
    /// No connection could be made.
    Unreached,
    /// The queue dropped it.
    Dropped,
}
