//! A rate from a counter that only grows.

use crate::Time;

/// Calls a second between two readings of a counter: a window over the whole period, so that nothing that arrived is
/// left out of the estimate.
#[derive(Clone, Copy, Debug)]
pub struct RateMeter {
    count: u64,
    at: Time,
    rate: f64,
}

impl RateMeter {
    /// The shortest window, in seconds; a reading sooner than that returns the rate known so far.
    const SHORTEST: f64 = 0.1;

    /// A meter whose window begins at `now` with the counter at `count`.
    pub fn new(count: u64, now: Time) -> RateMeter {
        RateMeter {
            count,
            at: now,
            rate: 0.0,
        }
    }

    /// Closes the window and returns its rate in calls per second. A counter that went back, because its owner began
    /// anew, begins a new window.
    pub fn read(&mut self, count: u64, now: Time) -> f64 {
        let seconds = now.since(self.at).as_secs_f64();
        if seconds < Self::SHORTEST {
            return self.rate;
        }
        self.rate = count.saturating_sub(self.count) as f64 / seconds;
        self.count = count;
        self.at = now;
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counts_the_whole_window() {
        let mut meter = RateMeter::new(5, Time::ZERO);
        let now = Time::ZERO + Duration::from_secs(2);
        assert_eq!(meter.read(225, now), 110.0);
        // Too soon: the known rate.
        assert_eq!(meter.read(226, now + Duration::from_millis(1)), 110.0);
        // The counter began anew.
        assert_eq!(meter.read(0, now + Duration::from_secs(1)), 0.0);
    }
}
