//! Places that are set aside for neighbours to come, side by side in memory.
//!
//! A decision reads the counters of all candidates, and a look the health of all neighbours. Each is made when its neighbour is
//! first heard, and where many nodes are in one program, as in the simulator, they would be spread over as many pages.

use std::sync::Arc;

use crate::Health;

use super::Remote;

/// Places for counters and healths.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) remotes: Vec<Arc<Remote>>,
    healths: Vec<Arc<Health>>,
}

impl Places {
    /// For so many neighbours, and so many functions of all of them together.
    pub(super) fn set_aside(&mut self, neighbours: usize, functions: usize) {
        let nobody = Arc::<Health>::default();
        let remote = |_| Arc::new(Remote::blank(Arc::clone(&nobody)));
        self.remotes.extend((0..functions).map(remote));
        self.healths.extend((0..neighbours).map(|_| Arc::default()));
    }

    /// The health of somebody new.
    pub(super) fn health(&mut self) -> Arc<Health> {
        self.healths.pop().unwrap_or_default()
    }
}
