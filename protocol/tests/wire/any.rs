//! Any message, any bytes, any damage.

use std::net::IpAddr;
use std::time::Duration;

use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::sighting::Sighting;
use dfaas_protocol::trade::{Bid, Margin, Price};
use dfaas_protocol::wire::{Message, VERSION};
use dfaas_protocol::wire::{decode, encode};
use dfaas_protocol::{CallRate, Capacity, FunctionName, Headroom, NodeId, NodeLabels, Slots};
use proptest::prelude::*;

use super::golden::*;

fn any_function() -> impl Strategy<Value = FunctionName> {
    ("[a-zA-Z0-9_.-]{1,20}", "[a-zA-Z0-9_-]{1,10}")
        .prop_map(|(name, namespace)| FunctionName::new(&name, &namespace).unwrap())
}

fn any_rate() -> impl Strategy<Value = CallRate> {
    prop_oneof![1e-5..=1e6, Just(1e-5), Just(1e6)].prop_map(rate)
}

fn any_capacity() -> impl Strategy<Value = Capacity> {
    prop_oneof![
        (1..=1_000_000u32).prop_map(|n| Capacity::Slots(Slots::new(n).unwrap())),
        any_rate().prop_map(Capacity::Rate),
    ]
}

fn any_headroom() -> impl Strategy<Value = Headroom> {
    (1..=u32::MAX, any::<i32>()).prop_map(|(size, free)| Headroom {
        free: free.min(i32::try_from(size).unwrap_or(i32::MAX)),
        size,
    })
}

fn any_labels() -> impl Strategy<Value = NodeLabels> {
    proptest::collection::btree_map("[a-z0-9._/-]{1,12}", "[a-z0-9._/-]{0,12}", 0..5)
        .prop_map(|pairs| NodeLabels::new(pairs).unwrap())
}

fn any_offer() -> impl Strategy<Value = Message> {
    let function = (
        any_capacity(),
        any_headroom(),
        any::<u32>(),
        proptest::option::of(any::<u32>()),
    );
    let functions = proptest::collection::btree_map(any_function(), function, 0..20);
    let host = proptest::option::of(any::<IpAddr>());
    let said = (1..=3_600_000u64, any_labels(), any::<bool>());
    (
        any::<u64>(),
        any::<u64>(),
        host,
        1..=u16::MAX,
        said,
        functions,
    )
        .prop_map(
            |(boot, sequence, host, port, (millis, labels, cordoned), functions)| {
                let functions = functions
                    .into_iter()
                    .map(
                        |(function, (capacity, headroom, queue, micros))| FunctionOffer {
                            function,
                            capacity,
                            headroom,
                            queue,
                            service: micros.map(|micros| {
                                ServiceTime::from_duration(Duration::from_micros(u64::from(micros)))
                            }),
                        },
                    )
                    .collect();
                Message::Offer(Offer {
                    boot,
                    sequence,
                    peer_endpoint: PeerEndpoint { host, port },
                    period: Period::from_duration(Duration::from_millis(millis)),
                    labels,
                    cordoned,
                    functions,
                })
            },
        )
}

fn any_message() -> impl Strategy<Value = Message> {
    let grants = proptest::collection::btree_map(any_function(), any_rate(), 0..20);
    let grants = grants.prop_map(|grants| {
        let grant = |(function, rate)| Grant { function, rate };
        Message::Grants(grants.into_iter().map(grant).collect())
    });
    let amount = || prop_oneof![0.0..=1e9, Just(0.0), Just(1e9)].prop_map(amount);
    let margin = (amount(), [amount(), amount(), amount()]);
    let margin = margin.prop_map(|(points, cost)| Message::Margin(Margin { points, cost }));
    let trade = || {
        let terms = (amount(), any_rate());
        proptest::collection::btree_map(any_function(), terms, 0..20)
    };
    let prices = trade().prop_map(|prices| {
        let price = |(function, (price, rate))| Price {
            function,
            price,
            rate,
        };
        Message::Prices(prices.into_iter().map(price).collect())
    });
    let bids = trade().prop_map(|bids| {
        let bid = |(function, (price, rate))| Bid {
            function,
            price,
            rate,
        };
        Message::Bids(bids.into_iter().map(bid).collect())
    });
    let farewell = Just(Message::Farewell);
    let node = || any::<[u8; 32]>().prop_map(NodeId::from_key);
    let question = node().prop_map(Message::Question);
    let sighting = (node(), any::<Option<u32>>());
    let sighting =
        sighting.prop_map(|(node, silent_ms)| Message::Sighting(Sighting { node, silent_ms }));
    prop_oneof![
        4 => any_offer(),
        2 => grants,
        1 => margin,
        1 => prices,
        1 => bids,
        1 => farewell,
        1 => question,
        1 => sighting,
    ]
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(message in any_message()) {
        prop_assert_eq!(decode(&encode(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_valid_message(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        kind in 0..9u8,
    ) {
        for (place, value) in bytes.iter_mut().zip([VERSION, kind]) {
            *place = value;
        }
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&message).unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn damage_to_a_message_is_an_error_or_a_valid_message(
        message in any_message(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&message).unwrap();
        for (index, value) in damage {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&message).unwrap()).unwrap(), message);
        }
    }
}
