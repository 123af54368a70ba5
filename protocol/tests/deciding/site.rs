//! A node for a test: its functions, its neighbours and the plan that a strategy makes of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::delivery::{Decision, Delivery};
use dfaas_protocol::gate::Gate;
use dfaas_protocol::neighbours::Neighbours;
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{
    NodeState, Observation, Plan, Seen, Settings, Strategy, StrategyName,
};
use dfaas_protocol::wire::Message;
use dfaas_protocol::{
    CallRate, Capacity, FunctionName, Headroom, Health, HealthState, NodeId, NodeLabels, Slots,
    Time,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) struct Site {
    pub(crate) now: Time,
    pub(crate) neighbours: Neighbours,
    pub(crate) functions: Vec<Seen>,
    pub(crate) node: NodeState,
    pub(crate) settings: Settings,
    sequence: u64,
}

impl Site {
    pub(crate) fn new() -> Site {
        Site {
            now: Time::ZERO,
            neighbours: Neighbours::new(),
            functions: Vec::new(),
            node: NodeState::default(),
            settings: Settings::default(),
            sequence: 0,
        }
    }

    /// The local platform has the function, with a gate for that capacity and that queue.
    pub(crate) fn has(&mut self, function: &str, capacity: Capacity, queue: u32) -> Arc<Gate> {
        let gate = Arc::new(Gate::new(capacity, queue));
        self.functions
            .push(Seen::new(name(function), Arc::clone(&gate)));
        gate
    }

    /// The neighbour `n` offers exactly these functions, with headroom FREE/SIZE.
    pub(crate) fn hears(&mut self, n: u8, functions: &[(&str, &str)]) {
        let functions = functions
            .iter()
            .map(|(function, headroom)| offered(function, headroom, None))
            .collect();
        self.hears_of(n, functions);
    }

    /// The neighbour `n` offers exactly this function, whose calls take so many milliseconds there.
    pub(crate) fn hears_of_service(&mut self, n: u8, function: &str, headroom: &str, ms: u64) {
        let service = ServiceTime::from_duration(Duration::from_millis(ms));
        self.hears_of(n, vec![offered(function, headroom, Some(service))]);
    }

    fn hears_of(&mut self, n: u8, mut functions: Vec<FunctionOffer>) {
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        self.hears_offer(n, functions, NodeLabels::default(), false);
    }

    /// The neighbour `n` offers `f`, as `change` says.
    pub(crate) fn offers(&mut self, n: u8, change: impl FnOnce(&mut FunctionOffer)) {
        let mut function = FunctionOffer {
            function: name("f"),
            capacity: slots(4),
            headroom: Headroom { free: 4, size: 4 },
            queue: 1000,
            service: None,
        };
        change(&mut function);
        self.hears_offer(n, vec![function], NodeLabels::default(), false);
    }

    /// The neighbour `n` has those labels, is cordoned or not, and offers `f` with that headroom.
    pub(crate) fn says(
        &mut self,
        n: u8,
        labels: &[(String, String)],
        cordoned: bool,
        headroom: &str,
    ) {
        let function = FunctionOffer {
            function: name("f"),
            capacity: slots(4),
            headroom: headroom.parse().unwrap(),
            queue: 1000,
            service: None,
        };
        let labels = NodeLabels::new(labels.to_vec()).unwrap();
        self.hears_offer(n, vec![function], labels, cordoned);
    }

    fn hears_offer(
        &mut self,
        n: u8,
        functions: Vec<FunctionOffer>,
        labels: NodeLabels,
        cordoned: bool,
    ) {
        self.sequence += 1;
        let offer = Offer {
            boot: 1,
            sequence: self.sequence,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: 31601,
            },
            period: Period::from_duration(Duration::from_secs(3600)),
            labels,
            cordoned,
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

    /// The round trip to the neighbour `n` is measured.
    pub(crate) fn is_away(&mut self, n: u8, ms: u64) {
        self.neighbours.measure(node(n), Duration::from_millis(ms));
    }

    pub(crate) fn plan(&self, strategy: &mut dyn Strategy) -> Plan {
        self.plan_with(strategy, &mut rng())
    }

    pub(crate) fn plan_with(&self, strategy: &mut dyn Strategy, rng: &mut dyn Rng) -> Plan {
        let mut seen = Observation::new(self.now, &self.neighbours, &self.functions);
        seen.node = self.node;
        strategy.plan(&seen, rng)
    }

    /// The route of a function under a fresh strategy.
    pub(crate) fn route(&self, strategy: StrategyName, function: &str) -> Route {
        let plan = self.plan(&mut *strategy.build(&self.settings));
        route_of(plan, function)
    }

    /// What the neighbour `n` is to be told.
    pub(crate) fn grants_to(plan: &Plan, n: u8) -> Vec<(String, f64)> {
        let told = plan.told.clone().messages().into_iter();
        let mut grants = told.filter_map(|(to, message)| match message {
            Message::Grants(grants) if to == node(n) => Some(grants),
            _ => None,
        });
        let grants = grants.next().unwrap().into_iter();
        grants
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

fn offered(function: &str, headroom: &str, service: Option<ServiceTime>) -> FunctionOffer {
    let headroom: Headroom = headroom.parse().unwrap();
    FunctionOffer {
        function: name(function),
        capacity: slots(headroom.size.min(1_000_000)),
        headroom,
        queue: 1000,
        service,
    }
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

pub(crate) const DRAWS: usize = 10_000;

/// Of 10,000 calls, how many run here and how many go to each candidate.
pub(crate) fn split(route: &Route) -> (usize, Vec<usize>) {
    let mut rng = rng();
    let mut here = 0;
    let mut there = vec![0; route.there.len()];
    for _ in 0..DRAWS {
        match Delivery::new().next(route, Time::ZERO, &mut rng) {
            Decision::Run(_) => here += 1,
            Decision::Forward(index, _) => there[index] += 1,
            other => panic!("{other:?}"),
        }
    }
    (here, there)
}

/// Within five standard deviations of `percent` of the draws.
#[track_caller]
pub(crate) fn assert_share(count: usize, percent: f64) {
    let share = percent / 100.0;
    let draws = DRAWS as f64;
    let deviation = (draws * share * (1.0 - share)).sqrt();
    let distance = (count as f64 - draws * share).abs();
    assert!(distance <= 5.0 * deviation, "{count} is not {percent} %");
}
