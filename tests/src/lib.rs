//! What end-to-end tests and benchmarks need: real agents in processes of their own, and clients for them.

pub mod agent;
pub mod client;
pub mod load;
pub mod openmetrics;
pub mod wait;

pub use agent::{Agent, Site};
