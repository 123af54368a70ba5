//! What a member may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One thing that a member may do beside hearing and being heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Its calls are run by other members.
    Call,
    /// Calls of other members are brought to it.
    Serve,
}

impl Right {
    const ALL: [Right; 2] = [Right::Call, Right::Serve];

    const fn bit(self) -> u8 {
        match self {
            Right::Call => 1,
            Right::Serve => 2,
        }
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::Call => "call",
            Right::Serve => "serve",
        }
    }
}

/// A set of rights, which may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Rights(u8);

/// Why something is no set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("rights are `call`, `serve`, both with a comma between them, or `none`")]
pub struct RightsError;

impl Rights {
    /// No right.
    pub const NONE: Rights = Rights(0);
    /// Every right that there is.
    pub const ALL: Rights = Rights::NONE.and(Right::Call).and(Right::Serve);

    /// These and one more.
    pub const fn and(self, right: Right) -> Rights {
        Rights(self.0 | right.bit())
    }

    /// Whether one of them is that.
    pub const fn include(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }
}

impl TryFrom<u8> for Rights {
    type Error = RightsError;

    fn try_from(bits: u8) -> Result<Rights, RightsError> {
        match bits & !Rights::ALL.0 {
            0 => Ok(Rights(bits)),
            _ => Err(RightsError),
        }
    }
}

impl From<Rights> for u8 {
    fn from(rights: Rights) -> u8 {
        rights.0
    }
}

impl FromStr for Rights {
    type Err = RightsError;

    fn from_str(text: &str) -> Result<Rights, RightsError> {
        if text == "none" {
            return Ok(Rights::NONE);
        }
        text.split(',').try_fold(Rights::NONE, |rights, word| {
            let found = Right::ALL.into_iter().find(|r| r.as_str() == word);
            found.map(|right| rights.and(right)).ok_or(RightsError)
        })
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Right::ALL.into_iter().filter(|right| self.include(*right));
        let words: Vec<&str> = words.map(Right::as_str).collect();
        match words.as_slice() {
            [] => f.write_str("none"),
            words => f.write_str(&words.join(",")),
        }
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_read_as_it_prints() {
        for bits in 0..=u8::MAX {
            match Rights::try_from(bits) {
                Ok(rights) => assert_eq!(rights.to_string().parse(), Ok(rights)),
                Err(RightsError) => assert!(bits > 3),
            }
        }
        assert_eq!("serve,call".parse(), Ok(Rights::ALL));
        for other in ["", "Call", "call,", "call serve", "none,call", "rule"] {
            assert_eq!(other.parse::<Rights>(), Err(RightsError));
        }
    }
}
