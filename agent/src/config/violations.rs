//! What is wrong with a file's values. All of it is collected, not only the first.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use dfaas_protocol::Slots;

use super::{ConfigError, address};

/// What is wrong so far: one sentence for each value.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    /// Nothing, or all the sentences.
    pub(super) fn none(self) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Invalid(self.0))
        }
    }

    pub(super) fn add(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    /// The value, or `stand_in` for one that cannot be used.
    pub(super) fn check<T>(&mut self, value: Result<T, String>, stand_in: T) -> T {
        value.unwrap_or_else(|sentence| {
            self.add(sentence);
            stand_in
        })
    }

    /// `IP:PORT`, or the default where there is none.
    pub(super) fn socket(
        &mut self,
        key: &str,
        text: Option<String>,
        default: SocketAddr,
    ) -> SocketAddr {
        match text {
            Some(text) => self.check(address::socket(key, &text), default),
            None => default,
        }
    }

    /// Milliseconds within a range, or the default where there are none.
    pub(super) fn millis(
        &mut self,
        key: &str,
        value: Option<u64>,
        range: &RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        let value = value.unwrap_or(default);
        if !range.contains(&value) {
            let (low, high) = (range.start(), range.end());
            self.add(format!(
                "{key}: {value} is out of range; give {low} to {high} milliseconds"
            ));
        }
        Duration::from_millis(value)
    }

    /// Slots, or the default where there are none.
    pub(super) fn slots(&mut self, key: &str, value: Option<u32>, default: Slots) -> Slots {
        match value.map(|value| Slots::new(value).ok_or(value)) {
            Some(Ok(slots)) => slots,
            Some(Err(value)) => {
                self.add(format!(
                    "{key}: {value} is out of range; give 1 to 1000000 calls at one time"
                ));
                default
            }
            None => default,
        }
    }
}
