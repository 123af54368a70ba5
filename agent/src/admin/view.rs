//! What the admin address shows, as JSON. Field names are a contract with scripts: add, do not rename.

mod calls;
mod federation;

use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{HealthState, NodeId};
use serde::{Deserialize, Serialize};

pub use calls::{CallExplanation, CandidateExplanation, Count, Decisions, Left, StepExplanation};
pub use federation::{Federation, LetsIn, Member, Revoked, SignedRevocation};

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Who this node is.
    pub node_id: NodeId,
    /// The release that it runs.
    pub version: String,
    /// The strategy at work.
    pub strategy: StrategyName,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Whether it drains.
    pub draining: bool,
    /// How often a task of the agent was started anew after a panic.
    pub task_restarts: u64,
    /// Where it listens.
    pub addresses: Addresses,
    /// How many neighbours it hears.
    pub neighbours: usize,
    /// Whether the platform answers.
    pub platform_up: bool,
    /// Its health: healthy, ejected (no call is sent there) or probation (some are).
    pub platform_health: HealthState,
    /// How many calls all functions run at one time, where they share that (`node.slots`).
    #[serde(default)]
    pub node_slots: Option<u32>,
    /// Of these: how many are free for a call that comes now.
    #[serde(default)]
    pub node_slots_free: Option<u32>,
    /// Calls that wait at the functions that share them.
    #[serde(default)]
    pub node_slots_waiting: Option<u32>,
    /// Calls since the start, over all functions.
    pub calls: Calls,
    /// Its functions, and those that only neighbours have.
    pub functions: Vec<FunctionStatus>,
}

/// Where a node listens, with the ports that it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// For clients, `HOST:PORT`.
    pub ingress: String,
    /// For forwarded calls, `HOST:PORT`; none where the node stands alone.
    pub peer: Option<String>,
    /// For operators, `HOST:PORT`.
    pub admin: String,
    /// For the overlay, as multiaddresses that end in `/p2p/NODE`.
    pub overlay: Vec<String>,
    /// The platform's gateway, as a URL.
    pub platform: String,
}

/// Calls counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Brought by clients.
    pub arrived: u64,
    /// Of those: answered by the local platform.
    pub run_here: u64,
    /// Of those: answered by a neighbour.
    pub forwarded: u64,
    /// Of those: refused with 503.
    pub refused: u64,
    /// Of those: failed after something may have been executed, or abandoned by the client.
    pub failed: u64,
    /// Brought by neighbours and answered by the local platform.
    pub run_for_peers: u64,
    /// Brought by neighbours and refused.
    pub refused_to_peers: u64,
    /// Forwards that a neighbour refused, or to which no connection could be made.
    pub forwards_refused: u64,
}

/// A function as a node sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// `name.namespace`.
    pub name: String,
    /// Whether the local platform has it.
    pub here: bool,
    /// Slots, where its capacity is slots.
    pub slots: Option<u32>,
    /// Whether these are learned; the gate may have one more or less for a moment, to learn.
    #[serde(default)]
    pub learned: bool,
    /// Calls a second, where its capacity is a rate.
    pub rate: Option<f64>,
    /// Its headroom here.
    pub free: Option<i32>,
    /// Of how many.
    pub size: Option<u32>,
    /// Mean time of a call here, in milliseconds.
    pub service_ms: Option<f64>,
    /// How many neighbours offer it.
    pub neighbours: usize,
    /// Its calls since the start.
    pub calls: Calls,
}

/// The answer to `GET /v1/peers`: one for each neighbour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Who it is.
    pub node_id: NodeId,
    /// Where it takes forwarded calls.
    pub address: String,
    /// The round trip to it, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Milliseconds since it was last heard.
    pub heard_ms_ago: f64,
    /// Its health on the peer channel: healthy, ejected (no call is sent there), probation (some are) or suspected (only those
    /// are that can go nowhere else).
    pub health: HealthState,
    /// What it offers.
    pub functions: Vec<PeerFunction>,
}

/// A function at a neighbour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerFunction {
    /// `name.namespace`.
    pub name: String,
    /// Headroom as last reported, less what was sent since; none while it cannot be reached.
    pub free: Option<i32>,
    /// Of how many.
    pub size: Option<u32>,
    /// Mean time of a call there, in milliseconds.
    pub service_ms: Option<f64>,
    /// How far its word for the function is taken, from 0 to 1: the share of calls for which it is considered. It falls with
    /// offers that prove false.
    #[serde(default = "full_standing")]
    pub standing: f32,
}

const fn full_standing() -> f32 {
    1.0
}

/// The body of `PUT /v1/strategy`, and its answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrategyChoice {
    /// Which strategy.
    pub strategy: StrategyName,
}

/// How to end a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How long clients' calls are still taken, in milliseconds; as it is configured if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_ms: Option<u64>,
}

/// The body of `PUT /v1/cordon`, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cordon {
    /// Whether calls of neighbours are refused.
    pub cordoned: bool,
}

impl std::iter::Sum for Calls {
    fn sum<I: Iterator<Item = Calls>>(calls: I) -> Calls {
        calls.fold(Calls::default(), |a, b| Calls {
            arrived: a.arrived + b.arrived,
            run_here: a.run_here + b.run_here,
            forwarded: a.forwarded + b.forwarded,
            refused: a.refused + b.refused,
            failed: a.failed + b.failed,
            run_for_peers: a.run_for_peers + b.run_for_peers,
            refused_to_peers: a.refused_to_peers + b.refused_to_peers,
            forwards_refused: a.forwards_refused + b.forwards_refused,
        })
    }
}
