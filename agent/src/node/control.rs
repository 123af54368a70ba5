//! The control of a node: it owns the neighbours, the functions and the strategy, and publishes routes.
//!
//! It is driven by events and by the tick of the period, under one lock that the data path never takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dfaas_protocol::estimate::Limiter;
use dfaas_protocol::gate::Gate;
use dfaas_protocol::neighbours::Neighbours;
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::strategy::{Observation, Seen, Strategy, StrategyName};
use dfaas_protocol::wire::Message;
use dfaas_protocol::{Capacity, FunctionName, NodeId, NodeLabels, Time};

use crate::config::{Config, FunctionDefaults};
use crate::datapath::Shared;
use crate::peer::Checked;
use crate::platform::DeployedFunction;
use crate::routing::{CallCounters, LocalFunction, Routes, Served};

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
    peer_calls: BTreeMap<FunctionName, HashMap<NodeId, PeerCalls>>,
    defaults: FunctionDefaults,
    peer_endpoint: PeerEndpoint,
    period: Period,
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
}

impl Control {
    /// A node that knows nothing yet. `boot` tells this start of the node from others.
    pub(super) fn new(
        shared: Arc<Shared>,
        config: &Config,
        peer_endpoint: PeerEndpoint,
        boot: u64,
    ) -> Control {
        Control {
            neighbours: Neighbours::new(),
            strategy_name: config.strategy.name,
            strategy: config.strategy.name.build(),
            functions: BTreeMap::new(),
            counters: BTreeMap::new(),
            peer_calls: BTreeMap::new(),
            listed: false,
            routed: BTreeMap::new(),
            defaults: config.functions.clone(),
            peer_endpoint,
            period: Period::from_duration(config.strategy.period),
            boot,
            sequence: 0,
            shared,
        }
    }

    /// The platform said what it has. Returns whether anything changed.
    pub(super) fn deployed(&mut self, deployed: Vec<DeployedFunction>) -> bool {
        let mut changed = !self.listed;
        self.listed = true;
        let before = self.functions.len();
        self.functions
            .retain(|name, _| deployed.iter().any(|d| d.name == *name));
        changed |= self.functions.len() != before;
        for function in deployed {
            changed |= self.deploy(function);
        }
        changed
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
            return changed;
        }
        if let Some(error) = unusable {
            tracing::warn!(function = %deployed.name, %error, "the label is left out of account");
        }
        tracing::info!(function = %deployed.name, ?declared, "the platform has a function");
        let health = Arc::clone(self.shared.platform.health());
        let gate = Arc::new(Gate::new(capacity, self.defaults.queue).on(health));
        let learns = declared.is_none() && self.defaults.learn;
        let name = deployed.name.clone();
        let function = Arc::new(if learns {
            LocalFunction::learning(name, gate)
        } else {
            LocalFunction::new(name, gate)
        });
        let now = self.shared.clock.now();
        let limiter = learns.then(|| Limiter::new(self.defaults.concurrency, now));
        let arrived = self.counters_of(&deployed.name).read().arrived;
        let measured = Measured::new(arrived, now);
        let local = Local {
            declared,
            limiter,
            function,
            measured,
            timeout,
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
        self.strategy = name.build();
    }

    /// Closes the period's measurements. Before every plan of the period, and only then.
    pub(super) fn measure(&mut self) {
        let now = self.shared.clock.now();
        for (name, local) in &mut self.functions {
            let arrived = self.counters.get(name).map_or(0, |c| c.read().arrived);
            local.measured.close(arrived, local.function.served(), now);
        }
        for calls in self.peer_calls.values_mut() {
            calls.retain(|node, _| self.neighbours.get(*node).is_some());
            calls.values_mut().for_each(|calls| calls.close(now));
        }
    }

    /// Plans, and publishes the routes. Returns what each neighbour is granted.
    pub(super) fn plan(&mut self) -> BTreeMap<NodeId, Vec<Grant>> {
        let seen: Vec<Seen> = self
            .functions
            .iter()
            .map(|(name, local)| Seen {
                function: name.clone(),
                gate: Arc::clone(&local.function.gate),
                from_clients: local.measured.from_clients,
                for_peers: self
                    .peer_calls
                    .get(name)
                    .into_iter()
                    .flatten()
                    .map(|(node, calls)| (*node, calls.rate))
                    .collect(),
                service: local.measured.service(),
            })
            .collect();
        let plan = self.strategy.plan(&Observation {
            now: self.shared.clock.now(),
            neighbours: &self.neighbours,
            functions: &seen,
        });
        let served: Vec<Served> = plan
            .routes
            .into_iter()
            .map(|route| self.served(route))
            .collect();
        let neighbours: HashSet<NodeId> = self.neighbours.iter().map(|n| n.node).collect();
        let lapsed = self.lapsed(&served);
        let routes = Routes::new(served, neighbours, lapsed);
        self.shared.routes.store(Arc::new(routes));
        plan.grants
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
        let local = local.map(|local| Arc::clone(&local.function));
        let addresses = route
            .there
            .iter()
            .filter_map(|candidate| self.neighbours.get(candidate.node))
            .map(|neighbour| neighbour.peer_address())
            .collect();
        let counters = self.counters_of(&route.function);
        let calls = self.peer_calls.entry(route.function.clone()).or_default();
        let neighbours: HashMap<NodeId, Arc<AtomicU64>> = self
            .neighbours
            .iter()
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
        let now = self.shared.clock.now();
        let functions = if self.platform_up() {
            self.functions
                .iter()
                .map(|(name, local)| FunctionOffer {
                    function: name.clone(),
                    capacity: local.function.gate.capacity(),
                    headroom: local.function.gate.headroom(now),
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
            labels: NodeLabels::default(),
            cordoned: false,
            functions,
        })
    }
}
