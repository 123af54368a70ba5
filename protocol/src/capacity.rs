//! What a function can take on a node.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// The label that declares a rate, as the reference has it: calls per second.
pub const MAXRATE_LABEL: &str = "dfaas.maxrate";
/// The label that declares slots: calls at one time.
pub const CONCURRENCY_LABEL: &str = "dfaas.concurrency";

/// The most slots that a function may have; keeps headroom far from the limits of its integers.
pub(crate) const MAX_SLOTS: u32 = 1_000_000;
/// The highest rate that a function may have, in calls per second.
const MAX_RATE: f64 = 1_000_000.0;
/// The lowest rate above zero, in calls per second: about one a day.
const MIN_RATE: f64 = 1e-5;

/// How many calls a function runs at one time; at least one, at most a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Slots(NonZeroU32);

impl Slots {
    /// One.
    pub const ONE: Slots = Slots(NonZeroU32::MIN);

    /// That many slots, or nothing if there are none or more than a million.
    pub const fn new(slots: u32) -> Option<Slots> {
        match NonZeroU32::new(slots) {
            Some(n) if slots <= MAX_SLOTS => Some(Slots(n)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Slots, D::Error> {
        Slots::new(u32::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("slots are a number from 1 to 1000000"))
    }
}

/// A rate in calls per second: finite, from 0.00001 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct CallRate(f64);

impl CallRate {
    /// The lowest rate that there is.
    pub const LEAST: CallRate = CallRate(MIN_RATE);

    /// That many calls per second, or nothing if that is not a number in the range.
    pub fn new(per_second: f64) -> Option<CallRate> {
        (MIN_RATE..=MAX_RATE)
            .contains(&per_second)
            .then_some(CallRate(per_second))
    }

    /// The highest rate at most that, or nothing if that is below the range or no number.
    pub fn up_to(per_second: f64) -> Option<CallRate> {
        CallRate::new(per_second.min(MAX_RATE)).filter(|_| !per_second.is_nan())
    }

    /// Calls per second.
    pub const fn per_second(self) -> f64 {
        self.0
    }

    /// The time between two calls at this rate.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl<'de> Deserialize<'de> for CallRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CallRate, D::Error> {
        CallRate::new(f64::deserialize(deserializer)?).ok_or_else(|| {
            serde::de::Error::custom("a rate is a number from 0.00001 to 1000000 calls a second")
        })
    }
}

/// What a function can take on a node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Capacity {
    /// So many calls at one time.
    Slots(Slots),
    /// So many calls a second, however long each takes.
    Rate(CallRate),
}

/// A capacity label with a value that cannot be used. The function's slots are learned then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("label {label}={value} is not usable: give {expected}")]
pub struct LabelError {
    label: &'static str,
    value: String,
    expected: &'static str,
}

impl Capacity {
    /// The capacity that a function's labels declare; nothing without either label, where it has to be learned.
    /// [`CONCURRENCY_LABEL`] goes before [`MAXRATE_LABEL`], as it says more.
    ///
    /// # Errors
    /// If the label's value is unusable; the function is then taken for one that declares nothing.
    pub fn declared(labels: &BTreeMap<String, String>) -> Result<Option<Capacity>, LabelError> {
        let unusable = |label, value: &String, expected| LabelError {
            label,
            value: value.clone(),
            expected,
        };
        if let Some(value) = labels.get(CONCURRENCY_LABEL) {
            return match value.trim().parse().ok().and_then(Slots::new) {
                Some(slots) => Ok(Some(Capacity::Slots(slots))),
                None => Err(unusable(
                    CONCURRENCY_LABEL,
                    value,
                    "a whole number of calls from 1 to 1000000",
                )),
            };
        }
        if let Some(value) = labels.get(MAXRATE_LABEL) {
            return match value.trim().parse().ok().and_then(CallRate::new) {
                Some(rate) => Ok(Some(Capacity::Rate(rate))),
                None => Err(unusable(
                    MAXRATE_LABEL,
                    value,
                    "calls a second, from 0.00001 to 1000000",
                )),
            };
        }
        Ok(None)
    }

    /// Calls a second that this capacity sustains when a call takes `service` on average.
    pub fn sustained_rate(self, service: Duration) -> f64 {
        match self {
            Capacity::Rate(rate) => rate.per_second(),
            Capacity::Slots(slots) => f64::from(slots.get()) / service.as_secs_f64().max(1e-6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn slots(n: u32) -> Capacity {
        Capacity::Slots(Slots::new(n).unwrap())
    }

    #[test]
    fn labels_declare_slots_or_a_rate() {
        assert_eq!(Capacity::declared(&labels(&[])), Ok(None));
        let capacity = Capacity::declared(&labels(&[("dfaas.maxrate", "100")]));
        let rate = Capacity::Rate(CallRate::new(100.0).unwrap());
        assert_eq!(capacity, Ok(Some(rate)));
        let both = labels(&[("dfaas.maxrate", "100"), ("dfaas.concurrency", "7")]);
        assert_eq!(Capacity::declared(&both), Ok(Some(slots(7))));
    }

    #[test]
    fn an_unusable_label_is_reported() {
        for value in ["0", "-1", "NaN", "inf", "many", ""] {
            let error = Capacity::declared(&labels(&[("dfaas.maxrate", value)])).unwrap_err();
            assert!(error.to_string().contains("dfaas.maxrate"), "{value}");
        }
    }

    #[test]
    fn a_rate_up_to_a_number_is_in_the_range() {
        let up_to = |n| CallRate::up_to(n).map(CallRate::per_second);
        assert_eq!(up_to(2.5), Some(2.5));
        assert_eq!(up_to(f64::INFINITY), Some(1_000_000.0));
        for number in [f64::NAN, 0.0, 1e-6, -1.0] {
            assert_eq!(up_to(number), None, "{number}");
        }
    }

    #[test]
    fn slots_sustain_a_rate_that_depends_on_the_service_time() {
        assert_eq!(slots(4).sustained_rate(Duration::from_millis(100)), 40.0);
    }
}
