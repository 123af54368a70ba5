//! What two dfaas nodes must agree on, and every decision that a node takes.
//!
//! This crate is pure: it opens no socket, reads no clock, spawns no task and has no randomness of its own. Time
//! ([`Time`]) and randomness come in as arguments; decisions and messages go out as values. The agent and the simulator
//! drive the very same code, and any decision can be replayed from its inputs.
//!
//! One noun and one verb carry it. The noun is the [`offer`]: what a node will take, per function. The verb is
//! [`deliver`](delivery): for one call, run it here, wait here, forward it to a neighbour, or refuse it with a reason.

#![forbid(unsafe_code)]

pub mod allowance;
pub mod capacity;
pub mod claims;
pub mod codec;
pub mod delivery;
pub mod estimate;
pub mod function;
pub mod gate;
pub mod headroom;
pub mod health;
pub mod id;
pub mod labels;
pub mod membership;
pub mod neighbours;
pub mod node_slots;
pub mod offer;
pub mod policy;
pub mod queue;
pub mod route;
pub mod sighting;
pub mod sorted;
pub mod standing;
pub mod strategy;
pub mod time;
pub mod trade;
pub mod wire;

pub use capacity::{CallRate, Capacity, Slots};
pub use claims::ClaimLimits;
pub use function::FunctionName;
pub use headroom::Headroom;
pub use health::{Health, HealthLimits, HealthState};
pub use id::NodeId;
pub use labels::NodeLabels;
pub use sorted::Sorted;
pub use time::Time;
