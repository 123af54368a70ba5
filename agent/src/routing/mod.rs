//! What the data path reads for each call: routes in one snapshot that is swapped whole, counters apart from it.

mod counters;
mod latency;
mod local;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dfaas_protocol::route::Route;
use dfaas_protocol::{FunctionName, NodeId};

pub use counters::{Arrival, CLIENT_GONE, CallCounters, Outcome};
pub use latency::{BOUNDS, Latencies, LatencySeries};
pub use local::{LocalFunction, Slot};

/// A snapshot of all routes. A plan, a deployment or a lost neighbour makes a new one; calls on their way keep theirs.
#[derive(Debug, Default)]
pub struct Routes {
    by_text: HashMap<Box<str>, Arc<Served>>,
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
    pub neighbours: HashMap<NodeId, Arc<AtomicU64>>,
    /// Counters of the function, which outlive the snapshot.
    pub counters: Arc<CallCounters>,
    /// From the arrival of a call to the head of its answer.
    pub timeout: Duration,
}

impl Routes {
    /// A snapshot of these, with the neighbours that may forward to this node, and the functions that had a route not
    /// long ago and have none now.
    pub fn new(
        served: impl IntoIterator<Item = Served>,
        neighbours: HashSet<NodeId>,
        lapsed: HashSet<FunctionName>,
    ) -> Routes {
        let mut by_text = HashMap::new();
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
