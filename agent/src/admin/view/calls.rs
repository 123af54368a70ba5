//! What is told of single calls.

use dfaas_protocol::NodeId;
use serde::{Deserialize, Serialize};

/// One of the calls in the answer to `GET /v1/calls/{id}`, the last one first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallExplanation {
    /// Its id, `X-Call-Id`; cut after 64 bytes.
    pub call_id: String,
    /// Its function, `name.namespace`.
    pub function: String,
    /// The neighbour that forwarded it here; none for a client's call.
    pub from: Option<NodeId>,
    /// Milliseconds since it arrived.
    pub arrived_ms_ago: f64,
    /// How it ended: run_here, forwarded, refused or failed for a client's call; run_for_peer, refused_to_peer or
    /// failed for a neighbour's.
    pub outcome: String,
    /// The status of its answer; 499 if whoever brought it went away before.
    pub status: u16,
    /// Why it went where it ended.
    pub reason: String,
    /// Who ran it; none if nobody did, or nobody knows.
    pub ran_at: Option<NodeId>,
    /// From its arrival to the head of its answer, in milliseconds.
    pub took_ms: f64,
    /// What was done for it, one after the other.
    pub steps: Vec<StepExplanation>,
}

/// What was decided for a call at one time, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepExplanation {
    /// run, wait, forward or refuse.
    pub what: String,
    /// Where: this node or a neighbour; none for a refusal.
    pub node: Option<NodeId>,
    /// Why.
    pub reason: String,
    /// After the call's arrival, in milliseconds.
    pub after_ms: f64,
    /// How long it waited for its turn, in milliseconds, if it did and that came.
    pub waited_ms: Option<f64>,
    /// How long the step took, waiting included, in milliseconds.
    pub took_ms: f64,
    /// What came of it: answered, refused, unreached, dropped (from the queue), failed, or unfinished when whoever brought
    /// the call went away.
    pub came_to: String,
    /// The word with which a neighbour refused it.
    pub said: Option<String>,
    /// What was left here; none if the function is not here, or for a call that ran at once.
    pub here: Option<Left>,
    /// How the neighbours that have the function stood; none for a call that ran at once.
    pub candidates: Vec<CandidateExplanation>,
    /// How many more there were.
    pub candidates_left_out: usize,
}

/// What is left of a capacity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Calls that could start; negative by the number that wait.
    pub free: i32,
    /// Of how many.
    pub size: u32,
    /// Free over size: what `headroom` compares.
    pub share: f32,
}

/// How a neighbour that has the function stood for a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateExplanation {
    /// Who.
    pub node_id: NodeId,
    /// chosen; or tried (before), ejected, resting (after a refusal), no-room, probation; cordoned, local, region or
    /// label where the function's policy or the neighbour's cordon keeps calls from it; open if nothing spoke against
    /// it but what the strategy weighs.
    pub verdict: String,
    /// What was left there as far as this node knew; none where policy keeps calls from it.
    pub left: Option<Left>,
    /// The round trip to it, in milliseconds, once one was measured.
    pub round_trip_ms: Option<f64>,
}

/// The answer to `GET /v1/functions/{name}/decisions`: sums over those of the last calls that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// `name.namespace`.
    pub function: String,
    /// How many calls are kept.
    pub calls: u64,
    /// Milliseconds since the oldest of them arrived.
    pub oldest_ms_ago: f64,
    /// By the reason for which they went where they ended, the most frequent first.
    pub by_reason: Vec<Count>,
    /// By how they ended.
    pub by_outcome: Vec<Count>,
    /// By who ran them: a node's id, or `none`.
    pub by_target: Vec<Count>,
    /// Forwards that came to nothing, by what the neighbour said, or `unreached`.
    pub by_refusal: Vec<Count>,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Of what.
    pub of: String,
    /// How many.
    pub calls: u64,
}
