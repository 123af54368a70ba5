//! A function at a neighbour, as the data path sees it.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};

use crate::Headroom;

/// The headroom that a neighbour last reported for one function, counted down by what was sent there since. It lives
/// as long as the neighbour offers the function, through every change of plan.
#[derive(Debug)]
pub struct Remote {
    free: AtomicI32,
    size: AtomicU32,
    reachable: AtomicBool,
}

impl Remote {
    /// A function whose neighbour reports that headroom.
    pub fn new(headroom: Headroom) -> Remote {
        Remote {
            free: AtomicI32::new(headroom.free),
            size: AtomicU32::new(headroom.size),
            reachable: AtomicBool::new(true),
        }
    }

    /// The neighbour reports its headroom anew, in an offer or with an answer. It was reached, then.
    pub fn report(&self, headroom: Headroom) {
        self.free.store(headroom.free, Relaxed);
        self.size.store(headroom.size, Relaxed);
        self.reachable.store(true, Relaxed);
    }

    /// Counts one call down that is about to be sent there.
    pub fn take_one(&self) {
        let _ = self
            .free
            .fetch_update(Relaxed, Relaxed, |free| Some(free.saturating_sub(1)));
    }

    /// No connection could be made: nothing is sent there until the neighbour reports again.
    pub fn unreachable(&self) {
        self.reachable.store(false, Relaxed);
    }

    /// What is left there as far as this node knows; nothing while the neighbour cannot be reached.
    pub fn headroom(&self) -> Option<Headroom> {
        self.reachable.load(Relaxed).then(|| Headroom {
            free: self.free.load(Relaxed),
            size: self.size.load(Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_down_until_the_neighbour_reports() {
        let remote = Remote::new(Headroom { free: 1, size: 4 });
        remote.take_one();
        remote.take_one();
        assert_eq!(remote.headroom(), Some(Headroom { free: -1, size: 4 }));
        remote.unreachable();
        assert_eq!(remote.headroom(), None);
        remote.report(Headroom { free: 4, size: 4 });
        assert_eq!(remote.headroom().unwrap().share(), 1.0);
    }
}
