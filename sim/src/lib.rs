//! Drives the protocol crate in virtual time, at the level of single calls: every decision is taken by the code that
//! the agent runs, every message passes through the wire's encoding, and all randomness comes from one seed.

pub mod bound;
mod event;
mod node;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod world;
