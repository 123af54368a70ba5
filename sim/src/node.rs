//! A node: the parts of the protocol that an agent holds, with plain cells around them.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::delivery::{Admission, Decision, Delivery, admit};
use dfaas_protocol::estimate::RateMeter;
use dfaas_protocol::gate::Gate;
use dfaas_protocol::neighbours::{Heard, Neighbours};
use dfaas_protocol::offer::{FunctionOffer, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{Observation, Plan, Seen, Settings, Strategy, StrategyName};
use dfaas_protocol::wire::{self, Message, WireError};
use dfaas_protocol::{Capacity, FunctionName, Headroom, NodeId, NodeLabels, Slots, Time};
use rand_chacha::ChaCha8Rng;

use crate::event::Call;
use crate::knobs::{QUEUE, Stream};

/// Every node has this one function.
const FUNCTION: &str = "f";
/// Nobody connects to it, but an offer names an address.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 31601;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) gate: Arc<Gate>,
    /// Calls that wait for a slot, first come first served.
    pub(crate) waiting: VecDeque<Box<Call>>,
    strategy: Box<dyn Strategy>,
    neighbours: Neighbours,
    route: Route,
    /// What was measured up to the last tick.
    seen: Seen,
    period: Period,
    sequence: u64,
    from_clients: Counter,
    for_peers: BTreeMap<NodeId, Counter>,
    /// Sum and number of the service times since the last tick.
    services: (Duration, u32),
    /// When the last tick was.
    measured: Time,
    rng: ChaCha8Rng,
}

#[derive(Debug)]
struct Counter {
    count: u64,
    meter: RateMeter,
}

impl Counter {
    fn new() -> Counter {
        Counter {
            count: 0,
            meter: RateMeter::new(0, Time::ZERO),
        }
    }

    fn rate(&mut self, now: Time) -> f64 {
        self.meter.read(self.count, now)
    }
}

/// The node with that index in the network.
fn id_of(index: usize) -> NodeId {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(index as u64).to_be_bytes());
    NodeId::from_key(key)
}

fn index_of(id: NodeId) -> usize {
    let mut index = [0; 8];
    index.copy_from_slice(&id.key()[..8]);
    u64::from_be_bytes(index) as usize
}

impl Node {
    pub(crate) fn new(
        index: usize,
        slots: Slots,
        strategy: StrategyName,
        period: Duration,
        seed: u64,
    ) -> Node {
        let function = FunctionName::parse(FUNCTION).expect("the name above is a function name");
        let gate = Arc::new(Gate::new(Capacity::Slots(slots), QUEUE));
        let seen = Seen::new(function, Arc::clone(&gate));
        let mut strategy = strategy.build(&Settings::default());
        let neighbours = Neighbours::new();
        let mut rng = Stream::Decisions(index).rng(seed);
        let first = Observation::new(Time::ZERO, &neighbours, std::slice::from_ref(&seen));
        let plan = strategy.plan(&first, &mut rng);
        Node {
            gate,
            waiting: VecDeque::new(),
            strategy,
            neighbours,
            route: own_route(plan),
            seen,
            period: Period::from_duration(period),
            sequence: 0,
            from_clients: Counter::new(),
            for_peers: BTreeMap::new(),
            services: (Duration::ZERO, 0),
            measured: Time::ZERO,
            rng,
        }
    }

    /// A client brought a call.
    pub(crate) fn take_in(&mut self) {
        self.from_clients.count += 1;
    }

    /// What to do with a call of this node's clients.
    pub(crate) fn decide(&mut self, delivery: &mut Delivery, now: Time) -> Decision {
        delivery.next(&self.route, now, &mut self.rng)
    }

    /// The index of the node that a decision to forward means.
    pub(crate) fn candidate(&self, index: usize) -> usize {
        index_of(self.route.there[index].node)
    }

    /// What to do with a call that a neighbour forwarded.
    pub(crate) fn admit(&mut self, from: usize, now: Time) -> Admission {
        let from = id_of(from);
        let admission = admit(&self.route, from, now);
        if !matches!(admission, Admission::Refuse(_)) {
            self.for_peers
                .entry(from)
                .or_insert_with(Counter::new)
                .count += 1;
        }
        admission
    }

    /// A call has run here.
    pub(crate) fn served(&mut self, service: Duration) {
        self.services.0 += service;
        self.services.1 += 1;
    }

    /// A neighbour's answer says what is left there.
    pub(crate) fn reported(&self, from: usize, headroom: Headroom) {
        let neighbour = self.neighbours.get(id_of(from));
        if let Some(offered) = neighbour.and_then(|n| n.functions.get(&self.seen.function)) {
            offered.remote.report(headroom);
        }
    }

    /// What this node offers now.
    pub(crate) fn offer(&mut self, now: Time) -> Result<Vec<u8>, WireError> {
        self.sequence += 1;
        wire::encode(&Message::Offer(Offer {
            boot: 1,
            sequence: self.sequence,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: PORT,
            },
            period: self.period,
            labels: NodeLabels::default(),
            cordoned: false,
            functions: vec![FunctionOffer {
                function: self.seen.function.clone(),
                capacity: self.gate.capacity(),
                headroom: self.gate.headroom(now),
                queue: self.gate.queue(),
                service: self.seen.service.map(ServiceTime::from_duration),
            }],
        }))
    }

    /// Measures the period that ended, plans, and returns what to tell, by the neighbour's index.
    pub(crate) fn tick(&mut self, now: Time) -> Result<Vec<(usize, Vec<u8>)>, WireError> {
        self.neighbours.expire(now);
        self.seen.from_clients = self.from_clients.rate(now);
        self.seen.for_peers = self
            .for_peers
            .iter_mut()
            .map(|(peer, counter)| (*peer, counter.rate(now)))
            .collect();
        let (sum, count) = std::mem::take(&mut self.services);
        let period = now.since(self.measured).as_secs_f64();
        self.measured = now;
        self.seen.run = f64::from(count) / period.max(1e-3);
        if count > 0 {
            self.seen.service = Some(sum / count);
        }
        self.plan(now)
            .into_iter()
            .map(|(peer, message)| Ok((index_of(peer), wire::encode(&message)?)))
            .collect()
    }

    /// A control message arrived. What changes the plan does so at once, with what was measured up to the last tick.
    pub(crate) fn hear(
        &mut self,
        from: usize,
        round_trip: Duration,
        bytes: &[u8],
        now: Time,
    ) -> Result<(), WireError> {
        let from = id_of(from);
        let heard = match wire::decode(bytes)? {
            Message::Offer(offer) => self.neighbours.hear_offer(from, ADDRESS, offer, now),
            Message::Grants(grants) => self.neighbours.hear_grants(from, grants, now),
            Message::Margin(margin) => self.neighbours.hear_margin(from, margin, now),
            Message::Prices(prices) => self.neighbours.hear_prices(from, prices, now),
            Message::Bids(bids) => self.neighbours.hear_bids(from, bids, now),
            Message::Farewell if self.neighbours.remove(from, now) => Heard::Changed,
            Message::Farewell => Heard::Stale,
        };
        if heard == Heard::Changed {
            self.neighbours.measure(from, round_trip);
            self.plan(now);
        }
        Ok(())
    }

    fn plan(&mut self, now: Time) -> Vec<(NodeId, Message)> {
        let mut seen = Observation::new(now, &self.neighbours, std::slice::from_ref(&self.seen));
        seen.measured = self.measured;
        let mut plan = self.strategy.plan(&seen, &mut self.rng);
        let grants = std::mem::take(&mut plan.grants).into_iter();
        let grants = grants.map(|(peer, grants)| (peer, Message::Grants(grants)));
        let told = grants.chain(std::mem::take(&mut plan.messages)).collect();
        self.route = own_route(plan);
        told
    }
}

fn own_route(mut plan: Plan) -> Route {
    plan.routes
        .pop()
        .expect("a plan has a route for each function of the node, and it has one")
}
