//! Strategies: how a node spreads its calls. One file a strategy.
//!
//! A strategy has two halves. The slow one, [`Strategy::plan`], runs every period and on an event; it sees the node and
//! its neighbours' offers, and makes a [`Plan`]. The fast one, [`Rule::decide`], runs for each call in well under a
//! microsecond, without I/O, a lock or an allocation, on the route that the plan made and on live counters.

mod all_local;
mod headroom;
mod recalc;
mod static_share;
mod weights;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::delivery::{Decision, Tried};
use crate::gate::Gate;
use crate::neighbours::Neighbours;
use crate::offer::Grant;
use crate::route::{Candidate, Route};
use crate::{FunctionName, NodeId, Time};

pub use all_local::AllLocal;
pub use headroom::HeadroomFirst;
pub use recalc::Recalc;
pub use static_share::StaticShare;
pub use weights::{TOTAL, Weights};

/// The slow half.
pub trait Strategy: Send + fmt::Debug {
    /// Makes a plan from what the node sees.
    fn plan(&mut self, seen: &Observation<'_>) -> Plan;
}

/// The fast half, for one function.
pub trait Rule: Send + Sync + fmt::Debug {
    /// Decides one call, or returns nothing when it has no better idea than the local queue. What it decides has been
    /// counted: a slot here is taken, a candidate is counted down. A candidate that was tried is not taken again.
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision>;

    /// Whether a call that the neighbour `from` forwarded is within what was granted to it.
    fn accepts(&self, from: NodeId, now: Time) -> bool {
        let _ = (from, now);
        true
    }
}

/// What a node sees when it plans.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The time.
    pub now: Time,
    /// The neighbours that live.
    pub neighbours: &'a Neighbours,
    /// The functions of the local platform, and what was measured of each since the last plan.
    pub functions: &'a [Seen],
}

/// What was measured of a function of the local platform.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which.
    pub function: FunctionName,
    /// Its gate.
    pub gate: Arc<Gate>,
    /// Calls a second that clients brought.
    pub from_clients: f64,
    /// Calls a second that were run for each neighbour.
    pub for_peers: BTreeMap<NodeId, f64>,
    /// Mean time of a call, once one has been measured.
    pub service: Option<Duration>,
}

/// What a strategy makes of an observation.
#[derive(Debug, Default)]
pub struct Plan {
    /// One route for each function that the local platform or a neighbour has.
    pub routes: Vec<Route>,
    /// The rates that this node accepts from each neighbour, to be told to it; empty for strategies without grants.
    pub grants: BTreeMap<NodeId, Vec<Grant>>,
}

impl Observation<'_> {
    /// One route for each function that the local platform or a neighbour has, with the rule that `rule` makes of it.
    fn routes(
        &self,
        mut rule: impl FnMut(&FunctionName, Option<&Seen>, &[Candidate]) -> Box<dyn Rule>,
    ) -> Vec<Route> {
        let mut functions: BTreeMap<&FunctionName, Option<&Seen>> = self
            .neighbours
            .iter()
            .flat_map(|n| n.functions.keys().map(|f| (f, None)))
            .collect();
        functions.extend(
            self.functions
                .iter()
                .map(|seen| (&seen.function, Some(seen))),
        );
        functions
            .into_iter()
            .map(|(function, seen)| {
                let there: Vec<Candidate> = self
                    .neighbours
                    .offering(function)
                    .map(|(neighbour, offered)| Candidate {
                        node: neighbour.node,
                        remote: Arc::clone(&offered.remote),
                    })
                    .collect();
                Route {
                    rule: rule(function, seen, &there),
                    function: function.clone(),
                    here: seen.map(|seen| Arc::clone(&seen.gate)),
                    there,
                }
            })
            .collect()
    }
}

/// The strategies, by the names that a user gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
}

/// A text that names no strategy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no strategy {0:?}; the strategies are headroom, recalc, static and all-local")]
pub struct UnknownStrategy(String);

impl StrategyName {
    /// All of them.
    pub const ALL: [StrategyName; 4] = [
        StrategyName::Headroom,
        StrategyName::Recalc,
        StrategyName::Static,
        StrategyName::AllLocal,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            StrategyName::Headroom => "headroom",
            StrategyName::Recalc => "recalc",
            StrategyName::Static => "static",
            StrategyName::AllLocal => "all-local",
        }
    }

    /// The strategy, with nothing learned yet.
    pub fn build(self) -> Box<dyn Strategy> {
        match self {
            StrategyName::Headroom => Box::new(HeadroomFirst),
            StrategyName::Recalc => Box::new(Recalc::default()),
            StrategyName::Static => Box::new(StaticShare),
            StrategyName::AllLocal => Box::new(AllLocal),
        }
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
