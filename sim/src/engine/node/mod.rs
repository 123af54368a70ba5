//! A node: the parts of the protocol that an agent holds. All that is said to the protocol crate is said here.

mod control;
mod glance;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::delivery::{Admission, Decision, Delivery, Rejection, admit};
use dfaas_protocol::neighbours::{Candidate, Neighbours, Policies, Promise, Remote};
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::offer::Period;
use dfaas_protocol::policy::{Asked, Terms};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{CostSettings, Seen, Settings, Strategy};
use dfaas_protocol::{Headroom, Health, NodeId, NodeLabels, Time};
use rand_chacha::ChaCha8Rng;
use smallvec::SmallVec;

use crate::policy::Policy;
use crate::scenario::random::Stream;
use crate::scenario::{Experiment, Link};

use super::calls::SentTo;
use super::cores::Cores;
use super::event::{CallId, Came};
use super::local::{Local, Waiting};

/// What is said of a node that is gone to somebody who sees everything.
const GONE: Headroom = Headroom {
    free: i32::MIN / 2,
    size: 1,
};

/// What to do with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Run,
    Wait,
    /// Let it wait in the place of that one, which goes.
    Displace(CallId),
    /// Send it there.
    Forward(SentTo),
    Refuse(Rejection),
}

/// What calls read comes first and is close together, as one function and the way of its calls are kept in place.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Node {
    index: u32,
    /// Grows with each start.
    pub(crate) boot: u32,
    /// Whether it is there.
    pub(crate) up: bool,
    /// Whether it says that all its capacity is free.
    pub(crate) lies: bool,
    /// Whether it takes no calls of its neighbours.
    pub(crate) cordoned: bool,
    /// What can be planned with has changed since the last plan.
    stale: bool,
    /// How fast it runs calls now.
    pub(crate) speed: f64,
    /// The cores that its calls share, if they do.
    pub(crate) cores: Option<Box<Cores>>,
    /// When the last tick was.
    measured: Time,
    /// For each function of the experiment, the way of its calls, if the node knows of one.
    routes: SmallVec<[Option<Route>; 1]>,
    /// For each function of the experiment, what the node has of it.
    functions: SmallVec<[Option<Local>; 1]>,
    /// What it heard of its neighbours.
    neighbours: Neighbours,
    rng: ChaCha8Rng,
    /// Those who wait for the slots that functions share.
    together: Waiting,
    /// What was measured of those that it has, up to the last tick.
    seen: Vec<Seen>,
    strategy: Box<dyn Strategy>,
    /// What it says of itself.
    labels: NodeLabels,
    period: Period,
    sequence: u64,
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
        platform: &Arc<Health>,
        policies: &Arc<Policies>,
        boot: u32,
        now: Time,
    ) -> Node {
        let site = &experiment.nodes[index];
        let peers = experiment.links.neighbours(index).len();
        let slots = site.slots.map(|slots| Arc::new(NodeSlots::new(slots)));
        let functions: SmallVec<[Option<Local>; 1]> = site
            .functions
            .iter()
            .zip(&experiment.functions)
            .map(|(placement, function)| {
                let policy = Arc::clone(&function.policy);
                let shared = slots.clone();
                placement.map(|placement| {
                    Local::new(
                        placement,
                        shared,
                        policy,
                        &site.labels,
                        platform,
                        peers,
                        now,
                    )
                })
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
        let [energy_weight, price_weight] = experiment.cost_weights;
        let settings = Settings {
            costs: CostSettings {
                energy_weight,
                price_weight,
                here: site.labels.clone(),
            },
            ..Settings::default()
        };
        let mut neighbours = Neighbours::new();
        neighbours.share_policies(Arc::clone(policies));
        let peers = experiment.links.neighbours(index).iter();
        let offered = peers.map(|peer| experiment.nodes[*peer as usize].functions.iter().flatten());
        neighbours.set_aside(offered.len(), offered.map(Iterator::count).sum());
        let mut node = Node {
            index: index as u32,
            up: true,
            boot,
            lies: false,
            cordoned: false,
            functions,
            together: Waiting::new(),
            seen,
            strategy: strategy.build(&settings),
            labels: site.labels.clone(),
            measured: now,
            neighbours,
            period: Period::from_duration(period),
            routes: experiment.functions.iter().map(|_| None).collect(),
            speed: site.speed,
            cores: site.cores.map(|cores| Box::new(Cores::new(cores))),
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
                local.brought += 1;
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
        let Some(route) = self.routes[function].as_ref() else {
            return Step::Refuse(Rejection::Unknown);
        };
        match delivery.next(route, now, &mut self.rng) {
            Decision::Run(_) => Step::Run,
            Decision::Wait(_) => Step::Wait,
            Decision::Forward(place, _) => {
                let there = &route.there[place];
                there.remote.begins();
                Step::Forward(SentTo {
                    node: index_of(&there.node) as u32,
                    candidate: place as u32,
                })
            }
            Decision::Reject(why) => self.refuse(function, why, delivery.tried().terms()),
        }
    }

    /// Refuses a call, unless it can wait in the place of one of lower priority.
    fn refuse(&mut self, function: usize, why: Rejection, terms: &Terms) -> Step {
        let displaced = if why == Rejection::Full {
            self.displace(function, terms)
        } else {
            None
        };
        displaced.map_or(Step::Refuse(why), Step::Displace)
    }

    /// What to do with a call that a neighbour forwarded, to which that link leads back.
    pub(crate) fn admit(
        &mut self,
        experiment: &Experiment,
        function: usize,
        back: Link,
        terms: &Terms,
        now: Time,
    ) -> Step {
        if self.cordoned || !self.is_offered(function) {
            return Step::Refuse(Rejection::Closed);
        }
        self.plan_if_stale(experiment, now);
        let Some(route) = self.routes[function].as_ref() else {
            return Step::Refuse(Rejection::NotHere);
        };
        let step = match admit(route, id_of(back.to), terms, now) {
            Admission::Run => Step::Run,
            Admission::Wait => Step::Wait,
            Admission::Refuse(why) => self.refuse(function, why, terms),
        };
        if let Step::Refuse(_) = step {
            return step;
        }
        if let Some(local) = &mut self.functions[function] {
            let place = experiment.links.place(self.index as usize, back);
            local.for_peers[place] += 1;
        }
        step
    }

    /// The terms of a neighbour's call that comes now: what it asks for, and the objective of the function.
    pub(crate) fn terms(&self, function: usize, asked: Asked, now: Time) -> Terms {
        let own = self.functions[function].as_ref();
        Terms {
            priority: asked.priority,
            deadline: asked.within.map(|within| now + within),
            start_by: own.and_then(|local| local.terms(now).start_by),
        }
    }

    /// A call has run here, for so long.
    pub(crate) fn served(&mut self, function: usize, service: Duration) {
        if let Some(local) = self.functions[function].as_mut() {
            local.services.0 += service;
            local.services.1 += 1;
            local.tail.record(service);
        }
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
        let there = self.there(function).iter();
        there.map(|candidate| index_of(&candidate.node))
    }

    /// It is told what is left at a candidate, by its place.
    pub(crate) fn inform(&self, function: usize, place: usize, headroom: Headroom) {
        if let Some(route) = &self.routes[function] {
            let remote = &route.there[place].remote;
            remote.report(headroom);
            // Who sees everything leaves nobody alone for a refusal.
            remote.took();
        }
    }

    /// A neighbour answered a call that was sent to it then: it served or refused it, and says what is left there.
    pub(crate) fn answered(
        &self,
        function: usize,
        from: SentTo,
        came: Came,
        headroom: Headroom,
        sent: Time,
        now: Time,
    ) {
        let Some(remote) = self.remote(function, from) else {
            return;
        };
        let promise = match came {
            Came::Served => Promise::Answered(now.since(sent)),
            Came::Full => Promise::Refused(Some(headroom)),
            Came::Refused => Promise::Refused(None),
            Came::OverGrant => Promise::Void,
        };
        remote.judge(promise, || now);
        remote.report(headroom);
        if came == Came::Served {
            remote.took();
        } else {
            remote.refused(now);
        }
        remote.health().call_succeeded(|| now);
    }

    /// A function at a neighbour that its calls may be sent to. Since one was sent there, it may have another place.
    fn remote(&self, function: usize, at: SentTo) -> Option<&Remote> {
        let there = self.there(function);
        let node = at.node as usize;
        let known = there.get(at.candidate as usize);
        let known = known.filter(|candidate| index_of(&candidate.node) == node);
        let moved = || {
            let place = there.binary_search_by_key(&node, |candidate| index_of(&candidate.node));
            there.get(place.ok()?)
        };
        Some(&known.or_else(moved)?.remote)
    }

    /// Where the calls of a function may be sent to.
    fn there(&self, function: usize) -> &[Candidate] {
        let route = self.routes[function].as_ref();
        route.map_or(&[], |route| &route.there)
    }

    /// A neighbour could not be reached for a call that was sent then.
    pub(crate) fn unreached(&self, function: usize, from: SentTo, sent: Time, now: Time) {
        if let Some(remote) = self.remote(function, from) {
            remote.judge(Promise::Broke, || now);
            remote.unreached();
        }
        if let Some(neighbour) = self.neighbours.get(id_of(from.node as usize)) {
            neighbour.health.call_failed(sent, now);
        }
    }

    /// Whether calls of neighbours are taken.
    fn is_offered(&self, function: usize) -> bool {
        let local = self.functions[function].as_ref();
        local.is_none_or(|local| local.is_offered)
    }
}
