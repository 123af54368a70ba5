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
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rand::Rng;

use crate::delivery::{Decision, Tried};
use crate::estimate::TokenBucket;
use crate::route::Route;
use crate::{CallRate, FunctionName, NodeId, Time};

use super::shares::Overflow;
use super::{Grants, Observation, Plan, Rule, Seen, Strategy, Told, Weights};

/// The service time to reckon with before one has been measured, for a capacity in slots.
const ASSUMED_SERVICE: Duration = Duration::from_millis(100);
/// The tokens in the bucket of a grant: a tenth of a second of it.
const BURST_SECONDS: f64 = 0.1;

/// The strategy `recalc`. It keeps the bucket of each grant from plan to plan, so that a new plan gives nobody a new
/// burst.
#[derive(Debug, Default)]
pub struct Recalc {
    granted: BTreeMap<FunctionName, Arc<Limits>>,
}

/// What the neighbours may send of a function.
#[derive(Debug, Default)]
struct Limits {
    /// In the order of their ids.
    nodes: Vec<NodeId>,
    limits: Vec<Arc<Limit>>,
}

/// What a neighbour may send of a function.
#[derive(Debug)]
struct Limit {
    /// Whether it may send anything.
    is_open: AtomicBool,
    bucket: TokenBucket,
}

impl Limit {
    fn new(rate: CallRate) -> Limit {
        Limit {
            is_open: AtomicBool::new(false),
            bucket: TokenBucket::new(rate, tokens(rate)),
        }
    }
}

fn tokens(rate: CallRate) -> u32 {
    let tokens = rate.per_second() * BURST_SECONDS;
    let whole = tokens as u32;
    whole + u32::from(f64::from(whole) < tokens)
}

impl Strategy for Recalc {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let nodes = seen.neighbours.board().nodes();
        let mut grants = Grants::new(nodes);
        let mut granted = BTreeMap::new();
        for function in seen.functions {
            let rates = limits_in(function, nodes);
            let before = self.granted.remove(&function.function).unwrap_or_default();
            let limits = if before.nodes == nodes {
                before
            } else {
                Arc::new(before.for_nodes(nodes))
            };
            limits.set(&rates, seen.now);
            grants.push(&function.function, rates);
            granted.insert(function.function.clone(), limits);
        }
        let mut weights: Vec<f64> = Vec::new();
        let routes = seen.routes(|at| {
            weights.clear();
            if let Some(row) = at.row {
                weights.extend(at.of(&row.granted));
            }
            Box::new(Granted {
                overflow: Overflow(Weights::proportional(&weights)),
                limits_in: granted.get(at.function).cloned().unwrap_or_default(),
            })
        });
        self.granted = granted;
        Plan {
            routes,
            told: Told::Grants(grants),
            ..Plan::default()
        }
    }
}

impl Limits {
    /// The limits of those nodes; new ones for who had none, and of the others the same.
    fn for_nodes(&self, nodes: &[NodeId]) -> Limits {
        let limit = |node| match self.nodes.binary_search(node) {
            Ok(column) => Arc::clone(&self.limits[column]),
            Err(_) => Arc::new(Limit::new(CallRate::LEAST)),
        };
        Limits {
            nodes: nodes.to_vec(),
            limits: nodes.iter().map(limit).collect(),
        }
    }

    /// Zero is none.
    fn set(&self, rates: &[f64], now: Time) {
        for (limit, rate) in self.limits.iter().zip(rates) {
            if let Some(rate) = CallRate::new(*rate) {
                limit.bucket.set_rate(rate, tokens(rate), now);
            }
            limit.is_open.store(*rate > 0.0, Relaxed);
        }
    }
}

/// limit_in for each neighbour, zero for nothing. A neighbour without the function has one, too, as its clients may call
/// it all the same.
fn limits_in(function: &Seen, nodes: &[NodeId]) -> Vec<f64> {
    let service = function.service.unwrap_or(ASSUMED_SERVICE);
    let sustained = function.gate.capacity().sustained_rate(service);
    let margin = (sustained - function.from_clients).max(0.0);
    let mut rates: Vec<f64> = function.for_each(nodes).collect();
    let used: f64 = rates.iter().sum();
    let count = nodes.len() as f64;
    for rate in &mut rates {
        let limit = if margin >= used {
            *rate + (margin - used) / count
        } else {
            *rate * margin / used
        };
        *rate = CallRate::up_to(limit).map_or(0.0, CallRate::per_second);
    }
    rates
}

#[derive(Debug)]
struct Granted {
    overflow: Overflow,
    limits_in: Arc<Limits>,
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
        let Ok(column) = self.limits_in.nodes.binary_search(&from) else {
            return false;
        };
        let limit = &self.limits_in.limits[column];
        limit.is_open.load(Relaxed) && limit.bucket.try_take(now)
    }
}
