//! Offers for tests.

use std::time::Duration;

use super::{FunctionOffer, Offer, PeerEndpoint, Period};
use crate::{Capacity, FunctionName, Headroom, NodeLabels};

impl Offer {
    /// The first of a node that offers once a second.
    pub(crate) fn example(functions: impl IntoIterator<Item = FunctionOffer>) -> Offer {
        Offer {
            boot: 1,
            sequence: 1,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: 1,
            },
            period: Period::from_duration(Duration::from_secs(1)),
            labels: NodeLabels::default(),
            cordoned: false,
            functions: functions.into_iter().collect(),
        }
    }
}

impl FunctionOffer {
    /// Of a function that lets eight calls wait and whose time is not known.
    pub(crate) fn example(name: &str, capacity: Capacity, headroom: Headroom) -> FunctionOffer {
        FunctionOffer {
            function: FunctionName::parse(name).unwrap(),
            capacity,
            headroom,
            queue: 8,
            service: None,
        }
    }
}
