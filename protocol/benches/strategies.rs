//! What a decision costs with eight neighbours, and a plan with 64 neighbours and a hundred functions.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on must stop"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use dfaas_protocol::delivery::{Decision, Delivery};
use dfaas_protocol::gate::Gate;
use dfaas_protocol::neighbours::Neighbours;
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::strategy::{Observation, Seen, Settings, StrategyName};
use dfaas_protocol::trade::{Amount, Bid, Margin, Price};
use dfaas_protocol::{CallRate, Capacity, FunctionName, Headroom, NodeId, NodeLabels, Slots, Time};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const IDLE: Headroom = Headroom { free: 4, size: 4 };

/// So many neighbours that offer so many functions and have told all that strategies tell.
fn neighbours(count: u8, functions: &[FunctionName]) -> Neighbours {
    let mut neighbours = Neighbours::new();
    for n in 1..=count {
        let node = NodeId::from_key([n; 32]);
        let offer = Offer {
            boot: 1,
            sequence: 1,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: 31601,
            },
            period: Period::from_duration(Duration::from_secs(1)),
            labels: NodeLabels::default(),
            cordoned: false,
            functions: functions
                .iter()
                .map(|function| FunctionOffer {
                    function: function.clone(),
                    capacity: Capacity::Slots(Slots::new(4).unwrap()),
                    headroom: IDLE,
                    queue: 8,
                    service: Some(ServiceTime::from_duration(Duration::from_millis(100))),
                })
                .collect(),
        };
        let now = Time::ZERO;
        neighbours.hear_offer(node, IpAddr::V4(Ipv4Addr::LOCALHOST), offer, now);
        neighbours.measure(node, Duration::from_millis(u64::from(n)));
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(n));
        let mut rate = || CallRate::new(rng.random_range(1.0..10.0)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(n));
        let mut price = || Amount::nearest(rng.random_range(0.0..0.5));
        let functions = || functions.iter().cloned();
        let mut grant = |function| Grant {
            function,
            rate: rate(),
        };
        neighbours.hear_grants(node, functions().map(&mut grant).collect(), now);
        let prices = functions().map(|function| Price {
            function,
            price: price(),
            rate: rate(),
        });
        neighbours.hear_prices(node, prices.collect(), now);
        let bids = functions().map(|function| Bid {
            function,
            price: price(),
            rate: rate(),
        });
        neighbours.hear_bids(node, bids.collect(), now);
        let margin = Margin {
            points: Amount::nearest(50.0),
            cost: [Amount::nearest(0.1); 3],
        };
        neighbours.hear_margin(node, margin, now);
    }
    neighbours
}

fn names(count: usize) -> Vec<FunctionName> {
    (0..count)
        .map(|n| FunctionName::parse(&format!("function-{n:03}")).unwrap())
        .collect()
}

/// The functions of a node: each second one at about one and a half times what it may use, the others at half of it. Some calls
/// of each neighbour run here.
fn seen(functions: &[FunctionName], neighbours: &Neighbours, seed: u64) -> Vec<Seen> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = |(place, function): (usize, &FunctionName)| {
        let gate = Gate::new(Capacity::Slots(Slots::new(4).unwrap()), 0);
        let mut seen = Seen::new(function.clone(), Arc::new(gate));
        let load = if place.is_multiple_of(2) { 60.0 } else { 20.0 };
        seen.from_clients = load * rng.random_range(0.9..1.1);
        seen.run = seen.from_clients.min(40.0);
        let peers = neighbours.iter().map(|n| n.node);
        seen.for_peers = peers.map(|n| (n, rng.random_range(0.0..0.2))).collect();
        seen.service = Some(Duration::from_millis(100));
        seen
    };
    functions.iter().enumerate().map(&mut seen).collect()
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide, 8 neighbours");
    for name in StrategyName::ALL {
        let functions = names(1);
        let neighbours = neighbours(8, &functions);
        let seen = seen(&functions, &neighbours, 1);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = Observation::new(Time::ZERO, &neighbours, &seen);
        seen.node.cpu_percent = Some(100.0);
        let mut strategy = name.build(&Settings::default());
        let route = strategy.plan(&seen, &mut rng).routes.remove(0);
        // Nothing is free here, so that the neighbours are looked at.
        let gate = route.here.as_ref().unwrap();
        while gate.start(Time::ZERO) {}
        group.bench_function(name.as_str(), |bencher| {
            bencher.iter(|| {
                let decision = Delivery::new().next(black_box(&route), Time::ZERO, &mut rng);
                if let Decision::Forward(index, _) = decision {
                    route.there[index].remote.report(IDLE);
                }
                decision
            });
        });
    }
    group.finish();
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan, 64 neighbours, 100 functions");
    let functions = names(100);
    let neighbours = neighbours(64, &functions);
    let periods = [1, 2].map(|seed| seen(&functions, &neighbours, seed));
    for name in StrategyName::ALL {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut strategy = name.build(&Settings::default());
        let (mut now, mut even) = (Time::ZERO, false);
        group.bench_function(name.as_str(), |bencher| {
            bencher.iter(|| {
                // A new period each time, in which each rate is another.
                now = now + Duration::from_secs(1);
                even = !even;
                let functions = &periods[usize::from(even)];
                let mut seen = Observation::new(now, black_box(&neighbours), functions);
                seen.node.cpu_percent = Some(100.0);
                strategy.plan(&seen, &mut rng)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide, plan);
criterion_main!(benches);
