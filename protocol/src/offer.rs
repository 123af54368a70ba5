//! The offer: what a node will take, per function, as its neighbours hear it.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CallRate, Capacity, FunctionName, Headroom};

/// What a node says of itself to a neighbour, every period and whenever something that matters changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Drawn anew at each start of the node, so that a node that came back is told from a late message.
    pub boot: u64,
    /// Grows by one with each offer of this boot.
    pub sequence: u64,
    /// Where the node takes forwarded calls.
    pub peer_endpoint: PeerEndpoint,
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
    /// Mean time of a call on this node, once one has been measured.
    pub service: Option<ServiceTime>,
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
