//! The health of the platform, and what it has in common with that of neighbours: when to check, and whom to tell.
//!
//! `protocol` decides what a failure means. Neighbours are checked by `peer`, on the channel that their calls take.

mod platform;
mod promise;

use std::time::Duration;

use dfaas_protocol::{HealthState, NodeId};
use rand::RngExt;

pub use platform::{PlatformHealth, watch_platform};
pub use promise::Sent;

/// The path of a check, at the platform and on the peer channel.
pub const PATH: &str = "/healthz";
/// How soon a check that failed is repeated, so that a failure by chance and one that lasts are soon told apart.
const REPEAT: Duration = Duration::from_millis(400);
/// Checks are spread by this share of their interval, so that nodes do not act in step.
const JITTER: f64 = 0.25;

/// How long to wait for the next check.
pub(crate) fn pause(interval: Duration, passed: bool, state: HealthState) -> Duration {
    let pause = if passed || state == HealthState::Ejected {
        interval
    } else {
        REPEAT
    };
    pause.mul_f64(rand::rng().random_range(1.0 - JITTER..1.0 + JITTER))
}

/// Tells operators what a neighbour's health came to.
pub fn tell(node: NodeId, change: Option<HealthState>) {
    match change {
        Some(HealthState::Ejected) => {
            tracing::warn!(%node, "a neighbour does not answer; no calls are sent there");
        }
        Some(HealthState::Probation) => {
            tracing::info!(%node, "a neighbour answers again; it is let in step by step");
        }
        Some(HealthState::Healthy) => tracing::info!(%node, "a neighbour is healthy again"),
        Some(HealthState::Suspected) => {
            tracing::info!(%node, "a neighbour is silent; calls go elsewhere, and others are asked of it");
        }
        None => {}
    }
}
