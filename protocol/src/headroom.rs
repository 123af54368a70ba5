//! Headroom: what is left of a capacity, signed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is left of a capacity: for slots, slots less running less waiting; for a rate, the tokens in its bucket less
/// the calls that wait for one. Negative where calls wait: a long queue is a negative number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    /// Calls that could start now; negative by the number that wait.
    pub free: i32,
    /// Of how many: slots, or the burst of a rate. Never zero in a valid message.
    pub size: u32,
}

/// A text that is no headroom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("headroom is written FREE/SIZE, such as -2/8")]
pub struct HeadroomError;

impl Headroom {
    /// Headroom as a share of the capacity: one when idle, zero when full, negative when calls wait.
    pub fn share(self) -> f32 {
        self.free as f32 / self.size.max(1) as f32
    }

    /// What one call takes of it, as a share of the capacity.
    pub fn place(self) -> f32 {
        1.0 / self.size.max(1) as f32
    }

    /// Whether there is no room left to wait either, where so many calls may.
    pub fn is_full(self, queue: u32) -> bool {
        i64::from(self.free) <= -i64::from(queue)
    }

    /// As it was before a call was counted.
    pub const fn one_more(self) -> Headroom {
        Headroom {
            free: self.free.saturating_add(1),
            size: self.size,
        }
    }

    /// The one of two in which less is free; the smaller share, if that is equal.
    pub(crate) fn min(self, other: Headroom) -> Headroom {
        let order = self.free.cmp(&other.free);
        if order.then(self.share().total_cmp(&other.share())).is_le() {
            self
        } else {
            other
        }
    }
}

impl fmt::Display for Headroom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.free, self.size)
    }
}

impl FromStr for Headroom {
    type Err = HeadroomError;

    fn from_str(text: &str) -> Result<Headroom, HeadroomError> {
        let (free, size) = text.split_once('/').ok_or(HeadroomError)?;
        let headroom = Headroom {
            free: free.parse().map_err(|_| HeadroomError)?,
            size: size.parse().map_err(|_| HeadroomError)?,
        };
        if headroom.size == 0 {
            return Err(HeadroomError);
        }
        Ok(headroom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_and_read() {
        let headroom = Headroom { free: -3, size: 8 };
        assert_eq!(headroom.to_string(), "-3/8");
        assert_eq!("-3/8".parse(), Ok(headroom));
        assert_eq!(headroom.share(), -0.375);
        for text in ["", "3", "3/0", "/8", "3/x", "99999999999/1"] {
            assert_eq!(text.parse::<Headroom>(), Err(HeadroomError), "{text}");
        }
    }
}
