//! How fast an embedded platform runs its functions.

use std::sync::atomic::{AtomicU64, Ordering};

/// The slowest and the fastest that it can be made.
const TIMES: (f64, f64) = (1e-6, 1e6);

/// How many times longer than configured functions take. A lab changes it while calls run; each call keeps what it began with.
#[derive(Debug)]
pub struct Pace(AtomicU64);

impl Default for Pace {
    fn default() -> Pace {
        Pace(AtomicU64::new(1.0_f64.to_bits()))
    }
}

impl Pace {
    /// Calls that begin from now on take so many times longer.
    pub fn slow(&self, times: f64) {
        let times = times.clamp(TIMES.0, TIMES.1);
        self.0.store(times.to_bits(), Ordering::Relaxed);
    }

    /// How many times longer calls take that begin now.
    pub fn times(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}
