//! The control of a node: it owns the neighbours, the functions and the strategy, and publishes routes.
//!
//! It is driven by events and by the tick of the period, under one lock that the data path never takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dfaas_protocol::estimate::Limiter;
use dfaas_protocol::gate::Gate;
use dfaas_protocol::neighbours::{Heard, Neighbours};
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::offer::{FunctionOffer, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::policy::Policy;
use dfaas_protocol::strategy::{
    Answer, Ask, NodeState, Observation, Seen, Settings, Strategy, StrategyName, Told,
};
use dfaas_protocol::wire::Message;
use dfaas_protocol::{Capacity, FunctionName, NodeId, NodeLabels, Time};

use crate::admin::view::Calls;
use crate::config::{Config, FunctionDefaults, ListedNeighbour};
use crate::datapath::Shared;
use crate::peer::Checked;
use crate::platform::DeployedFunction;
use crate::routing::{CallCounters, LocalFunction, Routes, Served, Waiters};
use crate::telemetry::machine::Machine;

use super::measure::{Measured, PeerCalls};

/// The label with a function's own timeout, in milliseconds, as the reference has it.
const TIMEOUT_LABEL: &str = "dfaas.timeout_ms";
/// How long a function that nobody has any more is taken for one that will be back: one whose only platform restarts is
/// not gone.
const LAPSE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) neighbours: Neighbours,
    pub(super) strategy_name: StrategyName,
    pub(super) functions: BTreeMap<FunctionName, Local>,
    pub(super) counters: BTreeMap<FunctionName, Arc<CallCounters>>,
    /// When each function last had a route.
    routed: BTreeMap<FunctionName, Time>,
    /// Whether the platform could say what it has when it was last asked.
    listed: bool,
    strategy: Box<dyn Strategy>,
    settings: Settings,
    /// When the last period was closed.
    measured: Time,
    machine: Machine,
    /// What the machine used in that period.
    pub(super) machine_state: NodeState,
    /// What became of the last question, and how many there were.
    answer: Option<Answer>,
    asked: u64,
    peer_calls: BTreeMap<FunctionName, HashMap<NodeId, PeerCalls>>,
    defaults: FunctionDefaults,
    /// What all functions run at one time, where they share it, and those who wait for it.
    pub(super) node_slots: Option<Arc<NodeSlots>>,
    waiters: Arc<Waiters>,
    peer_endpoint: PeerEndpoint,
    /// Where listed neighbours take calls, if not where their offers say.
    listed_endpoints: BTreeMap<NodeId, PeerEndpoint>,
    period: Period,
    labels: NodeLabels,
    pub(super) cordoned: bool,
    boot: u64,
    sequence: u64,
}

/// A function of the local platform.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) function: Arc<LocalFunction>,
    pub(super) measured: Measured,
    /// Learns its slots, where they are not declared.
    pub(super) limiter: Option<Limiter>,
    /// What its labels declare.
    declared: Option<Capacity>,
    timeout: Duration,
    replicas: u32,
}

impl Control {
    /// A node that knows nothing yet. `boot` tells this start of the node from others.
    pub(super) fn new(
        shared: Arc<Shared>,
        config: &Config,
        peer_endpoint: PeerEndpoint,
        boot: u64,
    ) -> Control {
        let mut neighbours = Neighbours::new();
        neighbours.believe(config.limits.claims);
        Control {
            neighbours,
            strategy_name: config.strategy.name,
            strategy: config.strategy.name.build(&config.strategy.settings),
            settings: config.strategy.settings.clone(),
            measured: shared.clock.now(),
            machine: Machine::new(config.strategy.estimated_power),
            machine_state: NodeState::default(),
            answer: None,
            asked: 0,
            functions: BTreeMap::new(),
            counters: BTreeMap::new(),
            peer_calls: BTreeMap::new(),
            listed: false,
            routed: BTreeMap::new(),
            defaults: config.functions.clone(),
            node_slots: config
                .node
                .slots
                .map(|slots| Arc::new(NodeSlots::new(slots))),
            waiters: Arc::new(Waiters::new(shared.clock)),
            peer_endpoint,
            listed_endpoints: listed_endpoints(&config.overlay.listed),
            period: Period::from_duration(config.strategy.period),
            labels: config.node.labels.clone(),
            cordoned: config.node.cordoned,
            boot,
            sequence: 0,
            shared,
        }
    }

    /// A neighbour's offer arrived over a connection from `seen_at`.
    pub(super) fn hear_offer(&mut self, from: NodeId, seen_at: IpAddr, mut offer: Offer) -> Heard {
        if let Some(listed) = self.listed_endpoints.get(&from) {
            offer.peer_endpoint = *listed;
        }
        let membership = self.shared.tls.membership();
        if !membership.may_call(self.shared.node, from) {
            offer.functions.clear();
        }
        offer.labels = membership.vouched(from, offer.labels);
        let now = self.shared.clock.now();
        self.neighbours.hear_offer(from, seen_at, offer, now)
    }

    /// The platform said what it has. Returns whether anything changed.
    pub(super) fn deployed(&mut self, deployed: Vec<DeployedFunction>) -> bool {
        let mut changed = !self.listed;
        self.listed = true;
        let before = self.functions.len();
        self.functions
            .retain(|name, _| deployed.iter().any(|d| d.name == *name));
        changed |= self.functions.len() != before;
        changed |= self.read_policies(&deployed);
        for function in deployed {
            changed |= self.deploy(function);
        }
        changed
    }

    /// Reads what the functions ask for. Returns whether that changed.
    fn read_policies(&mut self, deployed: &[DeployedFunction]) -> bool {
        let mut policies = BTreeMap::new();
        for function in deployed {
            let (policy, unusable) = Policy::from_labels(&function.labels);
            if self.neighbours.policy(&function.name) != Some(&policy) {
                for error in unusable {
                    tracing::warn!(function = %function.name, %error, "a label says nothing of use");
                }
            }
            policies.insert(function.name.clone(), policy);
        }
        self.neighbours.set_policies(policies)
    }

    /// Whether neighbours may bring calls of a function here.
    fn is_offered(&self, function: &FunctionName) -> bool {
        let policy = self.neighbours.policy(function);
        policy.is_none_or(|policy| policy.is_offered_by(&self.labels))
    }

    fn deploy(&mut self, deployed: DeployedFunction) -> bool {
        let (declared, unusable) = match Capacity::declared(&deployed.labels) {
            Ok(declared) => (declared, None),
            Err(error) => (None, Some(error)),
        };
        let capacity = declared.unwrap_or(Capacity::Slots(self.defaults.concurrency));
        let timeout = deployed
            .labels
            .get(TIMEOUT_LABEL)
            .and_then(|text| text.trim().parse().ok())
            .filter(|ms| *ms > 0)
            .map_or(self.shared.timeouts.request, Duration::from_millis);
        if let Some(known) = self.functions.get_mut(&deployed.name)
            && known.declared == declared
        {
            let changed = known.timeout != timeout;
            known.timeout = timeout;
            known.replicas = deployed.replicas;
            return changed;
        }
        if let Some(error) = unusable {
            tracing::warn!(function = %deployed.name, %error, "the label is left out of account");
        }
        tracing::info!(function = %deployed.name, ?declared, "the platform has a function");
        let health = Arc::clone(self.shared.platform.health());
        let mut gate = Gate::new(capacity, self.defaults.queue).on(health);
        if let Some(slots) = &self.node_slots {
            gate = gate.sharing(Arc::clone(slots));
        }
        let waiters = if gate.is_sharing() {
            Arc::clone(&self.waiters)
        } else {
            Arc::new(Waiters::new(self.shared.clock))
        };
        let gate = Arc::new(gate);
        let learns = declared.is_none() && self.defaults.learn;
        let name = deployed.name.clone();
        let function = Arc::new(if learns {
            LocalFunction::learning(name, gate, waiters)
        } else {
            LocalFunction::new(name, gate, waiters)
        });
        let now = self.shared.clock.now();
        let limiter = learns.then(|| Limiter::new(self.defaults.concurrency, now));
        let calls = self.counters_of(&deployed.name).read();
        let measured = Measured::new(&calls, now);
        let local = Local {
            declared,
            limiter,
            function,
            measured,
            timeout,
            replicas: deployed.replicas,
        };
        self.functions.insert(deployed.name, local);
        true
    }

    /// Learns from the calls that ended since the last time, and lets as many run as that says.
    pub(super) fn learn(&mut self) {
        let now = self.shared.clock.now();
        for local in self.functions.values_mut() {
            let function = &local.function;
            let learned = local.limiter.as_mut().zip(function.samples());
            if let (Some((limiter, samples)), Capacity::Slots(slots)) =
                (learned, function.gate.capacity())
            {
                let full = function.gate.running() >= slots.get();
                let to = limiter.step(samples, slots, full, now);
                if to != slots {
                    function.resize(to);
                }
            }
        }
    }

    /// The platform does not say what it has: nothing is offered until it does. Returns whether that is news.
    pub(super) fn not_listed(&mut self) -> bool {
        std::mem::replace(&mut self.listed, false)
    }

    /// Whether the platform answers.
    pub(super) fn platform_up(&self) -> bool {
        self.listed && self.shared.platform.is_up()
    }

    /// The neighbours to check.
    pub(super) fn to_check(&self) -> Vec<Checked> {
        self.neighbours
            .iter()
            .map(|neighbour| Checked {
                node: neighbour.node,
                address: neighbour.peer_address(),
                health: Arc::clone(&neighbour.health),
            })
            .collect()
    }

    /// Takes up another strategy. Calls on their way keep the route that they began with.
    pub(super) fn switch(&mut self, name: StrategyName) {
        self.strategy_name = name;
        self.strategy = name.build(&self.settings);
        self.answer = None;
        self.asked += 1;
    }

    /// A question goes out, and takes this number.
    pub(super) fn asks(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// What became of the question with that number. Returns whether it is the last one that was asked.
    pub(super) fn answered(&mut self, number: u64, answer: Answer) -> bool {
        let is_last = number == self.asked;
        if is_last {
            self.answer = Some(answer);
        }
        is_last
    }

    /// Closes the period's measurements. Before every plan of the period, and only then.
    pub(super) fn measure(&mut self) {
        let now = self.shared.clock.now();
        self.measured = now;
        self.machine_state = self.machine.read(now);
        for (name, local) in &mut self.functions {
            let calls = self
                .counters
                .get(name)
                .map_or_else(Calls::default, |c| c.read());
            local.measured.close(&calls, local.function.served(), now);
        }
        for calls in self.peer_calls.values_mut() {
            calls.retain(|node, _| self.neighbours.get(*node).is_some());
            calls.values_mut().for_each(|calls| calls.close(now));
        }
    }

    /// Plans, and publishes the routes. Returns what each neighbour is to be told, and what is to be asked.
    pub(super) fn plan(&mut self) -> (Told, Option<Ask>) {
        let seen: Vec<Seen> = self
            .functions
            .iter()
            .map(|(name, local)| Seen {
                function: name.clone(),
                gate: Arc::clone(&local.function.gate),
                from_clients: local.measured.from_clients,
                run: local.measured.run,
                refused: local.measured.refused,
                replicas: local.replicas,
                for_peers: self.for_peers(name),
                service: local.measured.service(),
            })
            .collect();
        let seen = Observation {
            now: self.shared.clock.now(),
            measured: self.measured,
            node: self.machine_state,
            neighbours: &self.neighbours,
            functions: &seen,
            answer: self.answer.as_ref(),
        };
        let plan = self.strategy.plan(&seen, &mut rand::rng());
        let served: Vec<Served> = plan
            .routes
            .into_iter()
            .map(|route| self.served(route))
            .collect();
        let neighbours: HashSet<NodeId> = self.neighbours.iter().map(|n| n.node).collect();
        let lapsed = self.lapsed(&served);
        let routes = Routes::new(served, neighbours, lapsed);
        self.shared.routes.store(Arc::new(routes));
        (plan.told, plan.ask)
    }

    /// Plans anew between two periods, in the same step as what changed: whoever is told of that can rely on it. Grants are told
    /// only by the period, as two nodes would otherwise answer each other without end.
    pub(super) fn replan(&mut self) {
        self.plan();
    }

    /// Calls a second that were run of a function for neighbours, in the order of their ids.
    fn for_peers(&self, function: &FunctionName) -> Vec<(NodeId, f64)> {
        let calls = self.peer_calls.get(function).into_iter().flatten();
        let mut rates: Vec<_> = calls.map(|(node, calls)| (*node, calls.rate)).collect();
        rates.sort_unstable_by_key(|(node, _)| *node);
        rates
    }

    /// The functions that had a route not long ago and have none now.
    fn lapsed(&mut self, served: &[Served]) -> HashSet<FunctionName> {
        let now = self.shared.clock.now();
        for served in served {
            self.routed.insert(served.route.function.clone(), now);
        }
        self.routed.retain(|_, last| now.since(*last) < LAPSE);
        let lapsed = self.routed.iter().filter(|(_, last)| **last < now);
        lapsed.map(|(function, _)| function.clone()).collect()
    }

    fn served(&mut self, route: dfaas_protocol::route::Route) -> Served {
        let now = self.shared.clock.now();
        let local = self.functions.get(&route.function);
        let timeout = local.map_or(self.shared.timeouts.request, |local| local.timeout);
        let service = local.and_then(|local| local.measured.service());
        let policy = self.neighbours.policy(&route.function).cloned();
        let offered = !self.cordoned && self.is_offered(&route.function);
        let local = local.map(|local| Arc::clone(&local.function));
        let addresses = route
            .there
            .iter()
            .filter_map(|candidate| self.neighbours.get(candidate.node))
            .map(|neighbour| neighbour.peer_address())
            .collect();
        let counters = self.counters_of(&route.function);
        let (explanations, function) = (self.shared.explanations.as_ref(), &route.function);
        let calls = self.peer_calls.entry(route.function.clone()).or_default();
        let (membership, us) = (self.shared.tls.membership(), self.shared.node);
        let neighbours: BTreeMap<NodeId, Arc<AtomicU64>> = self
            .neighbours
            .iter()
            .filter(|neighbour| membership.may_call(neighbour.node, us))
            .map(|neighbour| {
                let node = neighbour.node;
                let calls = calls.entry(node).or_insert_with(|| PeerCalls::new(now));
                (node, Arc::clone(&calls.count))
            })
            .collect();
        Served {
            local,
            addresses,
            neighbours,
            counters,
            timeout,
            policy: policy.unwrap_or_default(),
            offered,
            service,
            number: explanations.map_or_else(Default::default, |kept| kept.number(function)),
            excluded: self.neighbours.excluded(function).collect(),
            route,
        }
    }

    fn counters_of(&mut self, function: &FunctionName) -> Arc<CallCounters> {
        let counters = self.counters.entry(function.clone()).or_default();
        Arc::clone(counters)
    }

    /// What this node offers now. Each offer is newer than the one before it.
    pub(super) fn offer(&mut self) -> Message {
        self.sequence += 1;
        let membership = self.shared.tls.membership();
        let now = self.shared.clock.now();
        let functions = if self.platform_up() && membership.may_serve(self.shared.node) {
            self.functions
                .iter()
                .filter(|(name, _)| self.is_offered(name))
                .map(|(name, local)| FunctionOffer {
                    function: name.clone(),
                    capacity: local.function.gate.offered(),
                    headroom: self.shared.says(&local.function.gate, now),
                    queue: local.function.gate.queue(),
                    service: local.measured.service().map(ServiceTime::from_duration),
                })
                .collect()
        } else {
            Vec::new()
        };
        Message::Offer(Offer {
            boot: self.boot,
            sequence: self.sequence,
            peer_endpoint: self.peer_endpoint,
            period: self.period,
            labels: membership.vouched(self.shared.node, self.labels.clone()),
            cordoned: self.cordoned,
            functions,
        })
    }
}

fn listed_endpoints(listed: &[ListedNeighbour]) -> BTreeMap<NodeId, PeerEndpoint> {
    let endpoint = |one: &ListedNeighbour| {
        let peer = one.peer?;
        let endpoint = PeerEndpoint {
            host: Some(peer.ip()),
            port: peer.port(),
        };
        Some((one.node, endpoint))
    };
    listed.iter().filter_map(endpoint).collect()
}
