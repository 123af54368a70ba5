//! What is known of one neighbour.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, ServiceTime};
use crate::policy::Policy;
use crate::sorted::Named;
use crate::trade::{Bid, Margin, Price};
use crate::{Capacity, FunctionName, Health, NodeId, NodeLabels, Sorted, Time};

use super::boots::Boots;
use super::places::Places;
use super::suspicion::Suspicion;
use super::{Policies, Remote, Trust};

/// Of how many functions that a neighbour does not offer any more something is remembered against it.
const MOST_RECORDS: usize = 64;
/// How many of its periods a neighbour may be silent before it expires.
const SILENT_PERIODS: u32 = 3;
/// A neighbour is not given up sooner, as a busy machine may pause for so long.
const LEAST_VALIDITY: Duration = Duration::from_secs(1);

/// What is known of one neighbour. What is looked at a few times in each period is in the first two lines of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Neighbour {
    /// Who it is.
    pub node: NodeId,
    /// When it was last heard.
    pub heard: Time,
    /// How often it offers.
    pub period: Duration,
    /// Its health, which all its functions share.
    pub health: Arc<Health>,
    pub(super) suspicion: Suspicion,
    /// What it offers.
    pub functions: Sorted<Offered>,
    pub(super) boots: Boots,
    /// What it says of itself.
    pub labels: NodeLabels,
    /// Where it takes calls.
    pub endpoint: PeerEndpoint,
    /// The address that its overlay connection comes from.
    pub seen_at: IpAddr,
    /// It takes no forwarded calls.
    pub cordoned: bool,
    /// The round trip to it, once one has been measured.
    pub round_trip: Option<Duration>,
    /// What it accepts from us, for strategies that work with grants; sorted by function, as are the two below.
    pub grants: Vec<Grant>,
    /// What it offers us of its spare usage, for strategies that work with margins.
    pub margin: Margin,
    /// What it asks for its functions' calls, for the strategy that works with prices.
    pub prices: Vec<Price>,
    /// What it would pay for ours.
    pub bids: Vec<Bid>,
    /// How far its word is taken for functions that it does not offer now, where something is remembered against it.
    pub(super) records: Records,
}

/// What a node that hears has at hand for who is heard.
pub(super) struct Here<'a> {
    /// Of its own functions.
    pub(super) policies: &'a Policies,
    pub(super) places: &'a mut Places,
}

impl Here<'_> {
    /// The name of a function as its own functions have it, so that it is in memory once.
    fn name(&self, name: FunctionName) -> FunctionName {
        let known = self.policies.get_key_value(&name);
        known.map_or(name, |(known, _)| known.clone())
    }
}

/// How far the word of a node is taken, by function.
pub(super) type Records = BTreeMap<FunctionName, Arc<Trust>>;

/// One function that a neighbour offers.
#[derive(Debug)]
pub struct Offered {
    /// Which.
    pub function: FunctionName,
    /// What it can take there in all.
    pub capacity: Capacity,
    /// Mean time of a call there.
    pub service: Option<ServiceTime>,
    /// Its live counters.
    pub remote: Arc<Remote>,
}

impl Named for Neighbour {
    type Name = NodeId;

    fn name(&self) -> &NodeId {
        &self.node
    }
}

impl Named for Offered {
    type Name = FunctionName;

    fn name(&self) -> &FunctionName {
        &self.function
    }
}

impl Neighbour {
    /// One that offers for the first time, or the first time after it left.
    pub(super) fn new(
        node: NodeId,
        seen_at: IpAddr,
        offer: Offer,
        (health, boots, records): (Arc<Health>, Boots, Records),
        here: &mut Here<'_>,
        now: Time,
    ) -> Neighbour {
        let mut new = Neighbour {
            node,
            heard: now,
            period: offer.period.as_duration(),
            round_trip: None,
            labels: offer.labels,
            cordoned: offer.cordoned,
            endpoint: offer.peer_endpoint,
            seen_at,
            functions: Sorted::default(),
            health,
            grants: Vec::new(),
            margin: Margin::default(),
            prices: Vec::new(),
            bids: Vec::new(),
            boots,
            suspicion: Suspicion::new(now),
            records,
        };
        new.merge(offer.functions, here);
        new
    }

    /// Whether the calls of a function with that policy may be sent there.
    pub(crate) fn may_take(&self, policy: Option<&Policy>) -> bool {
        match policy {
            Some(policy) => policy.excludes(self).is_none(),
            None => !self.cordoned,
        }
    }

    /// How long after its last message it expires.
    pub fn validity(&self) -> Duration {
        (self.period * SILENT_PERIODS).max(LEAST_VALIDITY)
    }

    /// The address for forwarded calls.
    pub fn peer_address(&self) -> std::net::SocketAddr {
        let host = self.endpoint.host.unwrap_or(self.seen_at);
        std::net::SocketAddr::new(host, self.endpoint.port)
    }

    /// Brings the functions up to what the offer says and keeps the counters of those that stay. Returns whether the set
    /// or a capacity changed.
    pub(super) fn merge(&mut self, offers: Vec<FunctionOffer>, here: &mut Here<'_>) -> bool {
        let before = self.functions.len();
        let named = |name: &FunctionName| {
            offers
                .binary_search_by(|offer| offer.function.cmp(name))
                .is_ok()
        };
        let names = self.functions.iter().map(|offered| &offered.function);
        let withdrawn: Vec<FunctionName> = names.filter(|name| !named(name)).cloned().collect();
        for name in withdrawn {
            if let Some(offered) = self.functions.remove(&name) {
                self.remember(&offered);
            }
        }
        let mut changed = self.functions.len() != before;
        for offer in offers {
            match self.functions.get_mut(&offer.function) {
                Some(offered) => {
                    changed |= offered.capacity != offer.capacity;
                    offered.capacity = offer.capacity;
                    offered.service = offer.service;
                    offered.remote.offered(&offer);
                }
                None => {
                    changed = true;
                    let remembered = self.records.remove(&offer.function);
                    let health = Arc::clone(&self.health);
                    self.functions.insert(Offered {
                        capacity: offer.capacity,
                        service: offer.service,
                        remote: match here.places.remotes.pop() {
                            Some(at) => {
                                Remote::new_in(at, &offer, self.round_trip, health, remembered)
                            }
                            None => Remote::new(&offer, self.round_trip, health, remembered),
                        },
                        function: here.name(offer.function),
                    });
                }
            }
        }
        changed
    }

    /// Forgets what it offers, but not what is remembered against it.
    pub(super) fn begin_anew(&mut self) {
        for offered in std::mem::take(&mut self.functions) {
            self.remember(&offered);
        }
    }

    fn remember(&mut self, offered: &Offered) {
        let trust = offered.remote.known_trust();
        if let Some(trust) = trust.filter(|trust| !trust.is_clean())
            && self.records.len() < MOST_RECORDS
        {
            let function = offered.function.clone();
            self.records.insert(function, Arc::clone(trust));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_neighbour_reads_two_lines_of_the_cache() {
        assert!(std::mem::offset_of!(Neighbour, functions) <= 128);
        assert!(size_of::<Neighbour>() <= 448, "{}", size_of::<Neighbour>());
    }
}
