//! The table of neighbours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::claims::ClaimLimits;
use crate::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, ServiceTime};
use crate::policy::{Excluded, Policy};
use crate::trade::{Bid, Margin, Price};
use crate::{Capacity, FunctionName, Health, NodeId, NodeLabels, Time};

use super::board::Board;
use super::boots::{Boots, Order};
use super::suspicion::Suspicion;
use super::{OfferCounts, Remote, Trust};

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
    boots: Boots,
    pub(super) suspicion: Suspicion,
    /// How far its word is taken for functions that it does not offer now, where something is remembered against it.
    records: Records,
}

/// How far the word of a node is taken, by function.
type Records = BTreeMap<FunctionName, Arc<Trust>>;

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
    /// The message says more than any neighbour may; nothing changed.
    Refused,
}

/// The neighbours that were heard lately. An entry expires when its node was silent for three of its own periods.
#[derive(Debug, Default)]
pub struct Neighbours {
    pub(super) entries: BTreeMap<NodeId, Neighbour>,
    /// What this node's functions ask of a neighbour.
    policies: BTreeMap<FunctionName, Policy>,
    /// All that is offered and told, by function; made when it is asked for and who offers what has changed.
    board: OnceLock<Board>,
    departed: BTreeMap<NodeId, Departed>,
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
/// Of how many functions that a neighbour does not offer any more something is remembered against it.
const MOST_RECORDS: usize = 64;
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
        let changed = merge(entry, offer.functions);
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
                Arc::default(),
                Boots::new(offer.boot, offer.sequence),
                Records::new(),
            ),
        };
        let mut entry = Neighbour {
            node,
            heard: now,
            period: offer.period.as_duration(),
            round_trip: None,
            labels: offer.labels,
            cordoned: offer.cordoned,
            endpoint: offer.peer_endpoint,
            seen_at,
            functions: BTreeMap::new(),
            health,
            grants: Vec::new(),
            margin: Margin::default(),
            prices: Vec::new(),
            bids: Vec::new(),
            boots,
            suspicion: Suspicion::new(now),
            records,
        };
        merge(&mut entry, offer.functions);
        self.entries.insert(node, entry);
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
            for offered in entry.functions.values() {
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
            .values()
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
        for entry in self.entries.values() {
            for offered in entry.functions.values() {
                offered.remote.look_for_stuck(now);
                offered.remote.trust().pass_time(now);
            }
        }
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

impl Neighbour {
    /// Forgets what it offers, but not what is remembered against it.
    fn begin_anew(&mut self) {
        for (function, offered) in std::mem::take(&mut self.functions) {
            self.remember(function, offered.remote.trust());
        }
    }

    fn remember(&mut self, function: FunctionName, trust: &Arc<Trust>) {
        if !trust.is_clean() && self.records.len() < MOST_RECORDS {
            self.records.insert(function, Arc::clone(trust));
        }
    }
}

/// Brings the functions up to what the offer says and keeps the counters of those that stay. Returns whether the set
/// or a capacity changed.
fn merge(entry: &mut Neighbour, offers: Vec<FunctionOffer>) -> bool {
    let before = entry.functions.len();
    let named = |name: &FunctionName| {
        offers
            .binary_search_by(|offer| offer.function.cmp(name))
            .is_ok()
    };
    let withdrawn: Vec<FunctionName> = entry
        .functions
        .keys()
        .filter(|name| !named(name))
        .cloned()
        .collect();
    for name in withdrawn {
        if let Some(offered) = entry.functions.remove(&name) {
            entry.remember(name, offered.remote.trust());
        }
    }
    let mut changed = entry.functions.len() != before;
    for offer in offers {
        match entry.functions.get_mut(&offer.function) {
            Some(offered) => {
                changed |= offered.capacity != offer.capacity;
                offered.capacity = offer.capacity;
                offered.service = offer.service;
                offered.remote.offered(&offer);
            }
            None => {
                changed = true;
                let trust = entry.records.remove(&offer.function).unwrap_or_default();
                let remote = Remote::new(&offer, entry.round_trip, Arc::clone(&entry.health));
                let offered = Offered {
                    capacity: offer.capacity,
                    service: offer.service,
                    remote: Arc::new(remote.trusted(trust)),
                };
                entry.functions.insert(offer.function, offered);
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbours::{Promise, Watched};
    use crate::offer::Period;
    use crate::sighting::Sighting;
    use crate::{CallRate, Headroom, HealthState, Slots};
    use rand::SeedableRng;

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

    #[test]
    fn what_was_said_before_a_restart_or_a_farewell_is_stale_even_after_it_left() {
        let mut table = Neighbours::new();
        let hear = |table: &mut Neighbours, boot, sequence, seconds| {
            let offer = offer(boot, sequence, &[("a", 4)]);
            table.hear_offer(node(1), HOME, offer, at(seconds))
        };
        assert_eq!(hear(&mut table, 7, 5, 0), Heard::Changed);
        table.remove(node(1), at(1));
        assert_eq!(hear(&mut table, 7, 5, 2), Heard::Stale, "replayed");
        assert!(table.is_empty());
        assert_eq!(hear(&mut table, 7, 6, 2), Heard::Changed);
        assert_eq!(hear(&mut table, 3, 1, 3), Heard::Changed, "a smaller id");
        assert_eq!(hear(&mut table, 7, 7, 3), Heard::Stale);
        assert!(table.farewell(node(1), at(4)));
        assert_eq!(hear(&mut table, 3, 2, 5), Heard::Stale);
        assert!(table.is_empty() && !table.farewell(node(1), at(5)));
        assert_eq!(hear(&mut table, 4, 1, 6), Heard::Changed);
        assert_eq!(table.counts().stale, 3);
    }

    #[test]
    fn an_answer_from_before_a_restart_says_nothing_of_what_is_now() {
        let mut table = Neighbours::new();
        table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
        let remote = |table: &Neighbours| {
            let entry = table.get(node(1)).unwrap();
            Arc::clone(&entry.functions[&name("a")].remote)
        };
        let before = remote(&table);
        table.hear_offer(node(1), HOME, offer(2, 1, &[("a", 1)]), at(1));
        before.report(Headroom { free: 4, size: 4 });
        assert_eq!(remote(&table).reported().free, 1);
    }

    #[test]
    fn who_was_away_is_let_in_step_by_step_and_one_that_was_never_there_is_not() {
        let mut table = Neighbours::new();
        let state = |table: &mut Neighbours, boot, sequence, ms| {
            let now = Time::ZERO + Duration::from_millis(ms);
            table.hear_offer(node(1), HOME, offer(boot, sequence, &[]), now);
            table.get(node(1)).unwrap().health.state()
        };
        assert_eq!(state(&mut table, 1, 1, 0), HealthState::Healthy);
        table.remove(node(1), at(1));
        assert_eq!(
            state(&mut table, 1, 2, 1500),
            HealthState::Healthy,
            "a blink"
        );
        table.remove(node(1), at(2));
        assert_eq!(state(&mut table, 1, 3, 3000), HealthState::Probation);
        let mut table = Neighbours::new();
        state(&mut table, 1, 1, 0);
        assert_eq!(
            state(&mut table, 2, 1, 100),
            HealthState::Probation,
            "it restarted"
        );
    }

    #[test]
    fn standing_is_not_got_back_by_leaving_or_by_offering_anew() {
        let mut table = Neighbours::new();
        let mut sequence = 0;
        let mut hear = |table: &mut Neighbours, functions: &[(&str, i32)]| {
            sequence += 1;
            table.hear_offer(
                node(1),
                HOME,
                offer(sequence / 4, sequence, functions),
                at(0),
            );
            let entry = table.get(node(1)).unwrap();
            let offered = entry.functions.get(&name("a"));
            offered.map(|offered| Arc::clone(&offered.remote))
        };
        let remote = hear(&mut table, &[("a", 4)]).unwrap();
        let lie = Promise::Refused(Some(Headroom { free: 4, size: 4 }));
        (0..50).for_each(|_| remote.judge(lie, || at(0)));
        let before = remote.trust().standing();
        assert!(before < 0.1);
        assert!(hear(&mut table, &[("b", 4)]).is_none());
        for _ in 0..6 {
            let remote = hear(&mut table, &[("a", 4), ("b", 4)]).unwrap();
            assert_eq!(remote.trust().standing(), before);
            table.remove(node(1), at(0));
        }
    }

    #[test]
    fn an_offer_that_claims_too_much_is_cut_or_refused_and_counted() {
        let mut table = Neighbours::new();
        let claims = ClaimLimits {
            functions: 2,
            slots: Slots::ONE,
            ..ClaimLimits::generous()
        };
        table.believe(claims);
        table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4), ("b", 1)]), at(0));
        let entry = table.get(node(1)).unwrap();
        let left = entry.functions[&name("a")].remote.reported();
        assert_eq!(left, Headroom { free: 1, size: 1 });
        let three = offer(1, 2, &[("a", 4), ("b", 1), ("c", 1)]);
        assert_eq!(
            table.hear_offer(node(1), HOME, three, at(1)),
            Heard::Refused
        );
        assert_eq!(table.get(node(1)).unwrap().heard, at(0));
        assert_eq!((table.counts().cut, table.counts().refused), (2, 1));
    }

    /// Three nodes that hear each other, one of which falls silent after ten seconds.
    #[test]
    fn one_that_falls_silent_is_suspected_then_dead_by_the_word_of_another_and_let_in_when_heard() {
        let mut table = Neighbours::new();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let ms = |ms| Time::ZERO + Duration::from_millis(ms);
        let (mut suspected, mut dead) = (0, 0);
        for now in (0..14_000).step_by(100) {
            for n in [1, 2] {
                if now % 1000 == 0 && (n == 2 || now <= 10_000) {
                    let offer = offer(1, now / 1000 + 1, &[("a", 4)]);
                    table.hear_offer(node(n), HOME, offer, ms(now));
                }
            }
            let watched = table.watch(ms(now), &mut rng);
            for question in watched.questions {
                assert_eq!((question.ask, question.about), (node(2), node(1)));
                let silent = Some(Duration::from_millis(now - 10_000));
                table.is_told(node(2), Sighting::new(node(1), silent), ms(now + 5));
            }
            for change in watched.changes {
                match change {
                    (who, HealthState::Suspected) if who == node(1) => suspected = now,
                    (who, HealthState::Ejected) if who == node(1) => dead = now,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!((12_000..=12_300).contains(&suspected), "{suspected}");
        assert_eq!(dead, suspected + 100);
        assert!(table.get(node(1)).is_none(), "it expired");
        let back = offer(1, 99, &[("a", 4)]);
        table.hear_offer(node(1), HOME, back, ms(14_000));
        let health = &table.get(node(1)).unwrap().health;
        assert_eq!(
            health.check_passed(ms(14_100)),
            Some(HealthState::Probation)
        );
    }

    #[test]
    fn one_that_answers_calls_or_that_others_hear_is_not_given_up() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let ms = |ms| Time::ZERO + Duration::from_millis(ms);
        let mut table = Neighbours::new();
        for n in [1, 2, 3] {
            table.hear_offer(node(n), HOME, offer(1, 1, &[("a", 4)]), ms(0));
        }
        for now in (0..20_000).step_by(100) {
            // The first answers calls, of the second somebody hears, the third speaks.
            if now % 1000 == 0 {
                let _ = table
                    .get(node(1))
                    .unwrap()
                    .health
                    .call_succeeded(|| ms(now));
                table.hear_offer(node(3), HOME, offer(1, now + 2, &[("a", 4)]), ms(now));
            }
            for question in table.watch(ms(now), &mut rng).questions {
                assert_eq!(question.about, node(2));
                let just_now = Some(Duration::from_millis(100));
                table.is_told(question.ask, Sighting::new(node(2), just_now), ms(now));
            }
        }
        let state = |n| table.get(node(n)).map(|entry| entry.health.state());
        assert_eq!(state(1), Some(HealthState::Healthy));
        assert_eq!(state(2), Some(HealthState::Suspected));
        assert_eq!(state(3), Some(HealthState::Healthy));
    }

    #[test]
    fn a_node_that_was_stopped_itself_gives_nobody_up() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut table = Neighbours::new();
        table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
        assert_eq!(table.watch(at(0), &mut rng), Watched::default());
        assert_eq!(table.watch(at(600), &mut rng), Watched::default());
        assert_eq!(table.len(), 1);
    }
}
