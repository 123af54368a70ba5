//! The names of the strategies, by which users, the configuration and scripts select them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    AllLocal, Auction, Empirical, Equal, External, HeadroomFirst, LatencyThreshold,
    LeastConnections, Nearest, NodeMargin, PowerOfN, PowerSaving, Random, Recalc, RoundRobin,
    Settings, StaticShare, Strategy, TimeWeighted,
};

/// The strategies, by the names that a user gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StrategyName {
    /// The neighbour with the largest share of its capacity left.
    #[default]
    Headroom,
    /// The reference's rates per peer.
    Recalc,
    /// The reference's fixed shares.
    Static,
    /// No forwarding.
    AllLocal,
    /// The reference's random shares.
    Random,
    /// The reference's equal shares among those that are near enough.
    LatencyThreshold,
    /// The nearest neighbour with a free slot.
    Nearest,
    /// The best of a few neighbours drawn at random.
    PowerOfN,
    /// One after the other.
    RoundRobin,
    /// Where the fewest calls are.
    LeastConnections,
    /// Shares in inverse proportion to the time of an answer.
    TimeWeighted,
    /// The reference's mean of several metrics.
    Empirical,
    /// The reference's equal parts of what is too much.
    Equal,
    /// The reference's shedding within the usage that neighbours have to spare.
    NodeMargin,
    /// The same, to save power.
    PowerSaving,
    /// Bids and prices.
    Auction,
    /// A program beside the agent.
    External,
}

/// A text that names no strategy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no strategy {0:?}; the strategies are {names}", names = StrategyName::list())]
pub struct UnknownStrategy(String);

impl StrategyName {
    /// All of them.
    pub const ALL: [StrategyName; 17] = [
        StrategyName::Headroom,
        StrategyName::Recalc,
        StrategyName::Static,
        StrategyName::AllLocal,
        StrategyName::Random,
        StrategyName::LatencyThreshold,
        StrategyName::Nearest,
        StrategyName::PowerOfN,
        StrategyName::RoundRobin,
        StrategyName::LeastConnections,
        StrategyName::TimeWeighted,
        StrategyName::Empirical,
        StrategyName::Equal,
        StrategyName::NodeMargin,
        StrategyName::PowerSaving,
        StrategyName::Auction,
        StrategyName::External,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            StrategyName::Headroom => "headroom",
            StrategyName::Recalc => "recalc",
            StrategyName::Static => "static",
            StrategyName::AllLocal => "all-local",
            StrategyName::Random => "random",
            StrategyName::LatencyThreshold => "latency-threshold",
            StrategyName::Nearest => "nearest",
            StrategyName::PowerOfN => "power-of-n",
            StrategyName::RoundRobin => "round-robin",
            StrategyName::LeastConnections => "least-connections",
            StrategyName::TimeWeighted => "time-weighted",
            StrategyName::Empirical => "empirical",
            StrategyName::Equal => "equal",
            StrategyName::NodeMargin => "node-margin",
            StrategyName::PowerSaving => "power-saving",
            StrategyName::Auction => "auction",
            StrategyName::External => "external",
        }
    }

    /// The strategy, with nothing learned yet.
    pub fn build(self, settings: &Settings) -> Box<dyn Strategy> {
        match self {
            StrategyName::Headroom => Box::new(HeadroomFirst::new(settings.costs.clone())),
            StrategyName::Recalc => Box::new(Recalc::default()),
            StrategyName::Static => Box::new(StaticShare),
            StrategyName::AllLocal => Box::new(AllLocal),
            StrategyName::Random => Box::new(Random),
            StrategyName::LatencyThreshold => {
                Box::new(LatencyThreshold::new(settings.latency_limit))
            }
            StrategyName::Nearest => Box::new(Nearest),
            StrategyName::PowerOfN => Box::new(PowerOfN::new(settings.power_of_n)),
            StrategyName::RoundRobin => Box::new(RoundRobin),
            StrategyName::LeastConnections => Box::new(LeastConnections),
            StrategyName::TimeWeighted => Box::new(TimeWeighted),
            StrategyName::Empirical => Box::new(Empirical),
            StrategyName::Equal => Box::new(Equal::new(&settings.node)),
            StrategyName::NodeMargin => Box::new(NodeMargin::new(&settings.node)),
            StrategyName::PowerSaving => Box::new(PowerSaving::new(&settings.node)),
            StrategyName::Auction => Box::new(Auction::new(settings.auction)),
            StrategyName::External => Box::new(External::new(settings.costs.clone())),
        }
    }

    /// The names in a sentence.
    pub fn list() -> String {
        let names = StrategyName::ALL.map(StrategyName::as_str);
        let (last, others) = names.split_last().expect("there is more than one strategy");
        format!("{} and {last}", others.join(", "))
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StrategyName {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<StrategyName, UnknownStrategy> {
        StrategyName::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}
