//! Metrics in the OpenMetrics text format, made anew at each scrape from what operators see anyway.
//!
//! Functions are labelled `function_name="name.namespace"`, the form that OpenFaaS dashboards use.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use dfaas_protocol::HealthState;
use dfaas_protocol::strategy::NodeState;

use crate::admin::view::{Calls, Peer, Status};
use crate::overlay::OverlayCounters;

use super::access::AccessCounters;
use super::latency::{self, FunctionLatency};
use super::members::{self, MemberCounters};
use super::turned_away::TurnedAwayCounters;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    function_name: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFunction {
    function_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CapacityLabel {
    function_name: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPeer {
    node_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPeerState {
    node_id: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: String,
    node_id: String,
    strategy: &'static str,
}

type Real = Gauge<f64, AtomicU64>;

/// What a scrape is made of.
#[derive(Debug)]
pub struct Scraped<'a> {
    /// The node and its functions.
    pub status: &'a Status,
    /// Its neighbours.
    pub peers: &'a [Peer],
    /// How long calls took.
    pub latencies: &'a [FunctionLatency],
    /// What never became a call.
    pub turned_away: &'a TurnedAwayCounters,
    /// The lines of the access log, where there is one.
    pub access: Option<AccessCounters>,
    /// What passed between nodes.
    pub overlay: &'a OverlayCounters,
    /// What was too much of it, or not taken.
    pub members: MemberCounters,
    /// What the machine has in use.
    pub machine: NodeState,
}

/// The text of a scrape.
pub fn encode(scraped: &Scraped<'_>) -> String {
    let &Scraped {
        status,
        peers,
        latencies,
        turned_away,
        access,
        overlay,
        members,
        machine,
    } = scraped;
    let mut root = Registry::default();
    let registry = root.sub_registry_with_prefix("dfaas");
    calls(registry, status);
    turned_away_requests(registry, turned_away);
    functions(registry, status);
    node(registry, status, peers);
    health(registry, status, peers);
    if let Some(access) = access {
        access_log(registry, access);
    }
    overlay_traffic(registry, overlay);
    members::register(registry, peers, members, overlay);
    machine_use(registry, machine);
    latency::register(&mut root, latencies);
    let mut text = String::new();
    // Writing to a string fails only if a metric's own code does, and these are plain numbers.
    let _ = encode_text(&mut text, &root);
    text
}

fn turned_away_requests(registry: &mut Registry, turned_away: &TurnedAwayCounters) {
    let requests = Family::<ByReason, Counter>::default();
    registry.register(
        "turned_away",
        "Requests and connections of clients that never became calls of a function, by reason",
        requests.clone(),
    );
    for (reason, sum) in turned_away.sums() {
        let reason = reason.as_str();
        requests.get_or_create(&ByReason { reason }).inc_by(sum);
    }
}

fn calls(registry: &mut Registry, status: &Status) {
    let calls = Family::<ByOutcome, Counter>::default();
    registry.register(
        "calls",
        "Calls since the start, by how they ended",
        calls.clone(),
    );
    for function in &status.functions {
        let counted = [
            ("run_here", function.calls.run_here),
            ("forwarded", function.calls.forwarded),
            ("refused", function.calls.refused),
            ("failed", function.calls.failed),
            ("run_for_peer", function.calls.run_for_peers),
            ("refused_to_peer", function.calls.refused_to_peers),
        ];
        for (outcome, count) in counted {
            let function_name = function.name.clone();
            calls
                .get_or_create(&ByOutcome {
                    function_name,
                    outcome,
                })
                .inc_by(count);
        }
    }
    let arrived = Family::<ByFunction, Counter>::default();
    registry.register(
        "calls_arrived",
        "Calls that clients brought",
        arrived.clone(),
    );
    let refused = Family::<ByFunction, Counter>::default();
    registry.register(
        "forwards_refused",
        "Forwards that a neighbour refused, or that could not be connected",
        refused.clone(),
    );
    let in_flight = Family::<ByFunction, Gauge>::default();
    registry.register(
        "calls_in_flight",
        "Calls of clients that were not answered yet",
        in_flight.clone(),
    );
    for function in &status.functions {
        let label = ByFunction {
            function_name: function.name.clone(),
        };
        in_flight
            .get_or_create(&label)
            .set(not_ended(&function.calls));
        arrived.get_or_create(&label).inc_by(function.calls.arrived);
        refused
            .get_or_create(&label)
            .inc_by(function.calls.forwards_refused);
    }
}

fn not_ended(calls: &Calls) -> i64 {
    let ended = calls.run_here + calls.forwarded + calls.refused + calls.failed;
    i64::try_from(calls.arrived.saturating_sub(ended)).unwrap_or(i64::MAX)
}

/// One for the state that holds, zero for the others.
fn health(registry: &mut Registry, status: &Status, peers: &[Peer]) {
    let platform = Family::<ByState, Gauge>::default();
    registry.register(
        "platform_health",
        "Whether the platform is in that state of health",
        platform.clone(),
    );
    let neighbours = Family::<ByPeerState, Gauge>::default();
    registry.register(
        "peer_health",
        "Whether the neighbour is in that state of health",
        neighbours.clone(),
    );
    for known in HealthState::ALL {
        let state = known.as_str();
        let holds = |is: HealthState| i64::from(is == known);
        platform
            .get_or_create(&ByState { state })
            .set(holds(status.platform_health));
        for peer in peers {
            let node_id = peer.node_id.to_string();
            neighbours
                .get_or_create(&ByPeerState { node_id, state })
                .set(holds(peer.health));
        }
    }
}

fn functions(registry: &mut Registry, status: &Status) {
    let headroom = Family::<ByFunction, Gauge>::default();
    registry.register(
        "headroom",
        "Calls that could start here now; negative by those that wait",
        headroom.clone(),
    );
    let size = Family::<ByFunction, Gauge>::default();
    registry.register("headroom_size", "Headroom when idle", size.clone());
    let service = Family::<ByFunction, Real>::default();
    registry.register(
        "service_time_mean_seconds",
        "Mean time of a call here, smoothed",
        service.clone(),
    );
    let capacity = Family::<CapacityLabel, Gauge>::default();
    registry.register(
        "capacity_slots",
        "Calls that run here at one time, declared or learned",
        capacity.clone(),
    );
    for function in &status.functions {
        let label = ByFunction {
            function_name: function.name.clone(),
        };
        if let Some(slots) = function.slots {
            let function_name = function.name.clone();
            let kind = if function.learned {
                "learned"
            } else {
                "declared"
            };
            capacity
                .get_or_create(&CapacityLabel {
                    function_name,
                    kind,
                })
                .set(i64::from(slots));
        }
        if let (Some(free), Some(full)) = (function.free, function.size) {
            headroom.get_or_create(&label).set(i64::from(free));
            size.get_or_create(&label).set(i64::from(full));
        }
        if let Some(ms) = function.service_ms {
            service.get_or_create(&label).set(ms / 1e3);
        }
    }
}

fn node(registry: &mut Registry, status: &Status, peers: &[Peer]) {
    let build = Family::<Build, Gauge>::default();
    registry.register("node", "This node; always 1", build.clone());
    build
        .get_or_create(&Build {
            version: status.version.clone(),
            node_id: status.node_id.to_string(),
            strategy: status.strategy.as_str(),
        })
        .set(1);
    let mut gauge = |name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge(
        "neighbours",
        "Neighbours that are heard",
        status.neighbours as i64,
    );
    gauge(
        "platform_up",
        "Whether the platform answers",
        i64::from(status.platform_up),
    );
    gauge(
        "draining",
        "Whether the node drains",
        i64::from(status.draining),
    );
    let restarts: Counter = Counter::default();
    restarts.inc_by(status.task_restarts);
    registry.register(
        "task_restarts",
        "Tasks of the agent that were started anew after a panic",
        restarts,
    );
    let uptime: Real = Gauge::default();
    uptime.set(status.uptime_seconds);
    registry.register("uptime_seconds", "Since the start", uptime);
    let round_trip = Family::<ByPeer, Real>::default();
    registry.register(
        "peer_round_trip_seconds",
        "Round trip to a neighbour",
        round_trip.clone(),
    );
    for peer in peers {
        if let Some(ms) = peer.round_trip_ms {
            let node_id = peer.node_id.to_string();
            round_trip.get_or_create(&ByPeer { node_id }).set(ms / 1e3);
        }
    }
}

fn access_log(registry: &mut Registry, access: AccessCounters) {
    let written: Counter = Counter::default();
    written.inc_by(access.written);
    registry.register(
        "access_log_lines",
        "Lines that were written to the access log",
        written,
    );
    let dropped: Counter = Counter::default();
    dropped.inc_by(access.dropped);
    registry.register(
        "access_log_dropped",
        "Lines that were dropped, as the access log was slow or could not be written",
        dropped,
    );
}

fn overlay_traffic(registry: &mut Registry, overlay: &OverlayCounters) {
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    counter(
        "messages_sent",
        "Messages to neighbours",
        overlay.messages_sent,
    );
    counter(
        "messages_received",
        "Messages from neighbours",
        overlay.messages_received,
    );
    counter(
        "message_bytes_sent",
        "Bytes of messages sent",
        overlay.bytes_sent,
    );
    counter(
        "message_bytes_received",
        "Bytes of messages received",
        overlay.bytes_received,
    );
    counter(
        "messages_malformed",
        "Messages that did not decode",
        overlay.malformed,
    );
    counter(
        "messages_dropped",
        "Messages not sent as a neighbour was slow",
        overlay.dropped,
    );
    counter(
        "dials_failed",
        "Overlay connections that could not be made",
        overlay.dials_failed,
    );
    counter(
        "overlay_restarts",
        "Restarts of the overlay after a panic",
        overlay.task_restarts,
    );
}

/// What could be measured of the machine.
fn machine_use(registry: &mut Registry, machine: NodeState) {
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let gauge: Real = Gauge::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
    };
    gauge(
        "node_cpu_percent",
        "Use of all CPUs of the machine together",
        machine.cpu_percent,
    );
    gauge(
        "node_memory_bytes",
        "Memory of the machine in use",
        machine.memory_bytes,
    );
    let watts = machine.power_microwatts.map(|power| power / 1e6);
    gauge(
        "node_power_watts",
        "Power that the machine draws, measured or estimated",
        watts,
    );
}
