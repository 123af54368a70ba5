//! The table of neighbours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::claims::ClaimLimits;
use crate::offer::{Grant, Offer};
use crate::policy::{Excluded, Policy};
use crate::trade::{Bid, Margin, Price};
use crate::{FunctionName, Health, NodeId, Sorted, Time};

use super::OfferCounts;
use super::board::Board;
use super::boots::{Boots, Order};
use super::neighbour::{Here, Neighbour, Offered, Records};
use super::places::Places;

/// What a message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What can be planned with is another: a new neighbour, another set of functions, other grants or addresses.
    Changed,
    /// Only counters moved, and they are live already.
    Refreshed,
    /// The message is older than one that was already heard; nothing changed.
    Stale,
    /// The message says more than any neighbour may; nothing changed.
    Refused,
}

/// What the functions of a node ask of its neighbours, by their names.
pub type Policies = BTreeMap<FunctionName, Policy>;

/// The neighbours that were heard lately. An entry expires when its node was silent for three of its own periods.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Neighbours {
    pub(super) entries: Sorted<Neighbour>,
    /// What this node's functions ask of a neighbour.
    policies: Arc<Policies>,
    /// All that is offered and told, by function; made when it is asked for and who offers what has changed.
    board: OnceLock<Board>,
    departed: BTreeMap<NodeId, Departed>,
    places: Places,
    /// What is believed of an offer.
    claims: Option<ClaimLimits>,
    counts: OfferCounts,
    /// When the neighbours were last looked after.
    pub(super) watched: Option<Time>,
    /// When standing was last brought up to the time.
    pub(super) standing_at: Option<Time>,
}

/// What is remembered of one that left: who comes and goes is not let in each time anew, is not believed again what it said
/// before, and does not get its standing back by it.
#[derive(Debug)]
struct Departed {
    at: Time,
    health: Arc<Health>,
    boots: Boots,
    records: Records,
}

/// How long a neighbour that left is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many of them.
const MOST_DEPARTED: usize = 1024;
/// One that was gone for so long was away, and is let in step by step.
const AWAY: Duration = Duration::from_secs(1);

impl Neighbours {
    /// An empty table.
    pub fn new() -> Neighbours {
        Neighbours::default()
    }

    /// Sets places aside for so many neighbours, and so many functions of all of them together, so that what is read at one time
    /// of them is close together. Those that come without are taken in as well.
    pub fn set_aside(&mut self, neighbours: usize, functions: usize) {
        self.entries.reserve(neighbours);
        self.places.set_aside(neighbours, functions);
    }

    /// A neighbour's offer arrived at `now` over a connection from `seen_at`.
    pub fn hear_offer(
        &mut self,
        node: NodeId,
        seen_at: IpAddr,
        mut offer: Offer,
        now: Time,
    ) -> Heard {
        let order = match (self.entries.get_mut(&node), self.departed.get_mut(&node)) {
            (Some(entry), _) => entry.boots.hear(offer.boot, offer.sequence),
            (None, Some(departed)) => departed.boots.hear(offer.boot, offer.sequence),
            (None, None) => Order::Anew,
        };
        if order == Order::Stale {
            self.counts.stale += 1;
            return Heard::Stale;
        }
        if let Some(claims) = &self.claims {
            match claims.bound(&mut offer) {
                Ok(cut) => self.counts.cut += cut,
                Err(_) => {
                    self.counts.refused += 1;
                    return Heard::Refused;
                }
            }
        }
        let Some(entry) = self.entries.get_mut(&node) else {
            self.enter(node, seen_at, offer, order, now);
            return Heard::Changed;
        };
        let moved = entry.endpoint != offer.peer_endpoint || entry.seen_at != seen_at;
        let says_other = entry.labels != offer.labels || entry.cordoned != offer.cordoned;
        entry.heard = now;
        entry.period = offer.period.as_duration();
        entry.suspicion.offers(entry.period, now);
        entry.labels = offer.labels;
        entry.cordoned = offer.cordoned;
        entry.endpoint = offer.peer_endpoint;
        entry.seen_at = seen_at;
        if order == Order::Anew {
            // What is still on its way from before says nothing of what is now, so it goes to counters that nobody reads.
            entry.begin_anew();
            let _ = entry.health.is_back(now);
        }
        let mut here = Here {
            policies: &self.policies,
            places: &mut self.places,
        };
        let changed = entry.merge(offer.functions, &mut here);
        if changed || moved || says_other || order == Order::Anew {
            self.board.take();
            Heard::Changed
        } else {
            Heard::Refreshed
        }
    }

    /// A neighbour that was not there.
    fn enter(&mut self, node: NodeId, seen_at: IpAddr, offer: Offer, order: Order, now: Time) {
        let departed = self.departed.remove(&node);
        let (health, boots, records) = match departed {
            Some(departed) => {
                if order == Order::Anew || now.since(departed.at) >= AWAY {
                    let _ = departed.health.is_back(now);
                }
                let _ = departed.health.is_heard(now);
                (departed.health, departed.boots, departed.records)
            }
            None => (
                self.places.health(),
                Boots::new(offer.boot, offer.sequence),
                Records::new(),
            ),
        };
        let mut here = Here {
            policies: &self.policies,
            places: &mut self.places,
        };
        let before = (health, boots, records);
        let entry = Neighbour::new(node, seen_at, offer, before, &mut here, now);
        self.entries.insert(entry);
        self.board.take();
    }

    /// A neighbour's grants arrived, sorted by function. What a node says that has offered nothing yet says nothing, here and below.
    pub fn hear_grants(&mut self, node: NodeId, grants: Vec<Grant>, now: Time) -> Heard {
        if let Some(board) = self.board.get_mut() {
            board.grants(node, &grants);
        }
        self.hear(node, now, |entry| &mut entry.grants, grants)
    }

    /// A neighbour's margin arrived.
    pub fn hear_margin(&mut self, node: NodeId, margin: Margin, now: Time) -> Heard {
        self.hear(node, now, |entry| &mut entry.margin, margin)
    }

    /// A neighbour's prices arrived, sorted by function.
    pub fn hear_prices(&mut self, node: NodeId, prices: Vec<Price>, now: Time) -> Heard {
        if let Some(board) = self.board.get_mut() {
            board.prices(node, &prices);
        }
        self.hear(node, now, |entry| &mut entry.prices, prices)
    }

    /// A neighbour's bids arrived, sorted by function.
    pub fn hear_bids(&mut self, node: NodeId, bids: Vec<Bid>, now: Time) -> Heard {
        if let Some(board) = self.board.get_mut()
            && !board.bids(node, &bids)
        {
            self.board.take();
        }
        self.hear(node, now, |entry| &mut entry.bids, bids)
    }

    fn hear<T: PartialEq>(
        &mut self,
        node: NodeId,
        now: Time,
        place: impl FnOnce(&mut Neighbour) -> &mut T,
        said: T,
    ) -> Heard {
        let Some(entry) = self.entries.get_mut(&node) else {
            return Heard::Stale;
        };
        entry.heard = now;
        entry.suspicion.alive = now;
        let before = place(entry);
        if *before == said {
            return Heard::Refreshed;
        }
        *before = said;
        Heard::Changed
    }

    /// The round trip to a neighbour, the least of those measured lately, as load only ever adds to it.
    pub fn measure(&mut self, node: NodeId, round_trip: Duration) {
        if let Some(entry) = self.entries.get_mut(&node) {
            entry.round_trip = Some(round_trip);
            for offered in entry.functions.iter() {
                offered.remote.measured(entry.round_trip);
            }
        }
    }

    /// A neighbour's connection is gone. Returns whether it was known.
    pub fn remove(&mut self, node: NodeId, now: Time) -> bool {
        let Some(mut entry) = self.entries.remove(&node) else {
            return false;
        };
        self.board.take();
        entry.begin_anew();
        let departed = Departed {
            at: now,
            health: entry.health,
            boots: entry.boots,
            records: entry.records,
        };
        self.departed.insert(node, departed);
        if self.departed.len() > MOST_DEPARTED {
            let longest = self.departed.iter().min_by_key(|(_, departed)| departed.at);
            if let Some(node) = longest.map(|(node, _)| *node) {
                self.departed.remove(&node);
            }
        }
        true
    }

    /// A neighbour said farewell: it takes no more calls until it starts anew. Returns whether it was known.
    pub fn farewell(&mut self, node: NodeId, now: Time) -> bool {
        let known = self.remove(node, now);
        if let Some(departed) = self.departed.get_mut(&node) {
            departed.boots.end();
        }
        known
    }

    /// Removes and returns those that gave no sign of life for three of their periods, and that nobody else hears.
    pub fn expire(&mut self, now: Time) -> Vec<NodeId> {
        self.departed
            .retain(|_, departed| now.since(departed.at) <= REMEMBERED);
        let gone: Vec<NodeId> = self
            .entries
            .iter()
            .filter(|n| {
                let seen = n.suspicion.seen().unwrap_or(Time::ZERO);
                let last = n.heard.max(n.suspicion.alive).max(seen);
                now.since(last) > n.validity()
            })
            .map(|n| n.node)
            .collect();
        for node in &gone {
            self.remove(*node, now);
        }
        gone
    }

    /// What is believed of an offer, from now on; all of it without this.
    pub const fn believe(&mut self, claims: ClaimLimits) {
        self.claims = Some(claims);
    }

    /// What became of offers that were not taken as they are.
    pub const fn counts(&self) -> OfferCounts {
        self.counts
    }

    /// Brings the standing of all up to the time; about once a second.
    pub(super) fn pass_time(&self, now: Time) {
        for entry in self.entries.iter() {
            for offered in entry.functions.iter() {
                offered.remote.look_for_stuck(now);
                if let Some(trust) = offered.remote.known_trust() {
                    trust.pass_time(now);
                }
            }
        }
    }

    /// The entry of a neighbour.
    pub fn get(&self, node: NodeId) -> Option<&Neighbour> {
        self.entries.get(&node)
    }

    /// All entries, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Neighbour> {
        self.entries.iter()
    }

    /// What this node's functions ask of a neighbour, from now on. Returns whether that is news.
    pub fn set_policies(&mut self, policies: Policies) -> bool {
        self.share_policies(Arc::new(policies))
    }

    /// The same, for nodes in one program whose functions are alike.
    pub fn share_policies(&mut self, policies: Arc<Policies>) -> bool {
        let changed = self.policies != policies;
        if changed {
            self.policies = policies;
            self.board.take();
        }
        changed
    }

    /// The policy of one of this node's functions, if it was set.
    pub fn policy(&self, function: &FunctionName) -> Option<&Policy> {
        self.policies.get(function)
    }

    /// The neighbours that offer a function and may be sent its calls, as far as its [policy](Policy) and their cordons say,
    /// in the order of their ids.
    pub fn offering<'a>(
        &'a self,
        function: &'a FunctionName,
    ) -> impl Iterator<Item = (&'a Neighbour, &'a Offered)> {
        let policy = self.policy(function);
        self.entries
            .iter()
            .filter(move |n| n.may_take(policy))
            .filter_map(move |n| n.functions.get(function).map(|offered| (n, offered)))
    }

    /// All that is offered and told, by function.
    pub(crate) fn board(&self) -> &Board {
        self.board
            .get_or_init(|| Board::gather(self.entries.iter(), &self.policies))
    }

    /// The neighbours that offer a function and may not be sent its calls, and why, in the order of their ids.
    pub fn excluded<'a>(
        &'a self,
        function: &'a FunctionName,
    ) -> impl Iterator<Item = (NodeId, Excluded)> + 'a {
        let open = Policy::default();
        let policy = self.policy(function).cloned().unwrap_or(open);
        self.entries
            .iter()
            .filter(|n| n.functions.get(function).is_some())
            .filter_map(move |n| policy.excludes(n).map(|why| (n.node, why)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
