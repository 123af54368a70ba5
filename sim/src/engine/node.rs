//! A node: the parts of the protocol that an agent holds. All that is said to the protocol crate is said here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::delivery::{Admission, Decision, Delivery, Rejection, admit};
use dfaas_protocol::gate::Turn;
use dfaas_protocol::neighbours::{Heard, Neighbours};
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::offer::{FunctionOffer, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::policy::Terms;
use dfaas_protocol::queue::Place;
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{Observation, Plan, Seen, Settings, Strategy};
use dfaas_protocol::wire::{self, Message, WireError};
use dfaas_protocol::{FunctionName, Headroom, HealthState, NodeId, NodeLabels, Time};
use rand_chacha::ChaCha8Rng;

use crate::policy::Policy;
use crate::scenario::Experiment;
use crate::scenario::random::Stream;

use super::event::CallId;
use super::local::{Local, Next};

/// Nobody connects to it, but an offer names an address.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 31601;
/// How much of a new mean service time enters the estimate, as in the agent.
const SMOOTHING: f64 = 0.3;
/// What is said of a node that is gone to somebody who sees everything.
const GONE: Headroom = Headroom {
    free: i32::MIN / 2,
    size: 1,
};

/// What to do with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Run,
    Wait(Turn),
    /// Let it wait in the place of that one, which goes.
    Displace(CallId),
    /// Send it to that node.
    Forward(u32),
    Refuse(Rejection),
}

#[derive(Debug)]
pub(crate) struct Node {
    index: usize,
    /// Whether it is there.
    pub(crate) up: bool,
    /// Grows with each start.
    pub(crate) boot: u32,
    /// Whether it says that all its capacity is free.
    pub(crate) lies: bool,
    /// For each function of the experiment, what the node has of it.
    functions: Vec<Option<Local>>,
    /// What was measured of those that it has, up to the last tick.
    seen: Vec<Seen>,
    strategy: Box<dyn Strategy>,
    neighbours: Neighbours,
    period: Period,
    routes: Vec<Route>,
    /// For each function of the experiment, its place among the routes.
    route_of: Vec<Option<u16>>,
    /// When the last tick was.
    measured: Time,
    /// What can be planned with has changed since the last plan.
    stale: bool,
    sequence: u64,
    rng: ChaCha8Rng,
}

/// The node with that index in the experiment. Ids are in the order of the indices.
fn id_of(index: usize) -> NodeId {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(index as u64).to_be_bytes());
    NodeId::from_key(key)
}

fn index_of(id: &NodeId) -> usize {
    let mut index = [0; 8];
    index.copy_from_slice(&id.key()[..8]);
    u64::from_be_bytes(index) as usize
}

impl Node {
    /// A node that starts at `now` for the `boot`th time.
    pub(crate) fn new(
        experiment: &Experiment,
        index: usize,
        policy: Policy,
        boot: u32,
        now: Time,
    ) -> Node {
        let site = &experiment.nodes[index];
        let peers = experiment.links.neighbours(index).len();
        let slots = site.slots.map(|slots| Arc::new(NodeSlots::new(slots)));
        let functions: Vec<Option<Local>> = site
            .functions
            .iter()
            .zip(&experiment.functions)
            .map(|(placement, function)| {
                let policy = function.policy.clone();
                let shared = slots.clone();
                placement.map(|placement| Local::new(placement, shared, policy, peers, now))
            })
            .collect();
        let seen = functions
            .iter()
            .zip(&experiment.functions)
            .filter_map(|(local, function)| {
                let gate = Arc::clone(&local.as_ref()?.gate);
                Some(Seen::new(function.name.clone(), gate))
            })
            .collect();
        let strategy = policy.strategy();
        let period = experiment.periods.of(strategy);
        let policies = experiment.functions.iter();
        let policies: BTreeMap<_, _> = policies
            .map(|function| (function.name.clone(), function.policy.clone()))
            .collect();
        let mut neighbours = Neighbours::new();
        neighbours.set_policies(policies);
        let mut node = Node {
            index,
            up: true,
            boot,
            lies: false,
            route_of: vec![None; functions.len()],
            functions,
            seen,
            strategy: strategy.build(&Settings::default()),
            measured: now,
            neighbours,
            period: Period::from_duration(period),
            routes: Vec::new(),
            stale: false,
            sequence: 0,
            rng: Stream::Decisions(index).rng(experiment.seed),
        };
        node.plan(experiment, now);
        node
    }

    /// A client brought a call; returns what it asks for.
    pub(crate) fn take_in(&mut self, function: usize, now: Time) -> Terms {
        match &mut self.functions[function] {
            Some(local) => {
                local.from_clients.count += 1;
                local.terms(now)
            }
            None => Terms::default(),
        }
    }

    /// What to do with a call of this node's clients.
    pub(crate) fn decide(
        &mut self,
        experiment: &Experiment,
        function: usize,
        delivery: &mut Delivery,
        now: Time,
    ) -> Step {
        self.plan_if_stale(experiment, now);
        let Some(route) = self.route_of[function].map(|place| &self.routes[usize::from(place)])
        else {
            return Step::Refuse(Rejection::Unknown);
        };
        match delivery.next(route, now, &mut self.rng) {
            Decision::Run(_) => Step::Run,
            Decision::Wait(turn, _) => Step::Wait(turn),
            Decision::Forward(place, _) => Step::Forward(index_of(&route.there[place].node) as u32),
            Decision::Reject(why) => self.refuse(function, why, delivery.tried().terms()),
        }
    }

    /// Refuses a call, unless it can wait in the place of one of lower priority.
    fn refuse(&mut self, function: usize, why: Rejection, terms: &Terms) -> Step {
        let local = self.functions[function].as_mut();
        match local.filter(|_| why == Rejection::Full) {
            Some(local) => local
                .displace(terms)
                .map_or(Step::Refuse(why), Step::Displace),
            None => Step::Refuse(why),
        }
    }

    /// What to do with a call that a neighbour forwarded.
    pub(crate) fn admit(
        &mut self,
        experiment: &Experiment,
        function: usize,
        from: usize,
        terms: &Terms,
        now: Time,
    ) -> Step {
        if !self.is_offered(function) {
            return Step::Refuse(Rejection::Closed);
        }
        self.plan_if_stale(experiment, now);
        let Some(route) = self.route_of[function].map(|place| &self.routes[usize::from(place)])
        else {
            return Step::Refuse(Rejection::NotHere);
        };
        let step = match admit(route, id_of(from), now) {
            Admission::Run => Step::Run,
            Admission::Wait(turn) => Step::Wait(turn),
            Admission::Refuse(why) => self.refuse(function, why, terms),
        };
        if let Step::Refuse(_) = step {
            return step;
        }
        let place = experiment
            .links
            .neighbours(self.index)
            .binary_search(&(from as u32));
        if let (Ok(place), Some(local)) = (place, &mut self.functions[function]) {
            local.for_peers[place].count += 1;
        }
        step
    }

    /// The terms of a neighbour's call that comes now: its priority, and the objective of the function.
    pub(crate) fn terms(&self, function: usize, asked: &Terms, now: Time) -> Terms {
        let own = self.functions[function].as_ref();
        Terms {
            priority: asked.priority,
            ..own.map_or(*asked, |local| local.terms(now))
        }
    }

    /// A call waits for a slot. Returns its place, and until when waiting is of any use.
    pub(crate) fn wait(
        &mut self,
        function: usize,
        call: CallId,
        terms: &Terms,
    ) -> Option<(Place, Option<Time>)> {
        let local = self.functions[function].as_mut()?;
        Some(local.wait(call, terms))
    }

    /// The latest start of a call that is promised a token.
    pub(crate) fn latest_start(&self, function: usize, terms: &Terms) -> Option<Time> {
        terms.latest_start(self.functions[function].as_ref()?.service)
    }

    /// A call that is promised a token does not use it.
    pub(crate) fn give_back(&self, function: usize) {
        if let Some(local) = &self.functions[function] {
            local.gate.leave();
        }
    }

    /// A call that waits gives up. Returns whether it was still waiting.
    pub(crate) fn leave(&mut self, function: usize, place: Place) -> bool {
        let local = self.functions[function].as_mut();
        local.is_some_and(|local| local.leave(place))
    }

    /// A call has run here, for so long.
    pub(crate) fn served(&mut self, function: usize, service: Duration) {
        if let Some(local) = self.functions[function].as_mut() {
            local.services.0 += service;
            local.services.1 += 1;
        }
    }

    /// A slot is given up; returns who has it now, with its function.
    pub(crate) fn release(&mut self, function: usize, now: Time) -> (usize, Next) {
        let Some(local) = self.functions[function].as_mut() else {
            return (function, Next::Nobody);
        };
        match local.release(now) {
            Some(next) => (function, next),
            None => self.resume(now),
        }
    }

    /// Who has a slot that is free for all functions of the node: the first of those that wait and may have it.
    fn resume(&mut self, now: Time) -> (usize, Next) {
        let locals = self.functions.iter().enumerate();
        let mut order: Vec<_> = locals
            .filter_map(|(function, local)| Some((local.as_ref()?.precedence()?, function)))
            .collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        for (_, function) in order {
            let local = self.functions[function].as_mut();
            if let Some(next) = local.and_then(|local| local.resume(now)) {
                return (function, next);
            }
        }
        (0, Next::Nobody)
    }

    /// What it says is left of a function.
    pub(crate) fn says(&self, function: usize, now: Time) -> Headroom {
        let Some(local) = &self.functions[function] else {
            return GONE;
        };
        let mut headroom = local.gate.headroom(now);
        if self.lies {
            headroom.free = headroom.size as i32;
        }
        headroom
    }

    /// What is left of a function in truth.
    pub(crate) fn headroom(&self, function: usize, now: Time) -> Headroom {
        match &self.functions[function] {
            Some(local) if self.up => local.gate.headroom(now),
            _ => GONE,
        }
    }

    /// The nodes that a call of the function may be sent to.
    pub(crate) fn candidates(&self, function: usize) -> impl ExactSizeIterator<Item = usize> + '_ {
        let route = self.route_of[function].map(|place| &self.routes[usize::from(place)]);
        let there = route.map_or(&[][..], |route| &route.there[..]);
        there.iter().map(|candidate| index_of(&candidate.node))
    }

    /// It is told what is left at a candidate, by its place.
    pub(crate) fn inform(&self, function: usize, place: usize, headroom: Headroom) {
        if let Some(route) = self.route_of[function].map(|place| &self.routes[usize::from(place)]) {
            let remote = &route.there[place].remote;
            remote.report(headroom);
            // Who sees everything leaves nobody alone for a refusal.
            remote.took();
        }
    }

    /// A neighbour answered a call: it served or refused it, and says what is left there.
    pub(crate) fn answered(
        &self,
        function: usize,
        from: usize,
        served: bool,
        headroom: Headroom,
        now: Time,
    ) {
        let Some(route) = self.route_of[function].map(|place| &self.routes[usize::from(place)])
        else {
            return;
        };
        let found = route
            .there
            .binary_search_by_key(&from, |candidate| index_of(&candidate.node));
        if let Ok(place) = found {
            let remote = &route.there[place].remote;
            remote.report(headroom);
            if served {
                remote.took();
            } else {
                remote.refused(now);
            }
            remote.health().call_succeeded(|| now);
        }
    }

    /// A neighbour could not be reached for a call that was sent then.
    pub(crate) fn unreached(&self, from: usize, sent: Time, now: Time) {
        if let Some(neighbour) = self.neighbours.get(id_of(from)) {
            neighbour.health.call_failed(sent, now);
        }
    }

    /// The neighbours that are not healthy.
    pub(crate) fn unwell(&self) -> Vec<usize> {
        self.neighbours
            .iter()
            .filter(|neighbour| neighbour.health.state() != HealthState::Healthy)
            .map(|neighbour| index_of(&neighbour.node))
            .collect()
    }

    /// A neighbour was checked.
    pub(crate) fn checked(&self, node: usize, passed: bool, now: Time) {
        if let Some(neighbour) = self.neighbours.get(id_of(node)) {
            if passed {
                neighbour.health.check_passed(now);
            } else {
                neighbour.health.check_failed(now);
            }
        }
    }

    /// What this node offers now.
    pub(crate) fn offer(&mut self, now: Time) -> Result<Vec<u8>, WireError> {
        self.sequence += 1;
        let locals = self.functions.iter().flatten();
        let mut functions: Vec<FunctionOffer> = locals
            .zip(&self.seen)
            .filter(|(local, _)| local.is_offered)
            .map(|(_, seen)| {
                let mut headroom = seen.gate.headroom(now);
                if self.lies {
                    headroom.free = headroom.size as i32;
                }
                FunctionOffer {
                    function: seen.function.clone(),
                    capacity: seen.gate.capacity(),
                    headroom,
                    queue: seen.gate.queue(),
                    service: seen.service.map(ServiceTime::from_duration),
                }
            })
            .collect();
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        wire::encode(&Message::Offer(Offer {
            boot: u64::from(self.boot),
            sequence: self.sequence,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: PORT,
            },
            period: self.period,
            labels: NodeLabels::default(),
            cordoned: false,
            functions,
        }))
    }

    /// Measures the period that ended, plans, and returns what to tell, by the neighbour's index.
    pub(crate) fn tick(
        &mut self,
        experiment: &Experiment,
        now: Time,
    ) -> Result<Vec<(usize, Vec<u8>)>, WireError> {
        self.neighbours.expire(now);
        let peers = experiment.links.neighbours(self.index);
        let seconds = now.since(self.measured).as_secs_f64().max(1e-3);
        self.measured = now;
        let locals = self.functions.iter_mut().flatten();
        for (local, seen) in locals.zip(&mut self.seen) {
            seen.from_clients = local.from_clients.rate(now);
            let counters = peers.iter().zip(&mut local.for_peers);
            seen.for_peers = counters
                .map(|(peer, counter)| (*peer, counter.rate(now)))
                .filter(|(_, rate)| *rate > 0.0)
                .map(|(peer, rate)| (id_of(peer as usize), rate))
                .collect();
            let (sum, count) = std::mem::take(&mut local.services);
            seen.run = f64::from(count) / seconds;
            if count > 0 {
                let mean = (sum / count).as_secs_f64();
                let known = seen.service.map_or(mean, |known| known.as_secs_f64());
                let smoothed = known + SMOOTHING * (mean - known);
                seen.service = Some(Duration::from_secs_f64(smoothed));
                local.service = seen.service;
            }
        }
        self.plan(experiment, now)
            .into_iter()
            .map(|(peer, message)| Ok((index_of(&peer), wire::encode(&message)?)))
            .collect()
    }

    /// A control message arrived. What changes the plan is planned with before the next decision, with what was measured
    /// up to the last tick.
    pub(crate) fn hear(
        &mut self,
        experiment: &Experiment,
        from: usize,
        bytes: &[u8],
        now: Time,
    ) -> Result<(), WireError> {
        let node = id_of(from);
        let heard = match wire::decode(bytes)? {
            Message::Offer(offer) => self.neighbours.hear_offer(node, ADDRESS, offer, now),
            Message::Grants(grants) => self.neighbours.hear_grants(node, grants, now),
            Message::Margin(margin) => self.neighbours.hear_margin(node, margin, now),
            Message::Prices(prices) => self.neighbours.hear_prices(node, prices, now),
            Message::Bids(bids) => self.neighbours.hear_bids(node, bids, now),
            Message::Farewell if self.neighbours.remove(node, now) => Heard::Changed,
            // The simulator's nodes are all members.
            Message::Farewell | Message::Members(_) | Message::Revocations(_) => Heard::Stale,
        };
        if heard == Heard::Changed {
            self.stale = true;
            if let Some(link) = experiment.links.between(self.index, from) {
                self.neighbours.measure(node, link.delay * 2);
            }
        }
        Ok(())
    }

    /// The node is gone; returns the calls that waited for a slot.
    pub(crate) fn crash(&mut self, now: Time) -> Vec<CallId> {
        self.up = false;
        let locals = self.functions.iter_mut().flatten();
        locals.flat_map(|local| local.clear(now)).collect()
    }

    /// Whether calls of neighbours are taken. Nodes of a scenario have no labels.
    fn is_offered(&self, function: usize) -> bool {
        let local = self.functions[function].as_ref();
        local.is_none_or(|local| local.is_offered)
    }

    fn plan_if_stale(&mut self, experiment: &Experiment, now: Time) {
        if self.stale {
            self.plan(experiment, now);
        }
    }

    fn plan(&mut self, experiment: &Experiment, now: Time) -> Vec<(NodeId, Message)> {
        self.stale = false;
        let mut seen = Observation::new(now, &self.neighbours, &self.seen);
        seen.measured = self.measured;
        let plan: Plan = self.strategy.plan(&seen, &mut self.rng);
        self.routes = plan.routes;
        let place_of = |name: &FunctionName| {
            let place = self.routes.iter().position(|route| route.function == *name);
            place.map(|place| place as u16)
        };
        let functions = experiment.functions.iter();
        self.route_of = functions.map(|function| place_of(&function.name)).collect();
        let grants = plan.grants.into_iter();
        let grants = grants.map(|(peer, grants)| (peer, Message::Grants(grants)));
        grants.chain(plan.messages).collect()
    }
}
