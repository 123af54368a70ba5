//! Strategies: how a node spreads its calls. One file a strategy.
//!
//! A strategy has two halves. The slow one, [`Strategy::plan`], runs every period and on an event; it sees the node and
//! its neighbours' offers, and makes a [`Plan`]. The fast one, [`Rule::decide`], runs for each call in well under a
//! microsecond, without I/O, a lock or an allocation, on the route that the plan made and on live counters.

mod all_local;
mod auction;
mod cost;
mod empirical;
mod equal;
mod external;
mod headroom;
mod latency_threshold;
mod least_connections;
mod name;
mod nearest;
mod node_margin;
mod observation;
mod power_of_n;
mod power_saving;
mod prediction;
mod random;
mod recalc;
mod round_robin;
mod settings;
mod shares;
mod shedding;
mod static_share;
mod time_weighted;
mod told;
mod usage;
mod weights;

use std::fmt;

use rand::Rng;

use crate::delivery::{Decision, Tried};
use crate::route::Route;
use crate::{NodeId, Time};

pub use all_local::AllLocal;
pub use auction::Auction;
pub use cost::{CostSettings, ENERGY_LABEL, PRICE_LABEL};
pub use empirical::Empirical;
pub use equal::Equal;
pub use external::{Action, ActionError, ActionRequest, External, node_key};
pub use headroom::HeadroomFirst;
pub use latency_threshold::LatencyThreshold;
pub use least_connections::LeastConnections;
pub use name::{StrategyName, UnknownStrategy};
pub use nearest::Nearest;
pub use node_margin::NodeMargin;
pub use observation::{Answer, Ask, NodeState, Observation, Plan, Seen};
pub use power_of_n::PowerOfN;
pub use power_saving::PowerSaving;
pub use prediction::{NodeType, ScaledModel, UsageModel, UsageTrees};
pub use random::Random;
pub use recalc::Recalc;
pub use round_robin::RoundRobin;
pub use settings::{
    AuctionSettings, MAX_FANOUT, NodeSettings, PowerOfNSettings, Settings, SettingsError,
};
pub use static_share::StaticShare;
pub use time_weighted::TimeWeighted;
pub use told::{Grants, Told};
pub use usage::{Groups, Limits, Load, LoadGroup, Usage};
pub use weights::{TOTAL, Weights};

/// The slow half.
pub trait Strategy: Send + fmt::Debug {
    /// Makes a plan from what the node sees, and from the driver's randomness.
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan;
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
