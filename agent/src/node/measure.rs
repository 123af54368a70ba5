//! What a node measures of its functions from period to period.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_protocol::estimate::{DecayedMean, RateMeter};

use crate::admin::view::Calls;

/// For how long the time of a call counts in the mean service time.
const SERVICE_MEMORY: Duration = Duration::from_secs(5);

/// Measurements of one function of the local platform.
#[derive(Debug)]
pub(super) struct Measured {
    /// Calls a second that clients brought in the last period.
    pub(super) from_clients: f64,
    /// Calls a second that ended here in the last period, whoever brought them.
    pub(super) run: f64,
    /// Calls a second of clients that were refused in the last period.
    pub(super) refused: f64,
    /// Times of calls in seconds.
    service: DecayedMean,
    arrivals: RateMeter,
    runs: RateMeter,
    refusals: RateMeter,
    ended: (u64, Duration),
}

impl Measured {
    /// Nothing measured yet; those calls came before.
    pub(super) fn new(calls: &Calls, now: Time) -> Measured {
        Measured {
            from_clients: 0.0,
            run: 0.0,
            refused: 0.0,
            service: DecayedMean::new(SERVICE_MEMORY),
            arrivals: RateMeter::new(calls.arrived, now),
            runs: RateMeter::new(0, now),
            refusals: RateMeter::new(calls.refused, now),
            ended: (0, Duration::ZERO),
        }
    }

    /// Closes a period: those calls there were, and so many ended here that took so long in all, since the start.
    pub(super) fn close(&mut self, calls: &Calls, ended: (u64, Duration), now: Time) {
        self.from_clients = self.arrivals.read(calls.arrived, now);
        self.refused = self.refusals.read(calls.refused, now);
        self.run = self.runs.read(ended.0, now);
        let calls = ended.0.saturating_sub(self.ended.0);
        let busy = ended.1.saturating_sub(self.ended.1).as_secs_f64();
        self.service.add(busy, calls, now);
        self.ended = ended;
    }

    /// Mean time of a call of late, once one has ended.
    pub(super) fn service(&self) -> Option<Duration> {
        let mean = self.service.mean()?;
        Duration::try_from_secs_f64(mean).ok()
    }
}

/// Calls of one function that were run for one neighbour.
#[derive(Debug)]
pub(super) struct PeerCalls {
    /// Counted by the data path.
    pub(super) count: Arc<AtomicU64>,
    /// Calls a second in the last period.
    pub(super) rate: f64,
    meter: RateMeter,
}

impl PeerCalls {
    pub(super) fn new(now: Time) -> PeerCalls {
        PeerCalls {
            count: Arc::default(),
            rate: 0.0,
            meter: RateMeter::new(0, now),
        }
    }

    /// Closes a period.
    pub(super) fn close(&mut self, now: Time) {
        self.rate = self.meter.read(self.count.load(Relaxed), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_time_is_smoothed_and_kept_through_silence() {
        let at = |s| Time::ZERO + Duration::from_secs(s);
        let calls = |arrived, refused| Calls {
            arrived,
            refused,
            ..Calls::default()
        };
        let mut measured = Measured::new(&calls(0, 0), at(0));
        measured.close(&calls(12, 2), (10, Duration::from_secs(1)), at(1));
        assert_eq!(
            (measured.from_clients, measured.run, measured.refused),
            (12.0, 10.0, 2.0)
        );
        assert_eq!(measured.service(), Some(Duration::from_millis(100)));
        measured.close(&calls(12, 2), (10, Duration::from_secs(1)), at(2));
        assert_eq!(measured.from_clients, 0.0);
        assert_eq!(measured.service(), Some(Duration::from_millis(100)));
        measured.close(&calls(22, 2), (20, Duration::from_secs(3)), at(6));
        // Those of five seconds ago count by a factor e less.
        let e = std::f64::consts::E;
        let expected = (0.1 / e + 0.2) / (1.0 / e + 1.0);
        let service = measured.service().unwrap().as_secs_f64();
        assert!((service - expected).abs() < 1e-6, "{service}");
    }
}
