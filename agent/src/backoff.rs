//! Growing pauses between attempts.

use std::time::Duration;

use rand::RngExt;

/// Pauses that double from a first to a longest one, each with a jitter of a quarter either way.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff {
            first,
            longest,
            next: first,
        }
    }

    /// The pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(rand::rng().random_range(0.75..1.25))
    }

    /// An attempt succeeded: begin with the first pause again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        for expected in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let pause = backoff.pause().as_secs_f64();
            assert!((expected * 0.75..expected * 1.25).contains(&pause));
        }
        backoff.reset();
        assert!(backoff.pause() < Duration::from_millis(626));
    }
}
