//! `recalc`: each node grants its neighbours rates, and sends its overflow in proportion to what it was granted.
//!
//! For each function f of this node, with M the rate that its capacity sustains, u the rate that its clients brought and
//! p_j the rate run for neighbour j, all over the whole last period:
//!
//! * margin = max(0, M − u). Each of the n neighbours, whether it has f or not, is granted
//!   limit_in(j) = p_j + (margin − Σp)/n where margin ≥ Σp, else p_j · margin/Σp; so Σ limit_in = margin.
//! * weight(j) = 100 · limit_out(j) / Σ limit_out, in whole parts that sum to 100, limit_out(j) being what j granted us.
//! * A call runs here while the gate lets it, else goes to a neighbour drawn by weight. A call that j forwarded is refused
//!   when j is above limit_in(j).
//!
//! Source: the reference's strategy of that name. Not taken over from it: whole-number division that loses the remainder,
//! rates of the last second only, margins that forget what runs for peers, weights only while overloaded, functions that
//! only a neighbour has never being weighed, and function sets that flip between two nodes' sets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use crate::delivery::{Decision, Tried};
use crate::estimate::TokenBucket;
use crate::offer::Grant;
use crate::route::Route;
use crate::{CallRate, FunctionName, NodeId, Time};

use super::shares::Overflow;
use super::{Observation, Plan, Rule, Seen, Strategy, Weights};

/// The service time to reckon with before one has been measured, for a capacity in slots.
const ASSUMED_SERVICE: Duration = Duration::from_millis(100);
/// The tokens in the bucket of a grant: a tenth of a second of it.
const BURST_SECONDS: f64 = 0.1;

/// The strategy `recalc`. It keeps the bucket of each grant from plan to plan, so that a new plan gives nobody a new
/// burst.
#[derive(Debug, Default)]
pub struct Recalc {
    granted: BTreeMap<FunctionName, Buckets>,
}

type Buckets = BTreeMap<NodeId, Arc<TokenBucket>>;

impl Strategy for Recalc {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let mut grants: BTreeMap<NodeId, Vec<Grant>> = seen
            .neighbours
            .iter()
            .map(|n| (n.node, Vec::new()))
            .collect();
        let mut granted = BTreeMap::new();
        for function in seen.functions {
            let mut before = self.granted.remove(&function.function).unwrap_or_default();
            let mut buckets = Buckets::new();
            for (node, rate) in limits_in(seen, function) {
                let tokens = (rate.per_second() * BURST_SECONDS).ceil() as u32;
                let bucket = match before.remove(&node) {
                    Some(bucket) => {
                        bucket.set_rate(rate, tokens, seen.now);
                        bucket
                    }
                    None => Arc::new(TokenBucket::new(rate, tokens)),
                };
                buckets.insert(node, bucket);
                grants.entry(node).or_default().push(Grant {
                    function: function.function.clone(),
                    rate,
                });
            }
            granted.insert(function.function.clone(), buckets);
        }
        for list in grants.values_mut() {
            list.sort_by(|a, b| a.function.cmp(&b.function));
        }
        let routes = seen.routes(|function, _, there| {
            let limits: Vec<f64> = there
                .iter()
                .map(|there| there.neighbour.grants.get(function))
                .map(|limit_out| limit_out.map_or(0.0, |rate| rate.per_second()))
                .collect();
            Box::new(Granted {
                overflow: Overflow(Weights::proportional(&limits)),
                limits_in: granted.get(function).cloned().unwrap_or_default(),
            })
        });
        self.granted = granted;
        Plan {
            routes,
            grants,
            ..Plan::default()
        }
    }
}

/// limit_in for each neighbour; those with nothing are left out. A neighbour without the function is among them, as its
/// clients may call it all the same.
fn limits_in(seen: &Observation<'_>, function: &Seen) -> Vec<(NodeId, CallRate)> {
    let service = function.service.unwrap_or(ASSUMED_SERVICE);
    let sustained = function.gate.capacity().sustained_rate(service);
    let margin = (sustained - function.from_clients).max(0.0);
    let peers: Vec<(NodeId, f64)> = seen
        .neighbours
        .iter()
        .map(|n| {
            (
                n.node,
                function.for_peers.get(&n.node).copied().unwrap_or(0.0),
            )
        })
        .collect();
    let used: f64 = peers.iter().map(|(_, p)| p).sum();
    let count = peers.len() as f64;
    peers
        .into_iter()
        .filter_map(|(node, p)| {
            let limit = if margin >= used {
                p + (margin - used) / count
            } else {
                p * margin / used
            };
            CallRate::up_to(limit).map(|rate| (node, rate))
        })
        .collect()
}

#[derive(Debug)]
struct Granted {
    overflow: Overflow,
    limits_in: Buckets,
}

impl Rule for Granted {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        self.overflow.decide(route, tried, now, rng)
    }

    fn accepts(&self, from: NodeId, now: Time) -> bool {
        self.limits_in
            .get(&from)
            .is_some_and(|bucket| bucket.try_take(now))
    }
}
