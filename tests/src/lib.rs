//! What end-to-end tests and benchmarks need: real agents in processes of their own, and clients for them.

#![forbid(unsafe_code)]

pub mod adversary;
pub mod agent;
pub mod call;
pub mod client;
pub mod federation;
pub mod fuzzed;
pub mod gateway;
pub mod judge;
pub mod load;
pub mod message;
pub mod openmetrics;
pub mod scripted;
pub mod wait;

pub use agent::{Agent, Site};
pub use federation::Federation;
pub use gateway::Gateway;
