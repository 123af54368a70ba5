//! Metrics of what neighbours' word is worth, and of what was too much.

use std::sync::atomic::AtomicU64;

use dfaas_protocol::neighbours::OfferCounts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::admin::view::Peer;
use crate::overlay::OverlayCounters;

/// What was counted of members beside what the overlay counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberCounters {
    /// Offers that were not taken as they are.
    pub offers: OfferCounts,
    /// Calls that were refused, as their neighbour brought too many.
    pub calls_limited: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOffer {
    node_id: String,
    function_name: String,
}

/// Registers them.
pub(super) fn register(
    registry: &mut Registry,
    peers: &[Peer],
    counted: MemberCounters,
    overlay: &OverlayCounters,
) {
    let standing = Family::<ByOffer, Gauge<f64, AtomicU64>>::default();
    registry.register(
        "peer_standing",
        "How far a neighbour's word for a function is taken: the share of calls for which it is considered",
        standing.clone(),
    );
    for peer in peers {
        for function in &peer.functions {
            let label = ByOffer {
                node_id: peer.node_id.to_string(),
                function_name: function.name.clone(),
            };
            let gauge = standing.get_or_create(&label);
            gauge.set(f64::from(function.standing));
        }
    }
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    counter(
        "offers_stale",
        "Offers that were older than one that was already heard",
        counted.offers.stale,
    );
    counter(
        "offers_refused",
        "Offers that named too many functions",
        counted.offers.refused,
    );
    counter(
        "offered_functions_cut",
        "Functions of which an offer claimed more than is believed",
        counted.offers.cut,
    );
    counter(
        "peer_calls_limited",
        "Calls that were refused as their neighbour brought too many calls or bytes",
        counted.calls_limited,
    );
    counter(
        "messages_ignored",
        "Messages that were ignored as their senders sent too many",
        overlay.ignored,
    );
    counter(
        "nodes_cut_off",
        "How often a node was cut off that went on sending too much",
        overlay.cut,
    );
}
