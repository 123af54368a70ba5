//! What an agent tells of itself: its logs and its metrics.

pub mod access;
pub mod latency;
pub mod logging;
pub mod machine;
pub mod members;
pub mod metrics;
pub mod turned_away;
