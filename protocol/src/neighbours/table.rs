//! The table of neighbours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, ServiceTime};
use crate::policy::{Excluded, Policy};
use crate::trade::{Bid, Margin, Price};
use crate::{Capacity, FunctionName, Health, HealthState, NodeId, NodeLabels, Time};

use super::Remote;
use super::board::Board;

/// What is known of one neighbour.
#[derive(Debug)]
pub struct Neighbour {
    /// Who it is.
    pub node: NodeId,
    /// When it was last heard.
    pub heard: Time,
    /// How often it offers.
    pub period: Duration,
    /// The round trip to it, once one has been measured.
    pub round_trip: Option<Duration>,
    /// What it says of itself.
    pub labels: NodeLabels,
    /// It takes no forwarded calls.
    pub cordoned: bool,
    /// Where it takes calls.
    pub endpoint: PeerEndpoint,
    /// The address that its overlay connection comes from.
    pub seen_at: IpAddr,
    /// Its health, which all its functions share.
    pub health: Arc<Health>,
    /// What it offers.
    pub functions: BTreeMap<FunctionName, Offered>,
    /// What it accepts from us, for strategies that work with grants; sorted by function, as are the two below.
    pub grants: Vec<Grant>,
    /// What it offers us of its spare usage, for strategies that work with margins.
    pub margin: Margin,
    /// What it asks for its functions' calls, for the strategy that works with prices.
    pub prices: Vec<Price>,
    /// What it would pay for ours.
    pub bids: Vec<Bid>,
    boot: u64,
    sequence: u64,
}

/// One function that a neighbour offers.
#[derive(Debug)]
pub struct Offered {
    /// What it can take there in all.
    pub capacity: Capacity,
    /// Mean time of a call there.
    pub service: Option<ServiceTime>,
    /// Its live counters.
    pub remote: Arc<Remote>,
}

impl Neighbour {
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
}

/// What a message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What can be planned with is another: a new neighbour, another set of functions, other grants or addresses.
    Changed,
    /// Only counters moved, and they are live already.
    Refreshed,
    /// The message is older than one that was already heard; nothing changed.
    Stale,
}

/// The neighbours that were heard lately. An entry expires when its node was silent for three of its own periods.
#[derive(Debug, Default)]
pub struct Neighbours {
    entries: BTreeMap<NodeId, Neighbour>,
    /// What this node's functions ask of a neighbour.
    policies: BTreeMap<FunctionName, Policy>,
    /// All that is offered and told, by function; made when it is asked for and who offers what has changed.
    board: OnceLock<Board>,
    /// The health of those that left while they were not healthy, and when: who comes and goes is not let in each time
    /// anew.
    departed: BTreeMap<NodeId, (Time, Arc<Health>)>,
}

/// How long the health of a neighbour that left is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many of its periods a neighbour may be silent before it expires.
const SILENT_PERIODS: u32 = 3;
/// A neighbour is not given up sooner, as a busy machine may pause for so long.
const LEAST_VALIDITY: Duration = Duration::from_secs(1);

impl Neighbours {
    /// An empty table.
    pub fn new() -> Neighbours {
        Neighbours::default()
    }

    /// A neighbour's offer arrived at `now` over a connection from `seen_at`.
    pub fn hear_offer(&mut self, node: NodeId, seen_at: IpAddr, offer: Offer, now: Time) -> Heard {
        let Some(entry) = self.entries.get_mut(&node) else {
            let health = self.departed.remove(&node).map(|(_, health)| health);
            let health = health.unwrap_or_default();
            let functions = offer.functions.into_iter();
            let entry = Neighbour {
                node,
                heard: now,
                period: offer.period.as_duration(),
                round_trip: None,
                labels: offer.labels,
                cordoned: offer.cordoned,
                endpoint: offer.peer_endpoint,
                seen_at,
                functions: functions.map(|f| newly_offered(f, None, &health)).collect(),
                health,
                grants: Vec::new(),
                margin: Margin::default(),
                prices: Vec::new(),
                bids: Vec::new(),
                boot: offer.boot,
                sequence: offer.sequence,
            };
            self.entries.insert(node, entry);
            self.board.take();
            return Heard::Changed;
        };
        if offer.boot == entry.boot && offer.sequence <= entry.sequence {
            return Heard::Stale;
        }
        let moved = entry.endpoint != offer.peer_endpoint || entry.seen_at != seen_at;
        let says_other = entry.labels != offer.labels || entry.cordoned != offer.cordoned;
        entry.heard = now;
        entry.period = offer.period.as_duration();
        entry.labels = offer.labels;
        entry.cordoned = offer.cordoned;
        entry.boot = offer.boot;
        entry.sequence = offer.sequence;
        entry.endpoint = offer.peer_endpoint;
        entry.seen_at = seen_at;
        let changed = merge(entry, offer.functions);
        if changed || moved || says_other {
            self.board.take();
            Heard::Changed
        } else {
            Heard::Refreshed
        }
    }

    /// A neighbour's grants arrived, sorted by function. What a node says that has offered nothing yet says nothing, here and
    /// below.
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
            for offered in entry.functions.values() {
                offered.remote.measured(entry.round_trip);
            }
        }
    }

    /// A neighbour said farewell, or its connection is gone. Returns whether it was known.
    pub fn remove(&mut self, node: NodeId, now: Time) -> bool {
        let Some(entry) = self.entries.remove(&node) else {
            return false;
        };
        self.board.take();
        if entry.health.state() != HealthState::Healthy {
            self.departed.insert(node, (now, entry.health));
        }
        true
    }

    /// Removes and returns those that were not heard for three of their periods.
    pub fn expire(&mut self, now: Time) -> Vec<NodeId> {
        self.departed
            .retain(|_, (left, _)| now.since(*left) <= REMEMBERED);
        let gone: Vec<NodeId> = self
            .entries
            .values()
            .filter(|n| now.since(n.heard) > n.validity())
            .map(|n| n.node)
            .collect();
        for node in &gone {
            self.remove(*node, now);
        }
        gone
    }

    /// The entry of a neighbour.
    pub fn get(&self, node: NodeId) -> Option<&Neighbour> {
        self.entries.get(&node)
    }

    /// All entries, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Neighbour> {
        self.entries.values()
    }

    /// What this node's functions ask of a neighbour, from now on. Returns whether that is news.
    pub fn set_policies(&mut self, policies: BTreeMap<FunctionName, Policy>) -> bool {
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
            .values()
            .filter(move |n| n.may_take(policy))
            .filter_map(move |n| n.functions.get(function).map(|offered| (n, offered)))
    }

    /// All that is offered and told, by function.
    pub(crate) fn board(&self) -> &Board {
        self.board
            .get_or_init(|| Board::gather(self.entries.values(), &self.policies))
    }

    /// The neighbours that offer a function and may not be sent its calls, and why, in the order of their ids.
    pub fn excluded<'a>(
        &'a self,
        function: &'a FunctionName,
    ) -> impl Iterator<Item = (NodeId, Excluded)> + 'a {
        let open = Policy::default();
        let policy = self.policy(function).cloned().unwrap_or(open);
        self.entries
            .values()
            .filter(|n| n.functions.contains_key(function))
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

fn newly_offered(
    offer: FunctionOffer,
    round_trip: Option<Duration>,
    health: &Arc<Health>,
) -> (FunctionName, Offered) {
    let offered = Offered {
        capacity: offer.capacity,
        service: offer.service,
        remote: Arc::new(Remote::new(&offer, round_trip, Arc::clone(health))),
    };
    (offer.function, offered)
}

/// Brings the functions up to what the offer says and keeps the counters of those that stay. Returns whether the set
/// or a capacity changed.
fn merge(entry: &mut Neighbour, offers: Vec<FunctionOffer>) -> bool {
    let functions = &mut entry.functions;
    let before = functions.len();
    let named = |name: &FunctionName| {
        offers
            .binary_search_by(|offer| offer.function.cmp(name))
            .is_ok()
    };
    functions.retain(|name, _| named(name));
    let mut changed = functions.len() != before;
    for offer in offers {
        match functions.get_mut(&offer.function) {
            Some(offered) => {
                changed |= offered.capacity != offer.capacity;
                offered.capacity = offer.capacity;
                offered.service = offer.service;
                offered.remote.offered(&offer);
            }
            None => {
                changed = true;
                functions.extend([newly_offered(offer, entry.round_trip, &entry.health)]);
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::Period;
    use crate::{CallRate, Headroom, Slots};

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn node(n: u8) -> NodeId {
        NodeId::from_key([n; 32])
    }

    fn name(text: &str) -> FunctionName {
        FunctionName::parse(text).unwrap()
    }

    fn offer(boot: u64, sequence: u64, functions: &[(&str, i32)]) -> Offer {
        Offer {
            boot,
            sequence,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: 1,
            },
            period: Period::from_duration(Duration::from_secs(1)),
            labels: NodeLabels::default(),
            cordoned: false,
            functions: functions
                .iter()
                .map(|(function, free)| FunctionOffer {
                    function: name(function),
                    capacity: Capacity::Slots(Slots::new(4).unwrap()),
                    headroom: Headroom {
                        free: *free,
                        size: 4,
                    },
                    queue: 8,
                    service: None,
                })
                .collect(),
        }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_entry_expires_after_three_of_its_own_periods() {
        let mut table = Neighbours::new();
        let slow = Offer {
            period: Period::from_duration(Duration::from_secs(20)),
            ..offer(1, 1, &[])
        };
        table.hear_offer(node(1), HOME, offer(1, 1, &[]), at(0));
        table.hear_offer(node(2), HOME, offer(1, 1, &[]), at(2));
        table.hear_offer(node(3), HOME, slow, at(0));
        assert_eq!(table.expire(at(3)), []);
        assert_eq!(table.expire(at(4)), [node(1)]);
        assert_eq!(table.expire(at(60)), [node(2)]);
        assert_eq!(table.expire(at(61)), [node(3)]);
    }

    #[test]
    fn a_round_trip_is_known_to_all_functions_of_the_neighbour() {
        let mut table = Neighbours::new();
        let far = Duration::from_millis(30);
        table.measure(node(1), far);
        table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
        table.measure(node(1), far);
        table.hear_offer(node(1), HOME, offer(1, 2, &[("a", 4), ("b", 4)]), at(0));
        let entry = table.get(node(1)).unwrap();
        for offered in entry.functions.values() {
            assert_eq!(offered.remote.round_trip(), Some(far));
        }
        assert_eq!(entry.round_trip, Some(far));
    }

    #[test]
    fn other_labels_and_a_cordon_are_news() {
        let mut table = Neighbours::new();
        let labels = NodeLabels::new([("region".to_owned(), "north".to_owned())]).unwrap();
        let labelled = |sequence, cordoned| Offer {
            labels: labels.clone(),
            cordoned,
            ..offer(1, sequence, &[])
        };
        let mut hear = |offer| table.hear_offer(node(1), HOME, offer, at(0));
        assert_eq!(hear(offer(1, 1, &[])), Heard::Changed);
        assert_eq!(hear(labelled(2, false)), Heard::Changed);
        assert_eq!(hear(labelled(3, false)), Heard::Refreshed);
        assert_eq!(hear(labelled(4, true)), Heard::Changed);
        assert!(table.get(node(1)).unwrap().cordoned);
    }

    #[test]
    fn counters_live_through_refreshes_and_follow_the_exact_set() {
        let mut table = Neighbours::new();
        let hear = |table: &mut Neighbours, o| table.hear_offer(node(1), HOME, o, at(0));
        assert_eq!(
            hear(&mut table, offer(1, 1, &[("a", 4), ("b", 4)])),
            Heard::Changed
        );
        let a = Arc::clone(&table.get(node(1)).unwrap().functions[&name("a")].remote);
        assert_eq!(
            hear(&mut table, offer(1, 2, &[("a", 2), ("b", 4)])),
            Heard::Refreshed
        );
        assert_eq!(a.headroom().unwrap().free, 2);
        assert_eq!(
            hear(&mut table, offer(1, 3, &[("a", 2), ("c", 4)])),
            Heard::Changed
        );
        let functions: Vec<_> = table
            .get(node(1))
            .unwrap()
            .functions
            .keys()
            .cloned()
            .collect();
        assert_eq!(functions, [name("a"), name("c")]);
    }

    #[test]
    fn old_messages_are_stale_until_the_node_boots_anew() {
        let mut table = Neighbours::new();
        table.hear_offer(node(1), HOME, offer(7, 5, &[("a", 4)]), at(0));
        assert_eq!(
            table.hear_offer(node(1), HOME, offer(7, 5, &[]), at(1)),
            Heard::Stale
        );
        assert_eq!(table.get(node(1)).unwrap().heard, at(0));
        assert_eq!(
            table.hear_offer(node(1), HOME, offer(8, 1, &[]), at(1)),
            Heard::Changed
        );
    }

    #[test]
    fn who_comes_and_goes_is_not_let_in_each_time_anew() {
        let mut table = Neighbours::new();
        let hear = |table: &mut Neighbours, sequence, seconds| {
            let offer = offer(1, sequence, &[("a", 4)]);
            table.hear_offer(node(1), HOME, offer, at(seconds));
            let entry = table.get(node(1)).unwrap();
            let remote = &entry.functions[&name("a")].remote;
            (Arc::clone(&entry.health), remote.headroom())
        };
        let (health, _) = hear(&mut table, 1, 0);
        (0..3)
            .for_each(|_| assert_ne!(health.call_failed(at(0), at(0)), Some(HealthState::Healthy)));
        assert!(table.remove(node(1), at(1)));
        assert_eq!(hear(&mut table, 2, 2).1, None);
        assert_eq!(table.expire(at(10)), [node(1)]);
        assert_eq!(hear(&mut table, 3, 20).1, None);
        assert_eq!(table.expire(at(30)), [node(1)]);
        assert_eq!(table.expire(at(1000)), []);
        assert!(hear(&mut table, 4, 1000).1.is_some(), "that is long ago");
    }

    #[test]
    fn grants_replace_those_before_them() {
        let mut table = Neighbours::new();
        let grant = |f: &str, r| Grant {
            function: name(f),
            rate: CallRate::new(r).unwrap(),
        };
        assert_eq!(
            table.hear_grants(node(1), vec![grant("a", 1.0)], at(0)),
            Heard::Stale
        );
        table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
        assert_eq!(
            table.hear_grants(node(1), vec![grant("a", 1.0)], at(0)),
            Heard::Changed
        );
        assert_eq!(
            table.hear_grants(node(1), vec![grant("a", 1.0)], at(1)),
            Heard::Refreshed
        );
        assert_eq!(table.hear_grants(node(1), vec![], at(1)), Heard::Changed);
        assert!(table.get(node(1)).unwrap().grants.is_empty());
    }
}
