//! Who decides: the strategies of the protocol, and a dispatcher to compare them with.

use std::fmt;
use std::str::FromStr;

use dfaas_protocol::strategy::StrategyName;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// What decides about calls in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A strategy of the protocol, on every node.
    Strategy(StrategyName),
    /// The rule of `headroom` with knowledge that no node has: before each decision it sees what is left at every
    /// candidate at that moment. Its calls take their time on the links as any others.
    Dispatcher,
}

const DISPATCHER: &str = "dispatcher";

impl Policy {
    /// The strategy whose plans the nodes make.
    pub const fn strategy(self) -> StrategyName {
        match self {
            Policy::Strategy(strategy) => strategy,
            Policy::Dispatcher => StrategyName::Headroom,
        }
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::Strategy(strategy) => strategy.as_str(),
            Policy::Dispatcher => DISPATCHER,
        }
    }

    /// All of them, the dispatcher last.
    pub fn all() -> impl Iterator<Item = Policy> {
        let strategies = StrategyName::ALL.into_iter().map(Policy::Strategy);
        strategies.chain([Policy::Dispatcher])
    }
}

/// A text that names neither a strategy nor the dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}; for comparison there is {DISPATCHER}")]
pub struct UnknownPolicy(String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Policy, UnknownPolicy> {
        if text == DISPATCHER {
            return Ok(Policy::Dispatcher);
        }
        let strategy = text.parse::<StrategyName>();
        strategy
            .map(Policy::Strategy)
            .map_err(|error| UnknownPolicy(error.to_string()))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
