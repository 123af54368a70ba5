//! The worlds of the reference's two simulators, minute by minute.
//!
//! Both know seven minutes of rates on a graph of nodes, decide once a minute and node, send each request one hop at
//! most, and know neither queues nor time on the way. World A ([`instance_a`], [`step_a`]) has functions with a capacity of their own and rates
//! from traces; in world B ([`instance_b`], [`step_b`]) trained models say when a node is overloaded. Their rules are described from the
//! outside; what was a fault there (requests that vanish by rounding) is mended here unless asked for.

pub mod capacity_law;
pub mod draw_a;
mod error;
pub mod import;
pub mod indices;
pub mod instance_a;
pub mod instance_b;
pub mod models;
pub mod step_a;
pub mod step_b;
mod strategies_b;

pub use error::ImportError;
