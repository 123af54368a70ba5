//! No decision allocates, and hostile lengths allocate little.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use dfaas_protocol::delivery::{Admission, Decision, Delivery, admit};
use dfaas_protocol::estimate::Samples;
use dfaas_protocol::gate::{Freed, Gate};
use dfaas_protocol::neighbours::Neighbours;
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period};
use dfaas_protocol::policy::Terms;
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{Observation, Seen, Settings, StrategyName};
use dfaas_protocol::trade::{Amount, Margin};
use dfaas_protocol::wire::{self, VERSION};
use dfaas_protocol::{CallRate, Capacity, FunctionName, Headroom, NodeId, NodeLabels, Slots, Time};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const CANDIDATES: u8 = 8;

/// A route with a gate of four slots and a queue of four, and eight candidates that granted something.
fn route(strategy: StrategyName, node: Option<Arc<NodeSlots>>) -> Route {
    let function = FunctionName::parse("f").unwrap();
    let capacity = Capacity::Slots(Slots::new(4).unwrap());
    let mut neighbours = Neighbours::new();
    for n in 1..=CANDIDATES {
        let node = NodeId::from_key([n; 32]);
        let offer = Offer {
            boot: 1,
            sequence: 1,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: 31601,
            },
            period: Period::from_duration(Duration::from_secs(60)),
            labels: NodeLabels::default(),
            cordoned: false,
            functions: vec![FunctionOffer {
                function: function.clone(),
                capacity,
                headroom: Headroom { free: 4, size: 4 },
                queue: 8,
                service: None,
            }],
        };
        neighbours.hear_offer(node, IpAddr::V4(Ipv4Addr::LOCALHOST), offer, Time::ZERO);
        let grant = Grant {
            function: function.clone(),
            rate: CallRate::new(f64::from(n)).unwrap(),
        };
        neighbours.hear_grants(node, vec![grant], Time::ZERO);
        let margin = Margin {
            points: Amount::nearest(1000.0),
            cost: [Amount::nearest(1.0); 3],
        };
        neighbours.hear_margin(node, margin, Time::ZERO);
        neighbours.measure(node, Duration::from_millis(u64::from(n)));
    }
    let gate = match node {
        Some(node) => Gate::new(capacity, 4).sharing(node),
        None => Gate::new(capacity, 4),
    };
    let mut seen = Seen::new(function, Arc::new(gate));
    seen.from_clients = 10.0;
    seen.run = 10.0;
    let functions = [seen];
    let mut seen = Observation::new(Time::ZERO, &neighbours, &functions);
    // Five times what the node may use, for those that look at that.
    seen.node.cpu_percent = Some(50.0);
    let mut settings = Settings::default();
    settings.node.limits.cpu_percent = Some(10.0);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut plan = strategy.build(&settings).plan(&seen, &mut rng);
    plan.routes.remove(0)
}

/// How often each decision and admission was taken.
#[derive(Debug, Default)]
struct Counts {
    run: u32,
    wait: u32,
    forward: u32,
    reject: u32,
    admitted: u32,
    refused: u32,
}

/// Drives a route through thousands of calls of clients and neighbours, each refused where it is sent; five calls in
/// eight end.
fn drive(route: &Route, rng: &mut ChaCha8Rng) -> Counts {
    let gate = route.here.as_ref().unwrap();
    let mut counts = Counts::default();
    for call in 0..5_000u64 {
        let now = Time::from_nanos(call * 1_000_000);
        let mut delivery = Delivery::new();
        loop {
            match delivery.next(route, now, rng) {
                Decision::Forward(index, _) => {
                    counts.forward += 1;
                    let headroom = Headroom { free: 2, size: 4 };
                    route.there[index].remote.report(headroom);
                    continue;
                }
                Decision::Run(_) => counts.run += 1,
                Decision::Wait(..) => counts.wait += 1,
                Decision::Reject(_) => counts.reject += 1,
            }
            break;
        }
        let from = NodeId::from_key([(call % 10) as u8; 32]);
        match admit(route, from, &Terms::default(), now) {
            Admission::Run | Admission::Wait => counts.admitted += 1,
            Admission::Refuse(_) => counts.refused += 1,
        }
        if call % 8 < 5 && gate.headroom(now).free < 4 {
            let _ = gate.end();
            gate.resume(now);
        }
    }
    counts
}

#[test]
fn no_decision_allocates_where_functions_share_a_node() {
    let node = Arc::new(NodeSlots::new(Slots::new(2).unwrap()));
    let route = route(StrategyName::Headroom, Some(Arc::clone(&node)));
    let gate = route.here.as_ref().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut most, mut waited, mut resumed) = (0, 0, 0);
    let info = measure(|| {
        for call in 0..5_000u64 {
            let now = Time::from_nanos(call * 1_000_000);
            let from = NodeId::from_key([1; 32]);
            let decision = Delivery::new().next(&route, now, &mut rng);
            let admission = admit(&route, from, &Terms::default(), now);
            waited += u32::from(matches!(decision, Decision::Wait(..)));
            waited += u32::from(matches!(admission, Admission::Wait));
            most = gate.running().max(most);
            if gate.running() > 0 {
                let freed = gate.end();
                resumed += u32::from(gate.resume(now));
                if freed == Freed::ForNext {
                    gate.settle();
                }
            }
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(most, 2, "of four of its own, two of the node");
    assert!(waited > 1000 && resumed > 1000, "{waited} {resumed}");
}

#[test]
fn no_decision_allocates() {
    for strategy in StrategyName::ALL {
        let route = route(strategy, None);
        assert_eq!(route.there.len(), usize::from(CANDIDATES));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = Counts::default();
        let info = measure(|| counts = drive(&route, &mut rng));
        assert_eq!(info.count_total, 0, "{strategy}: {info:?}");
        // Every way was gone.
        let forwards = strategy != StrategyName::AllLocal;
        assert_eq!(counts.forward > 1000, forwards, "{strategy}: {counts:?}");
        assert!(
            counts.run > 0 && counts.wait > 0 && counts.reject > 0,
            "{strategy}: {counts:?}"
        );
        assert!(
            counts.admitted > 0 && counts.refused > 0,
            "{strategy}: {counts:?}"
        );
    }
}

#[test]
fn recording_a_call_to_learn_from_does_not_allocate() {
    let samples = Samples::default();
    let info = measure(|| {
        for running in (0..5_000).chain([1_000_000, u32::MAX]) {
            let took = Duration::from_micros(u64::from(running));
            samples.begins(running, Time::ZERO);
            samples.answered(running, running, took, Time::ZERO + took);
            samples.refuse();
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn what_allocates_is_counted() {
    let info = measure(|| drop(route(StrategyName::Headroom, None)));
    assert!(info.count_total > 0);
}

#[test]
fn hostile_lengths_allocate_little() {
    let before_lengths: [&[u8]; 4] = [
        &[VERSION, 0x01],
        &[VERSION, 0x01, 0x01],
        &[VERSION, 0x00, 0x02, 0x01, 0x00, 0x50],
        &[VERSION, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01],
    ];
    for before in before_lengths {
        for length in (0..64).map(|bit| 1u64 << bit).chain([u64::MAX]) {
            let bytes = [before, &[0xfd], &length.to_le_bytes()].concat();
            let mut refused = false;
            let info = measure(|| refused = wire::decode(&bytes).is_err());
            assert!(refused, "{bytes:?}");
            assert!(info.bytes_max <= 4 << 20, "{bytes:?}: {info:?}");
        }
    }
}
