//! What an agent tells of itself: its log and its metrics.

pub mod latency;
pub mod logging;
pub mod metrics;
