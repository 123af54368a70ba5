//! What neighbours ask each other of one that one of them does not hear.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// When the sender last had a sign of life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Of whom.
    pub node: NodeId,
    /// How many milliseconds ago; nothing where it is no neighbour of the sender.
    pub silent_ms: Option<u32>,
}

impl Sighting {
    /// A sign of life so long ago.
    pub fn new(node: NodeId, silent: Option<Duration>) -> Sighting {
        let millis = |silent: Duration| u32::try_from(silent.as_millis()).unwrap_or(u32::MAX);
        Sighting {
            node,
            silent_ms: silent.map(millis),
        }
    }

    /// How long ago it was.
    pub fn silent(&self) -> Option<Duration> {
        self.silent_ms
            .map(|millis| Duration::from_millis(u64::from(millis)))
    }
}
