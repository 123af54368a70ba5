//! What the strategies can be told.

use std::time::Duration;

use thiserror::Error;

use super::CostSettings;
use super::prediction::{NodeType, UsageModel};
use super::usage::{Groups, Limits};

/// The largest fan-out of `power-of-n`.
pub const MAX_FANOUT: usize = 8;

/// The parameters of all strategies; each takes its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `latency-threshold`: the longest round trip to a neighbour that is used.
    pub latency_limit: Duration,
    /// `power-of-n`.
    pub power_of_n: PowerOfNSettings,
    /// `node-margin`, `power-saving` and `equal`.
    pub node: NodeSettings,
    /// `auction`.
    pub auction: AuctionSettings,
    /// `headroom`.
    pub costs: CostSettings,
}

/// The parameters of `power-of-n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerOfNSettings {
    /// F: how many neighbours are drawn for a call, 1 to [`MAX_FANOUT`].
    pub fanout: usize,
    /// T: neighbours are drawn while fewer slots than this are free here, at least 1.
    pub threshold: u32,
}

/// The parameters of `node-margin`, `power-saving` and `equal`.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSettings {
    /// How much this node may use.
    pub limits: Limits,
    /// How much its functions use.
    pub groups: Groups,
    /// What its usage is predicted with.
    pub model: UsageModel,
    /// What kind of node it is, for models that know kinds.
    pub kind: NodeType,
}

/// The parameters of `auction`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuctionSettings {
    /// β: what one call a second at a neighbour is worth to this node.
    pub value: f64,
    /// ε: what a bid is above the price.
    pub epsilon: f64,
    /// η: how fast prices follow the utilisation.
    pub eta: f64,
    /// ζ: the part by which a price falls that nobody bids.
    pub zeta: f64,
    /// w: what a second of round trip costs.
    pub latency_weight: f64,
}

impl Default for NodeSettings {
    fn default() -> NodeSettings {
        NodeSettings {
            limits: Limits {
                cpu_percent: Some(90.0),
                ..Limits::default()
            },
            groups: Groups::new(),
            model: UsageModel::Linear,
            kind: NodeType::Mid,
        }
    }
}

impl Default for AuctionSettings {
    fn default() -> AuctionSettings {
        AuctionSettings {
            value: 1.0,
            epsilon: 0.01,
            eta: 0.5,
            zeta: 0.1,
            latency_weight: 0.1,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            latency_limit: Duration::from_millis(50),
            power_of_n: PowerOfNSettings {
                fanout: 2,
                threshold: 1,
            },
            node: NodeSettings::default(),
            auction: AuctionSettings::default(),
            costs: CostSettings::default(),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The limit of `latency-threshold`.
    #[error("the latency limit is zero; give the longest round trip to use")]
    LatencyLimit,
    /// The fan-out of `power-of-n`.
    #[error("the fan-out is {0}; give 1 to {MAX_FANOUT} neighbours")]
    Fanout(usize),
    /// The threshold of `power-of-n`.
    #[error("the threshold is zero; give at least one free slot")]
    Threshold,
    /// A limit of what the node may use.
    #[error("a limit of the node's usage is not above zero; give one that is, or leave it out")]
    Limit,
    /// A parameter of the auction.
    #[error(
        "the auction's value and epsilon must be above 0, value above twice epsilon, eta and latency_weight at least 0, \
         zeta from 0 to 1"
    )]
    Auction,
    /// A weight of a cost.
    #[error("a weight of energy or price is out of range; give a number from 0 to 1")]
    Cost,
}

impl Settings {
    /// All that cannot be used.
    pub fn errors(&self) -> Vec<SettingsError> {
        let PowerOfNSettings { fanout, threshold } = self.power_of_n;
        let mut errors = Vec::new();
        let mut check = |holds: bool, error| {
            if !holds {
                errors.push(error);
            }
        };
        check(!self.latency_limit.is_zero(), SettingsError::LatencyLimit);
        check(
            (1..=MAX_FANOUT).contains(&fanout),
            SettingsError::Fanout(fanout),
        );
        check(threshold > 0, SettingsError::Threshold);
        let Limits {
            cpu_percent,
            memory_bytes,
            power_microwatts,
        } = self.node.limits;
        let limits = [cpu_percent, memory_bytes, power_microwatts];
        let usable = |limit: f64| limit.is_finite() && limit > 0.0;
        check(
            limits.into_iter().flatten().all(usable),
            SettingsError::Limit,
        );
        let AuctionSettings {
            value,
            epsilon,
            eta,
            zeta,
            latency_weight,
        } = self.auction;
        let range = 0.0..=1e9;
        check(
            epsilon > 0.0
                && value > 2.0 * epsilon
                && [value, eta, latency_weight]
                    .iter()
                    .all(|x| range.contains(x))
                && (0.0..=1.0).contains(&zeta),
            SettingsError::Auction,
        );
        let weights = [self.costs.energy_weight, self.costs.price_weight];
        check(
            weights.iter().all(|weight| (0.0..=1.0).contains(weight)),
            SettingsError::Cost,
        );
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used_and_errors_are_all_named() {
        assert_eq!(Settings::default().errors(), []);
        let settings = Settings {
            latency_limit: Duration::ZERO,
            power_of_n: PowerOfNSettings {
                fanout: 9,
                threshold: 0,
            },
            node: NodeSettings {
                limits: Limits {
                    memory_bytes: Some(0.0),
                    ..Limits::default()
                },
                ..NodeSettings::default()
            },
            auction: AuctionSettings {
                epsilon: 0.6,
                ..AuctionSettings::default()
            },
            costs: CostSettings {
                price_weight: 1.5,
                ..CostSettings::default()
            },
        };
        assert_eq!(
            settings.errors(),
            [
                SettingsError::LatencyLimit,
                SettingsError::Fanout(9),
                SettingsError::Threshold,
                SettingsError::Limit,
                SettingsError::Auction,
                SettingsError::Cost,
            ]
        );
    }
}
