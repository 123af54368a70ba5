//! The figures of a run, as they are printed. Shares are of one; times are in milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Who decided.
    pub strategy: Policy,
    /// Virtual seconds for which clients brought calls.
    pub seconds: f64,
    /// Virtual seconds until the last call was answered.
    pub ended_s: f64,
    /// Events that were taken from the calendar.
    pub events: u64,
    /// All nodes together.
    pub totals: Totals,
    /// Each node.
    pub nodes: Vec<NodeFigures>,
    /// Each function.
    pub functions: Vec<FunctionFigures>,
    /// Over time.
    pub intervals: Vec<Interval>,
}

/// The figures of all nodes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Calls that clients brought.
    pub offered: u64,
    /// Calls that were run and answered.
    pub served: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// The same by the reason.
    pub refused_by: BTreeMap<String, u64>,
    /// Calls that were lost to a crash or a partition.
    pub lost: u64,
    /// Served of offered.
    pub served_share: f64,
    /// How often a call was sent to a neighbour.
    pub forwards: u64,
    /// How often a neighbour refused one.
    pub peer_refusals: u64,
    /// How often a neighbour could not be reached.
    pub unreached: u64,
    /// Forwards of calls that were offered.
    pub forwards_per_call: f64,
    /// Refused by a neighbour of what was sent to one.
    pub peer_refusal_share: f64,
    /// Links that a served call crossed on its way to where it ran, on average.
    pub hops: f64,
    /// How often a call waited for its turn.
    pub waited: u64,
    /// How long those waited, on average.
    pub wait_ms: f64,
    /// How often a call found its function asleep, so that an instance was started.
    pub cold_starts: u64,
    /// From the arrival of a served call to its answer: the mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// What 90 % keep to.
    pub p90_ms: f64,
    /// What 95 % keep to.
    pub p95_ms: f64,
    /// What 99 % keep to.
    pub p99_ms: f64,
    /// What 99.9 % keep to.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// How evenly nodes' clients were served: Jain's index of the served shares, from 1/n to 1.
    pub jain: f64,
    /// Control messages that were sent.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
    /// What all nodes drew.
    pub joules: f64,
}

/// The figures of one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeFigures {
    /// Its name.
    pub node: String,
    /// Calls that its clients brought.
    pub offered: u64,
    /// Those of them that were served, wherever.
    pub served: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Served of offered; 1 where nothing was offered.
    pub served_share: f64,
    /// Calls that ran here, its own and those of others.
    pub ran: u64,
    /// How often it sent a call to a neighbour.
    pub forwards: u64,
    /// How often it refused a call of a neighbour.
    pub refused_peers: u64,
    /// From arrival to answer of the served calls of its clients: the mean.
    pub mean_ms: f64,
    /// The median; nothing in runs of more than 1000 nodes.
    pub p50_ms: Option<f64>,
    /// What 95 % keep to, likewise.
    pub p95_ms: Option<f64>,
    /// What 99 % keep to, likewise.
    pub p99_ms: Option<f64>,
    /// How much of its slots or cores was busy, on average.
    pub busy_share: f64,
    /// Control messages that it sent.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
    /// What it drew.
    pub joules: f64,
}

/// The figures of one function on all nodes.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionFigures {
    /// Its name.
    pub function: String,
    /// Calls that clients brought.
    pub offered: u64,
    /// Those of them that were served.
    pub served: u64,
    /// What 95 % of those that were served keep to.
    pub p95_ms: f64,
}

/// The figures of all nodes in an interval of time.
#[derive(Clone, Debug, Serialize)]
pub struct Interval {
    /// When it begins, in virtual seconds.
    pub from_s: f64,
    /// Calls that clients brought in it.
    pub offered: u64,
    /// Calls that were answered in it.
    pub served: u64,
    /// Calls that were refused in it.
    pub refused: u64,
    /// Calls that were lost in it.
    pub lost: u64,
    /// How often a call was sent to a neighbour.
    pub forwards: u64,
    /// How often a neighbour refused one.
    pub peer_refusals: u64,
    /// The median time to an answer of those that were answered in it.
    pub p50_ms: f64,
    /// What 95 % keep to.
    pub p95_ms: f64,
    /// What 99 % keep to.
    pub p99_ms: f64,
}

/// A share; zero where there is nothing to take one of.
pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
