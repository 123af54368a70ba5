//! Messages and the bytes that they have.

use std::time::Duration;

use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::trade::Amount;
use dfaas_protocol::wire::decode;
use dfaas_protocol::wire::{Message, WireError};
use dfaas_protocol::{CallRate, Capacity, FunctionName, Headroom, NodeLabels, Slots};

/// Where things stand in [`FULL_OFFER`].
pub(super) const PORT: usize = 18;
pub(super) const PERIOD: usize = 21;
pub(super) const LABELS: usize = 24;
pub(super) const FIRST_NAME: usize = 51;
pub(super) const FREE: usize = 61;
pub(super) const SIZE: usize = 62;
pub(super) const RATE: usize = 78;

/// Slots with a service time and a rate without one, on a host with an IPv4 address.
pub(super) const FULL_OFFER: &[u8] = &[
    0x03, // version
    0x00, // an offer
    0xfd, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, // boot 0x0102030405060708
    0x07, // sequence
    0x01, 0x00, 192, 0, 2, 1, // host 192.0.2.1
    0xfb, 0x71, 0x7b, // port 31601
    0xfb, 0xe8, 0x03, // every 1000 ms
    0x02, // two labels
    0x06, b'e', b'n', b'e', b'r', b'g', b'y', 0x03, b'0', b'.', b'4', // energy=0.4
    0x06, b'r', b'e', b'g', b'i', b'o', b'n', 0x05, b'n', b'o', b'r', b't',
    b'h', // region=north
    0x01, // cordoned
    0x02, // two functions
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x08, // 8 slots
    0x03, 0x08, // headroom -2/8
    0x10, // 16 may wait
    0x01, 0xfc, 0xa0, 0x86, 0x01, 0x00, // service 100 ms
    0x06, b'q', b'r', b'.', b'd', b'e', b'v', // name
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x59, 0x40, // 100 calls a second
    0x14, 0x0a, // headroom 10/10
    0x00, // none may wait
    0x00, // no service time
];

/// No function, on a host with an IPv6 address.
pub(super) const V6_OFFER: &[u8] = &[
    0x03, 0x00, 0x02, 0x01, // boot 2, sequence 1
    0x01, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // 2001:db8::1
    0x50, // port 80
    0x01, 0x00, 0x00, // every millisecond, no label, not cordoned
    0x00, // no function
];

/// No host.
pub(super) const HOSTLESS_OFFER: &[u8] =
    &[0x03, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01, 0x00, 0x00, 0x00];

pub(super) const GRANTS: &[u8] = &[
    0x03, 0x01, 0x01, // one grant
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x41, 0x40, // 35 calls a second
];

pub(super) const FAREWELL: &[u8] = &[0x03, 0x02];

pub(super) const MARGIN: &[u8] = &[
    0x03, 0x03, // a margin
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x39, 0x40, // 25 points
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, // 1 for a call of high usage
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, // 0.5 of medium
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // nothing of low
];

pub(super) const PRICES: &[u8] = &[
    0x03, 0x04, 0x01, // one price
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, // 0.5
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x41, 0x40, // 35 calls a second
];

pub(super) const BIDS: &[u8] = &[
    0x03, 0x05, 0x01, // one bid
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, // 1
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x41, 0x40, // 35 calls a second
];

pub(super) const QUESTION: &[u8] = &[
    0x03, 0x08, // a question about
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, // that key
];

pub(super) const SIGHTING: &[u8] = &[
    0x03, 0x09, // a sighting of
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, // that key
    0x01, 0xfb, 0xe8, 0x03, // 1000 ms ago
];

pub(super) const GOLDEN: [&[u8]; 10] = [
    FULL_OFFER,
    V6_OFFER,
    HOSTLESS_OFFER,
    GRANTS,
    FAREWELL,
    MARGIN,
    PRICES,
    BIDS,
    QUESTION,
    SIGHTING,
];

pub(super) fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

pub(super) fn rate(per_second: f64) -> CallRate {
    CallRate::new(per_second).unwrap()
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> NodeLabels {
    let pairs = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    NodeLabels::new(pairs).unwrap()
}

pub(super) fn amount(amount: f64) -> Amount {
    Amount::new(amount).unwrap()
}

pub(super) fn bare_offer(host: Option<&str>) -> Offer {
    Offer {
        boot: 2,
        sequence: 1,
        peer_endpoint: PeerEndpoint {
            host: host.map(|text| text.parse().unwrap()),
            port: 80,
        },
        period: Period::from_duration(Duration::from_millis(1)),
        labels: NodeLabels::default(),
        cordoned: false,
        functions: Vec::new(),
    }
}

pub(super) fn full_offer() -> Offer {
    Offer {
        boot: 0x0102_0304_0506_0708,
        sequence: 7,
        peer_endpoint: PeerEndpoint {
            host: Some("192.0.2.1".parse().unwrap()),
            port: 31601,
        },
        period: Period::from_duration(Duration::from_secs(1)),
        labels: labels(&[("energy", "0.4"), ("region", "north")]),
        cordoned: true,
        functions: vec![
            FunctionOffer {
                function: name("ocr.dev"),
                capacity: Capacity::Slots(Slots::new(8).unwrap()),
                headroom: Headroom { free: -2, size: 8 },
                queue: 16,
                service: Some(ServiceTime::from_duration(Duration::from_millis(100))),
            },
            FunctionOffer {
                function: name("qr.dev"),
                capacity: Capacity::Rate(rate(100.0)),
                headroom: Headroom { free: 10, size: 10 },
                queue: 0,
                service: None,
            },
        ],
    }
}

pub(super) fn grants() -> Vec<Grant> {
    vec![Grant {
        function: name("ocr.dev"),
        rate: rate(35.0),
    }]
}

/// An offer of that many functions, whose names have `length` bytes with the namespace.
pub(super) fn long_offer(functions: usize, length: usize) -> Message {
    let functions = (0..functions)
        .map(|i| FunctionOffer {
            function: name(&format!("{i:0>width$}.d", width = length - 2)),
            capacity: Capacity::Slots(Slots::new(8).unwrap()),
            headroom: Headroom { free: 8, size: 8 },
            queue: 8,
            service: None,
        })
        .collect();
    Message::Offer(Offer {
        functions,
        ..bare_offer(None)
    })
}

pub(super) fn patched(golden: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut patched = golden.to_vec();
    patched[at..at + bytes.len()].copy_from_slice(bytes);
    patched
}

#[track_caller]
pub(super) fn assert_invalid(bytes: &[u8], expected: &str) {
    match decode(bytes) {
        Err(WireError::Invalid(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("expected it to be invalid ({expected}), got {other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_malformed(bytes: &[u8]) {
    let decoded = decode(bytes);
    assert!(
        matches!(decoded, Err(WireError::Malformed(_))),
        "{decoded:?}"
    );
}
