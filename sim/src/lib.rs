//! Drives the protocol crate in virtual time, at the level of single calls: every decision is taken by the code that
//! the agent runs, every message passes through the wire's encoding, and all randomness comes from one seed.

#![forbid(unsafe_code)]

pub mod bound;
pub mod compare;
pub mod engine;
pub mod page;
pub mod policy;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod sweep;

use dfaas_protocol::wire::WireError;
use thiserror::Error;

/// Why a scenario could not be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The scenario cannot be drawn.
    #[error(transparent)]
    Scenario(#[from] scenario::ScenarioError),
    /// A node says what another does not take.
    #[error("a control message was refused, which is a fault of the protocol crate: {0}")]
    Wire(#[from] WireError),
}
