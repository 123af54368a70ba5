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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rand::Rng;

use crate::delivery::{Decision, Tried};
use crate::estimate::TokenBucket;
use crate::route::Route;
use crate::{CallRate, FunctionName, NodeId, Time};

use super::shares::Overflow;
use super::weights::sum;
use super::{Grants, Observation, Plan, Rule, Seen, Strategy, Told, Weights};

/// The service time to reckon with before one has been measured, for a capacity in slots.
const ASSUMED_SERVICE: Duration = Duration::from_millis(100);
/// The tokens in the bucket of a grant: a tenth of a second of it.
const BURST_SECONDS: f64 = 0.1;

/// The strategy `recalc`. It keeps the bucket of each grant from plan to plan, so that a new plan gives nobody a new
/// burst.
#[derive(Debug, Default)]
pub struct Recalc {
    /// The neighbours, in the order of their ids.
    nodes: Arc<[NodeId]>,
    /// By function, in the order of their names.
    granted: Vec<(FunctionName, Arc<Limits>)>,
}

/// What the neighbours may send of a function.
#[derive(Debug, Default)]
struct Limits {
    /// In the order of their ids.
    nodes: Arc<[NodeId]>,
    limits: Box<[Limit]>,
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
        if *self.nodes != *nodes {
            self.nodes = nodes.into();
        }
        let nodes = &self.nodes;
        let mut grants = Grants::new(nodes, seen.functions.len());
        let mut before = std::mem::take(&mut self.granted).into_iter().peekable();
        let mut granted = Vec::with_capacity(seen.functions.len());
        let mut weights: Vec<f64> = Vec::new();
        let routes = seen.routes(|at| {
            weights.clear();
            if let Some(row) = at.row {
                at.put(&row.granted, &mut weights);
            }
            let limits_in = at.here.map(|function| {
                // Both are in the order of the names, so one walk is enough.
                while before.next_if(|last| last.0 < *at.function).is_some() {}
                let last = before.next_if(|last| last.0 == *at.function);
                let limits = match last {
                    Some((_, last)) if Arc::ptr_eq(&last.nodes, nodes) => last,
                    Some((_, last)) => Arc::new(last.for_nodes(nodes)),
                    None => Arc::new(Limits::default().for_nodes(nodes)),
                };
                let rates = grants.row(at.function);
                limits_in(function, nodes, rates);
                limits.set(rates, seen.now);
                granted.push((at.function.clone(), Arc::clone(&limits)));
                limits
            });
            Box::new(Granted {
                overflow: Overflow(Weights::proportional(&weights)),
                limits_in: limits_in.unwrap_or_default(),
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
    /// The limits of those nodes; new ones for who had none, and of the others what they have taken so far.
    fn for_nodes(&self, nodes: &Arc<[NodeId]>) -> Limits {
        let limit = |node| match self.nodes.binary_search(node) {
            Ok(column) => {
                let Limit { is_open, bucket } = &self.limits[column];
                Limit {
                    is_open: AtomicBool::new(is_open.load(Relaxed)),
                    bucket: bucket.copied(),
                }
            }
            Err(_) => Limit::new(CallRate::LEAST),
        };
        Limits {
            nodes: Arc::clone(nodes),
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

/// Puts limit_in for each neighbour into `rates`, zero for nothing. A neighbour without the function has one, too, as its
/// clients may call it all the same.
fn limits_in(function: &Seen, nodes: &[NodeId], rates: &mut [f64]) {
    let service = function.service.unwrap_or(ASSUMED_SERVICE);
    let sustained = function.gate.capacity().sustained_rate(service);
    let margin = (sustained - function.from_clients).max(0.0);
    function.put_for_each(nodes, rates);
    let used = sum(rates);
    // Each is a multiple of what is used, and a part that is the same for all.
    let (times, part) = if margin >= used {
        (1.0, (margin - used) / nodes.len() as f64)
    } else {
        (margin / used, 0.0)
    };
    for rate in rates {
        *rate = CallRate::up_to(*rate * times + part).map_or(0.0, CallRate::per_second);
    }
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
