//! What the data path reads for each call: routes in one snapshot that is swapped whole, counters apart from it.

mod counters;
mod latency;
mod local;
mod waiters;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dfaas_protocol::delivery::{Admission, Decision, Rejection, Why};
use dfaas_protocol::policy::{Excluded, Policy, Terms};
use dfaas_protocol::route::Route;
use dfaas_protocol::{FunctionName, NodeId, Time};
use rustc_hash::FxHashMap;

use crate::explain::FunctionNumber;

pub use counters::{Arrival, CLIENT_GONE, CallCounters, Outcome};
pub use latency::{BOUNDS, Latencies, LatencySeries};
pub use local::{LocalFunction, Slot};
pub use waiters::Waiters;

/// A snapshot of all routes. A plan, a deployment or a lost neighbour makes a new one; calls on their way keep theirs.
#[derive(Debug, Default)]
pub struct Routes {
    /// Each function by both of its names. Only names of functions are in it, so that nobody can make them collide.
    by_text: FxHashMap<Box<str>, Arc<Served>>,
    neighbours: HashSet<NodeId>,
    lapsed: HashSet<FunctionName>,
}

/// One function's route with all that a call on it needs.
#[derive(Debug)]
pub struct Served {
    /// The decision's side.
    pub route: Route,
    /// The function on the local platform; there when the route has a gate.
    pub local: Option<Arc<LocalFunction>>,
    /// The peer addresses of the route's candidates, in their order.
    pub addresses: Vec<SocketAddr>,
    /// Every neighbour that may forward to this node, with the number of its calls that were run.
    pub neighbours: BTreeMap<NodeId, Arc<AtomicU64>>,
    /// Counters of the function, which outlive the snapshot.
    pub counters: Arc<CallCounters>,
    /// From the arrival of a call to the head of its answer.
    pub timeout: Duration,
    /// What the function asks for.
    pub policy: Policy,
    /// Whether calls of neighbours are taken.
    pub offered: bool,
    /// Mean time of a call here, once one has been measured.
    pub service: Option<Duration>,
    /// By which number explanations know the function.
    pub number: FunctionNumber,
    /// The neighbours that offer the function and may not be sent its calls, and why.
    pub excluded: Vec<(NodeId, Excluded)>,
}

impl Served {
    /// The terms of a client's call that arrived at that time, with the time that it left for its answer.
    pub fn terms(&self, arrived: Time, deadline: Option<Duration>) -> Terms {
        let tail = self.local.as_ref().and_then(|local| local.tail());
        let patience = self.policy.patience(tail);
        Terms {
            priority: self.policy.priority,
            deadline: deadline.map(|within| arrived + within),
            start_by: patience.map(|patience| arrived + patience),
        }
    }

    /// What to do with a call that finds no room to wait: it waits in the place of one of lower priority, if there is one.
    pub fn displace(&self, decision: Decision, terms: &Terms) -> Decision {
        match (decision, &self.local) {
            (Decision::Reject(Rejection::Full), Some(local)) if local.displace(terms.priority) => {
                Decision::Wait(Why::WaitHere)
            }
            (other, _) => other,
        }
    }

    /// The same for a call that a neighbour forwarded.
    pub fn displace_admission(&self, admission: Admission, terms: &Terms) -> Admission {
        match (admission, &self.local) {
            (Admission::Refuse(Rejection::Full), Some(local)) if local.displace(terms.priority) => {
                Admission::Wait
            }
            (other, _) => other,
        }
    }
}

impl Routes {
    /// A snapshot of these, with the neighbours that may forward to this node, and the functions that had a route not
    /// long ago and have none now.
    pub fn new(
        served: impl IntoIterator<Item = Served>,
        neighbours: HashSet<NodeId>,
        lapsed: HashSet<FunctionName>,
    ) -> Routes {
        let mut by_text = FxHashMap::default();
        for served in served {
            let served = Arc::new(served);
            let function: &FunctionName = &served.route.function;
            by_text.insert(function.as_str().into(), Arc::clone(&served));
            by_text.insert(function.display_name().into(), served);
        }
        Routes {
            by_text,
            neighbours,
            lapsed,
        }
    }

    /// Whether a function, as a path names it, had a route not long ago and has none now.
    pub fn lapsed(&self, text: &str) -> bool {
        FunctionName::parse(text).is_ok_and(|name| self.lapsed.contains(&name))
    }

    /// Whether that node may forward to this one.
    pub fn has_neighbour(&self, node: NodeId) -> bool {
        self.neighbours.contains(&node)
    }

    /// The route of the function that a path names, as the path writes it: with or without the namespace.
    pub fn find(&self, text: &str) -> Option<&Arc<Served>> {
        self.by_text.get(text)
    }
}
