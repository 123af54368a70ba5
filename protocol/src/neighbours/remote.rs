//! A function at a neighbour, as the data path sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

use crate::{Headroom, Health, HealthState};

/// The headroom that a neighbour last reported for one function, counted down by what was sent there since. It lives
/// as long as the neighbour offers the function, through every change of plan.
#[derive(Debug)]
pub struct Remote {
    free: AtomicI32,
    size: AtomicU32,
    health: Arc<Health>,
}

impl Remote {
    /// A function whose neighbour reports that headroom, and whose health all its functions share.
    pub fn new(headroom: Headroom, health: Arc<Health>) -> Remote {
        Remote {
            free: AtomicI32::new(headroom.free),
            size: AtomicU32::new(headroom.size),
            health,
        }
    }

    /// The neighbour reports its headroom anew, in an offer or with an answer.
    pub fn report(&self, headroom: Headroom) {
        self.free.store(headroom.free, Relaxed);
        self.size.store(headroom.size, Relaxed);
    }

    /// Counts one call down that is about to be sent there.
    pub fn take_one(&self) {
        let _ = self
            .free
            .fetch_update(Relaxed, Relaxed, |free| Some(free.saturating_sub(1)));
    }

    /// The neighbour's health.
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// What is left there for this call as far as this node knows; nothing if it may not be sent there. On
    /// [probation](HealthState::Probation) each question counts as a call.
    pub fn headroom(&self) -> Option<Headroom> {
        self.health.admits().then(|| self.reported())
    }

    /// What is left there for a call that has nowhere else to go; nothing while the neighbour is ejected.
    pub fn last_resort(&self) -> Option<Headroom> {
        (self.health.state() != HealthState::Ejected).then(|| self.reported())
    }

    fn reported(&self) -> Headroom {
        Headroom {
            free: self.free.load(Relaxed),
            size: self.size.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Time;

    #[test]
    fn counts_down_until_the_neighbour_reports() {
        let remote = Remote::new(Headroom { free: 1, size: 4 }, Arc::default());
        remote.take_one();
        remote.take_one();
        assert_eq!(remote.headroom(), Some(Headroom { free: -1, size: 4 }));
        remote.report(Headroom { free: 4, size: 4 });
        assert_eq!(remote.headroom().unwrap().share(), 1.0);
    }

    #[test]
    fn a_report_does_not_let_in_a_neighbour_that_is_ejected() {
        let health = Arc::new(Health::default());
        let idle = Headroom { free: 4, size: 4 };
        let (a, b) = (
            Remote::new(idle, Arc::clone(&health)),
            Remote::new(idle, Arc::clone(&health)),
        );
        (0..3).for_each(|_| {
            assert_ne!(
                health.call_failed(Time::ZERO, Time::ZERO),
                Some(HealthState::Healthy)
            )
        });
        a.report(idle);
        assert_eq!((a.headroom(), b.headroom()), (None, None));
        assert_eq!(a.last_resort(), None);
        let _ = health.check_passed(Time::ZERO + Duration::from_secs(1));
        assert_eq!(a.headroom(), Some(idle), "the trial call");
        assert_eq!(b.headroom(), None);
        assert_eq!(b.last_resort(), Some(idle));
    }
}
