//! Routes of whatever proptest finds, under each strategy.

use dfaas_protocol::Capacity;
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::StrategyName;
use proptest::prelude::*;

use crate::site::{Site, eject, rate, slots};

/// What a route is made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) strategy: StrategyName,
    /// Capacity and queue of the gate here.
    here: Option<(Capacity, u32)>,
    there: Vec<There>,
}

#[derive(Clone, Debug)]
struct There {
    free: i32,
    size: u32,
    reachable: bool,
    granted: Option<f64>,
}

impl Parts {
    pub(crate) fn route(&self) -> Route {
        let mut site = Site::new();
        if let Some((capacity, queue)) = self.here {
            site.has("f", capacity, queue);
        }
        for (n, there) in (1..).zip(&self.there) {
            let headroom = format!("{}/{}", there.free, there.size);
            site.hears(n, &[("f", &headroom)]);
            if let Some(granted) = there.granted {
                site.is_granted(n, "f", granted);
            }
        }
        // So that there is a route where nobody has the function, too.
        if self.here.is_none() {
            site.hears(255, &[("f", "1/1")]);
        }
        let route = site.route(self.strategy, "f");
        for (candidate, there) in route.there.iter().zip(&self.there) {
            if !there.reachable {
                eject(candidate.remote.health());
            }
        }
        route
    }
}

pub(crate) fn any_parts() -> impl Strategy<Value = Parts> {
    (
        proptest::sample::select(&StrategyName::ALL[..]),
        proptest::option::weighted(0.8, (any_capacity(), any_queue())),
        proptest::collection::vec(any_there(), 0..10),
    )
        .prop_map(|(strategy, here, there)| Parts {
            strategy,
            here,
            there,
        })
}

pub(crate) fn any_free() -> impl Strategy<Value = i32> {
    prop_oneof![4 => -10..20, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => Just(i32::MAX)]
}

pub(crate) fn any_size() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 1..20u32, 1 => Just(1), 1 => Just(u32::MAX)]
}

pub(crate) fn any_nanos() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..100_000_000_000u64, 1 => Just(0), 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn any_capacity() -> impl Strategy<Value = Capacity> {
    prop_oneof![
        (1..4u32).prop_map(slots),
        Just(slots(1_000_000)),
        prop_oneof![Just(1e-5), Just(1e6), 0.1..100.0].prop_map(|r| Capacity::Rate(rate(r))),
    ]
}

fn any_queue() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..4u32, 1 => Just(u32::MAX)]
}

fn any_there() -> impl Strategy<Value = There> {
    let granted = prop_oneof![Just(1e-5), Just(1e6), 0.1..100.0];
    let granted = proptest::option::weighted(0.7, granted);
    (any_free(), any_size(), any::<bool>(), granted).prop_map(|(free, size, reachable, granted)| {
        There {
            free,
            size,
            reachable,
            granted,
        }
    })
}
