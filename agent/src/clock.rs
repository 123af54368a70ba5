//! The one place that reads the clock for `protocol`.

use std::time::Instant;

use dfaas_protocol::Time;

/// Tells [`Time`] since the clock was made. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock {
            zero: Instant::now(),
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        Time::ZERO + self.zero.elapsed()
    }

    /// The time of a moment.
    pub fn at(&self, moment: Instant) -> Time {
        Time::ZERO + moment.saturating_duration_since(self.zero)
    }

    /// The moment of a time, for timers.
    pub fn instant(&self, time: Time) -> Instant {
        self.zero + time.since(Time::ZERO)
    }
}
