//! A node for a test: its functions, its neighbours and the plan that a strategy makes of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::gate::Gate;
use dfaas_protocol::neighbours::Neighbours;
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{Observation, Plan, Seen, Strategy, StrategyName};
use dfaas_protocol::{
    CallRate, Capacity, FunctionName, Headroom, Health, HealthState, NodeId, NodeLabels, Slots,
    Time,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub(crate) struct Site {
    pub(crate) now: Time,
    pub(crate) neighbours: Neighbours,
    pub(crate) functions: Vec<Seen>,
    sequence: u64,
}

impl Site {
    pub(crate) fn new() -> Site {
        Site {
            now: Time::ZERO,
            neighbours: Neighbours::new(),
            functions: Vec::new(),
            sequence: 0,
        }
    }

    /// The local platform has the function, with a gate for that capacity and that queue.
    pub(crate) fn has(&mut self, function: &str, capacity: Capacity, queue: u32) -> Arc<Gate> {
        let gate = Arc::new(Gate::new(capacity, queue));
        self.functions.push(Seen {
            function: name(function),
            gate: Arc::clone(&gate),
            from_clients: 0.0,
            for_peers: BTreeMap::new(),
            service: None,
        });
        gate
    }

    /// The neighbour `n` offers exactly these functions, with headroom FREE/SIZE.
    pub(crate) fn hears(&mut self, n: u8, functions: &[(&str, &str)]) {
        self.sequence += 1;
        let mut functions: Vec<FunctionOffer> = functions
            .iter()
            .map(|(function, headroom)| {
                let headroom: Headroom = headroom.parse().unwrap();
                FunctionOffer {
                    function: name(function),
                    capacity: slots(headroom.size.min(1_000_000)),
                    headroom,
                    queue: 1000,
                    service: None,
                }
            })
            .collect();
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        let offer = Offer {
            boot: 1,
            sequence: self.sequence,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: 31601,
            },
            period: Period::from_duration(Duration::from_secs(3600)),
            labels: NodeLabels::default(),
            cordoned: false,
            functions,
        };
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.neighbours.hear_offer(node(n), from, offer, self.now);
    }

    /// The neighbour `n` grants that rate.
    pub(crate) fn is_granted(&mut self, n: u8, function: &str, per_second: f64) {
        let grant = Grant {
            function: name(function),
            rate: rate(per_second),
        };
        self.neighbours.hear_grants(node(n), vec![grant], self.now);
    }

    pub(crate) fn plan(&self, strategy: &mut dyn Strategy) -> Plan {
        strategy.plan(&Observation {
            now: self.now,
            neighbours: &self.neighbours,
            functions: &self.functions,
        })
    }

    /// The route of a function under a fresh strategy.
    pub(crate) fn route(&self, strategy: StrategyName, function: &str) -> Route {
        let plan = self.plan(&mut *strategy.build());
        route_of(plan, function)
    }

    /// What the neighbour `n` is to be told.
    pub(crate) fn grants_to(plan: &Plan, n: u8) -> Vec<(String, f64)> {
        plan.grants[&node(n)]
            .iter()
            .map(|grant| (grant.function.to_string(), grant.rate.per_second()))
            .collect()
    }
}

pub(crate) fn route_of(plan: Plan, function: &str) -> Route {
    let function = name(function);
    let mut routes = plan.routes.into_iter();
    routes.find(|route| route.function == function).unwrap()
}

/// Nothing is sent there from now on.
pub(crate) fn eject(health: &Health) {
    let ejected = health.eject(Time::ZERO);
    assert_eq!(ejected, Some(HealthState::Ejected));
}

pub(crate) fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

pub(crate) fn node(n: u8) -> NodeId {
    NodeId::from_key([n; 32])
}

pub(crate) fn rate(per_second: f64) -> CallRate {
    CallRate::new(per_second).unwrap()
}

pub(crate) fn slots(n: u32) -> Capacity {
    Capacity::Slots(Slots::new(n).unwrap())
}

pub(crate) fn at_ms(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

pub(crate) fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}
