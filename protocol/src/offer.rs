//! The offer: what a node will take, per function, as its neighbours hear it.

#[cfg(test)]
mod example;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{CallRate, Capacity, FunctionName, Headroom, NodeLabels};

/// What a node says of itself to a neighbour, every period and whenever something that matters changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Drawn anew at each start of the node, so that a node that came back is told from a late message.
    pub boot: u64,
    /// Grows by one with each offer of this boot.
    pub sequence: u64,
    /// Where the node takes forwarded calls.
    pub peer_endpoint: PeerEndpoint,
    /// How often it offers. Whoever heard nothing for three of these periods hears it no more.
    pub period: Period,
    /// What it says of itself.
    pub labels: NodeLabels,
    /// It serves its own clients and takes no forwarded calls.
    pub cordoned: bool,
    /// What it takes; sorted by name, each name once.
    pub functions: Vec<FunctionOffer>,
}

/// Where a node takes forwarded calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEndpoint {
    /// The address; if it says none, the one from which its overlay connection comes.
    pub host: Option<IpAddr>,
    /// The TCP port of the peer channel.
    pub port: u16,
}

/// What a node offers of one function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionOffer {
    /// Which function.
    pub function: FunctionName,
    /// What it can take in all.
    pub capacity: Capacity,
    /// What is left of that now.
    pub headroom: Headroom,
    /// How many calls may wait there: headroom that is as far below zero has no room left.
    pub queue: u32,
    /// Mean time of a call on this node, once one has been measured.
    pub service: Option<ServiceTime>,
}

/// The time between two offers of a node, in whole milliseconds: from 1 to 3,600,000, an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Period(u32);

impl Period {
    const MAX_MILLIS: u32 = 3_600_000;

    /// The nearest period that can be sent.
    pub fn from_duration(duration: Duration) -> Period {
        let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        Period(millis.clamp(1, Period::MAX_MILLIS))
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        let millis = u32::deserialize(deserializer)?;
        if (1..=Period::MAX_MILLIS).contains(&millis) {
            Ok(Period(millis))
        } else {
            Err(serde::de::Error::custom(
                "a period is from 1 to 3600000 milliseconds",
            ))
        }
    }
}

/// A mean service time, in whole microseconds, of which there are at most 2³² (71 minutes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceTime(u32);

impl ServiceTime {
    /// The nearest service time that can be sent.
    pub fn from_duration(duration: Duration) -> ServiceTime {
        ServiceTime(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX))
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

/// A rate of one function's calls that the sender accepts from the receiver (strategy `recalc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Which function.
    pub function: FunctionName,
    /// How many calls a second.
    pub rate: CallRate,
}
