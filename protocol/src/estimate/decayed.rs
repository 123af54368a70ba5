//! A mean that forgets.

use std::time::Duration;

use crate::Time;

/// A mean in which what was added counts less the longer ago that was: by a factor e after each `memory`. Unlike a mean that is
/// smoothed from reading to reading, it depends neither on how often it is read nor on how few calls a period had.
#[derive(Clone, Copy, Debug)]
pub struct DecayedMean {
    memory: Duration,
    sum: f64,
    weight: f64,
    at: Time,
}

impl DecayedMean {
    /// Nothing added yet.
    pub const fn new(memory: Duration) -> DecayedMean {
        DecayedMean {
            memory,
            sum: 0.0,
            weight: 0.0,
            at: Time::ZERO,
        }
    }

    /// Adds `count` values that are `sum` together. What comes out of order, from before the last addition, is taken for one at
    /// that time; what is no finite number is left out.
    pub fn add(&mut self, sum: f64, count: u64, now: Time) {
        if count == 0 || !sum.is_finite() {
            return;
        }
        let kept = self.kept(now);
        self.sum = self.sum * kept + sum;
        self.weight = self.weight * kept + count as f64;
        self.at = self.at.max(now);
    }

    /// The mean; nothing before the first value.
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// How many values it stands for at a time, with those that are half forgotten as halves.
    pub fn weight(&self, now: Time) -> f64 {
        self.weight * self.kept(now)
    }

    fn kept(&self, now: Time) -> f64 {
        let passed = now.since(self.at).as_secs_f64();
        // A mean that was not fed for ages still has a weight to divide by.
        (-passed / self.memory.as_secs_f64().max(1e-9))
            .exp()
            .max(1e-12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut mean = DecayedMean::new(Duration::from_secs(10));
        assert_eq!(mean.mean(), None);
        mean.add(10.0, 10, at(100));
        assert_eq!(mean.mean(), Some(1.0));
        mean.add(30.0, 10, at(110));
        // 10/e at one and 10 at three.
        let e = std::f64::consts::E;
        let expected = (10.0 / e + 30.0) / (10.0 / e + 10.0);
        assert!((mean.mean().unwrap() - expected).abs() < 1e-12);
        let weight = mean.weight(at(120));
        assert!((weight - (10.0 / e + 10.0) / e).abs() < 1e-9);
        assert_eq!(mean.weight(at(120)), weight, "a look changes nothing");
    }

    #[test]
    fn what_comes_out_of_order_or_is_no_number_does_no_harm() {
        let mut mean = DecayedMean::new(Duration::from_secs(10));
        mean.add(1.0, 1, at(50));
        mean.add(3.0, 1, at(20));
        assert_eq!(mean.mean(), Some(2.0));
        mean.add(f64::NAN, 1, at(60));
        mean.add(f64::INFINITY, 1, at(60));
        mean.add(5.0, 0, at(60));
        assert_eq!(mean.mean(), Some(2.0));
        mean.add(7.0, 1, at(100_000_000));
        assert!((mean.mean().unwrap() - 7.0).abs() < 1e-6);
    }
}
