//! Whether a platform is still the one that was learned.

use super::levels::FEWEST;

/// The platform is not the same any more when the calls of late are that unlikely, as a log-likelihood.
const CHANGED: f64 = 20.0;
/// The calls of late: about so many.
const OF_LATE: f64 = 150.0;

/// The calls of late, beside what was to be expected of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    calls: f64,
    /// Of each call its time as a multiple of what was expected.
    ratio: f64,
}

impl Late {
    /// So many calls have ended; the sum of their times, each as a multiple of what was expected.
    pub(super) fn add(&mut self, calls: f64, ratio: f64) {
        self.calls += calls;
        self.ratio += ratio;
    }

    /// Whether they are too unlikely for the platform to be the same. Those beyond [`OF_LATE`] are forgotten.
    pub(super) fn tell_of_a_change(&mut self) -> bool {
        if self.calls > OF_LATE {
            let kept = OF_LATE / self.calls;
            self.calls *= kept;
            self.ratio *= kept;
        }
        if self.calls <= FEWEST {
            return false;
        }
        let r = self.ratio / self.calls;
        self.calls * (r - 1.0 - r.ln()) > CHANGED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_take_far_longer_or_far_less_tell_of_a_change() {
        for (ratio, changed) in [
            (1.0, false),
            (1.2, false),
            (0.8, false),
            (3.0, true),
            (0.2, true),
        ] {
            let mut late = Late::default();
            for _ in 0..100 {
                late.add(1.0, ratio);
            }
            assert_eq!(late.tell_of_a_change(), changed, "{ratio}");
        }
        let mut few = Late::default();
        few.add(1.0, 100.0);
        assert!(!few.tell_of_a_change());
    }
}
