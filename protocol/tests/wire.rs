//! What travels, byte by byte: golden messages, hostile bytes, and whatever proptest finds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::net::IpAddr;
use std::time::Duration;

use dfaas_protocol::labels::{MAX_LABEL, MAX_LABELS};
use dfaas_protocol::membership::{self, Authority, MAX_VALIDITY, Rights, UnixTime};
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::sighting::Sighting;
use dfaas_protocol::trade::{Amount, Bid, Margin, Price};
use dfaas_protocol::wire::{MAX_FUNCTIONS, MAX_MEMBERS, MAX_MESSAGE, Message, VERSION, WireError};
use dfaas_protocol::wire::{decode, encode};
use dfaas_protocol::{CallRate, Capacity, FunctionName, Headroom, NodeId, NodeLabels, Slots};
use proptest::prelude::*;

/// Where things stand in [`FULL_OFFER`].
const PORT: usize = 18;
const PERIOD: usize = 21;
const LABELS: usize = 24;
const FIRST_NAME: usize = 51;
const FREE: usize = 61;
const SIZE: usize = 62;
const RATE: usize = 78;

/// Slots with a service time and a rate without one, on a host with an IPv4 address.
const FULL_OFFER: &[u8] = &[
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
const V6_OFFER: &[u8] = &[
    0x03, 0x00, 0x02, 0x01, // boot 2, sequence 1
    0x01, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // 2001:db8::1
    0x50, // port 80
    0x01, 0x00, 0x00, // every millisecond, no label, not cordoned
    0x00, // no function
];

/// No host.
const HOSTLESS_OFFER: &[u8] = &[0x03, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01, 0x00, 0x00, 0x00];

const GRANTS: &[u8] = &[
    0x03, 0x01, 0x01, // one grant
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x41, 0x40, // 35 calls a second
];

const FAREWELL: &[u8] = &[0x03, 0x02];

const MARGIN: &[u8] = &[
    0x03, 0x03, // a margin
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x39, 0x40, // 25 points
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, // 1 for a call of high usage
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, // 0.5 of medium
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // nothing of low
];

const PRICES: &[u8] = &[
    0x03, 0x04, 0x01, // one price
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, // 0.5
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x41, 0x40, // 35 calls a second
];

const BIDS: &[u8] = &[
    0x03, 0x05, 0x01, // one bid
    0x07, b'o', b'c', b'r', b'.', b'd', b'e', b'v', // name
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, // 1
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x41, 0x40, // 35 calls a second
];

const QUESTION: &[u8] = &[
    0x03, 0x08, // a question about
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, // that key
];

const SIGHTING: &[u8] = &[
    0x03, 0x09, // a sighting of
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, // that key
    0x01, 0xfb, 0xe8, 0x03, // 1000 ms ago
];

const GOLDEN: [&[u8]; 10] = [
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

fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

fn rate(per_second: f64) -> CallRate {
    CallRate::new(per_second).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> NodeLabels {
    let pairs = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    NodeLabels::new(pairs).unwrap()
}

fn amount(amount: f64) -> Amount {
    Amount::new(amount).unwrap()
}

fn bare_offer(host: Option<&str>) -> Offer {
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

fn full_offer() -> Offer {
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

fn grants() -> Vec<Grant> {
    vec![Grant {
        function: name("ocr.dev"),
        rate: rate(35.0),
    }]
}

/// An offer of that many functions, whose names have `length` bytes with the namespace.
fn long_offer(functions: usize, length: usize) -> Message {
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

fn patched(golden: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut patched = golden.to_vec();
    patched[at..at + bytes.len()].copy_from_slice(bytes);
    patched
}

#[track_caller]
fn assert_invalid(bytes: &[u8], expected: &str) {
    match decode(bytes) {
        Err(WireError::Invalid(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("expected it to be invalid ({expected}), got {other:?}"),
    }
}

#[track_caller]
fn assert_malformed(bytes: &[u8]) {
    let decoded = decode(bytes);
    assert!(
        matches!(decoded, Err(WireError::Malformed(_))),
        "{decoded:?}"
    );
}

#[test]
fn each_kind_of_message_has_exactly_these_bytes() {
    let messages = [
        Message::Offer(full_offer()),
        Message::Offer(bare_offer(Some("2001:db8::1"))),
        Message::Offer(bare_offer(None)),
        Message::Grants(grants()),
        Message::Farewell,
        Message::Margin(Margin {
            points: amount(25.0),
            cost: [1.0, 0.5, 0.0].map(amount),
        }),
        Message::Prices(vec![Price {
            function: name("ocr.dev"),
            price: amount(0.5),
            rate: rate(35.0),
        }]),
        Message::Bids(vec![Bid {
            function: name("ocr.dev"),
            price: amount(1.0),
            rate: rate(35.0),
        }]),
        Message::Question(NodeId::from_key([7; 32])),
        Message::Sighting(Sighting::new(
            NodeId::from_key([7; 32]),
            Some(Duration::from_secs(1)),
        )),
    ];
    for (message, golden) in messages.into_iter().zip(GOLDEN) {
        assert_eq!(encode(&message).unwrap(), golden, "{message:?}");
        assert_eq!(decode(golden).unwrap(), message);
    }
}

#[test]
fn nothing_is_not_a_message() {
    assert!(matches!(decode(&[]), Err(WireError::Empty)));
}

#[test]
fn another_version_is_named() {
    for version in (0..=u8::MAX).filter(|v| *v != VERSION) {
        match decode(&[version, 0x02]) {
            Err(WireError::Version(named)) => assert_eq!(named, version),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_truncated_message_is_malformed_at_every_length() {
    for golden in GOLDEN {
        for length in 1..golden.len() {
            assert_malformed(&golden[..length]);
        }
    }
}

#[test]
fn what_is_left_over_is_counted() {
    for golden in GOLDEN {
        let mut bytes = golden.to_vec();
        bytes.extend([0, 0, 0]);
        assert!(matches!(decode(&bytes), Err(WireError::LeftOver(3))));
    }
}

#[test]
fn a_flipped_bit_gives_an_error_or_a_valid_message() {
    let mut valid = 0;
    for golden in GOLDEN {
        for bit in 0..golden.len() * 8 {
            let mut bytes = golden.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(message) = decode(&bytes) {
                valid += 1;
                assert_eq!(decode(&encode(&message).unwrap()).unwrap(), message);
            }
        }
    }
    // The 64 bits of boot at least are free to be anything.
    assert!(valid > 64, "{valid}");
}

#[test]
fn an_over_large_message_is_refused_both_ways() {
    let bytes = vec![VERSION; MAX_MESSAGE + 1];
    assert!(matches!(decode(&bytes), Err(WireError::TooLarge)));
    let encoded = encode(&long_offer(MAX_FUNCTIONS, 100));
    assert!(matches!(encoded, Err(WireError::TooLarge)));
}

#[test]
fn the_largest_message_that_is_sent_is_also_taken() {
    // 56 bytes of name and 7 of the rest: 4096 × 63 + 12 bytes, a little below the limit.
    let message = long_offer(MAX_FUNCTIONS, 56);
    let bytes = encode(&message).unwrap();
    assert!((MAX_MESSAGE - 5_000..=MAX_MESSAGE).contains(&bytes.len()));
    assert_eq!(decode(&bytes).unwrap(), message);
}

#[test]
fn too_many_functions_or_grants_are_refused_both_ways() {
    let message = long_offer(MAX_FUNCTIONS + 1, 10);
    assert!(matches!(encode(&message), Err(WireError::Invalid(_))));
    // A node that does not keep to the limit: 4097 grants written by hand.
    let mut bytes = vec![VERSION, 0x01, 0xfb];
    bytes.extend((MAX_FUNCTIONS as u16 + 1).to_le_bytes());
    for i in 0..=MAX_FUNCTIONS {
        bytes.push(6);
        bytes.extend(format!("{i:04}.d").bytes());
        bytes.extend(1f64.to_le_bytes());
    }
    assert_invalid(&bytes, "more than 4096");
}

#[test]
fn members_and_revocations_travel_in_messages_of_their_own() {
    let authority = Authority::from_secret(&[7; 32]);
    let now = UnixTime::from_secs(1_795_190_400);
    let grant = || membership::Grant {
        region: Some("r".repeat(64).parse().unwrap()),
        rights: Rights::ALL,
    };
    let node = |i: usize| NodeId::from_key([i as u8; 32]);
    let members = |count| -> Message {
        let admit = |i| authority.admit(node(i), u64::MAX, (now, MAX_VALIDITY), grant());
        Message::Members((0..count).map(|i| admit(i).unwrap()).collect())
    };
    let revocations = |count| -> Message {
        Message::Revocations((0..count).map(|i| authority.revoke(node(i), now)).collect())
    };
    for (tag, few, many, too_many) in [
        (
            6,
            members(2),
            members(MAX_MEMBERS),
            members(MAX_MEMBERS + 1),
        ),
        (
            7,
            revocations(2),
            revocations(MAX_MEMBERS),
            revocations(MAX_MEMBERS + 1),
        ),
    ] {
        let bytes = encode(&few).unwrap();
        assert_eq!(bytes[..3], [VERSION, tag, 2]);
        assert_eq!(decode(&bytes).unwrap(), few);
        for length in 1..bytes.len() {
            assert_malformed(&bytes[..length]);
        }
        assert_eq!(decode(&encode(&many).unwrap()).unwrap(), many);
        assert!(matches!(encode(&too_many), Err(WireError::Invalid(_))));
    }
}

#[test]
fn hostile_lengths_are_refused() {
    let longest = [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let large = [0xfc, 0xff, 0xff, 0xff, 0x7f];
    let beyond_u64 = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let before_lengths: [&[u8]; 8] = [
        &[VERSION, 0x06],                                           // how many members
        &[VERSION, 0x07],                                           // how many revocations
        &[VERSION, 0x01],                                           // how many grants
        &[VERSION, 0x01, 0x01], // how long the name of a grant's function
        &[VERSION, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01], // how many labels
        &[VERSION, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01, 0x01], // how long the key of the first
        &[VERSION, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01, 0x00, 0x00], // how many functions
        &[
            VERSION, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01, 0x00, 0x00, 0x01,
        ], // how long the name of the first
    ];
    for before in before_lengths {
        for length in [&longest[..], &large, &beyond_u64] {
            for rest in [0, 100] {
                let bytes = [before, length, &vec![0x61; rest]].concat();
                assert_malformed(&bytes);
            }
        }
    }
}

#[test]
fn a_rate_is_a_number_in_range() {
    let hostile = [
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        -1.0,
        1e-6,
        1e7,
        f64::MIN_POSITIVE,
        f64::MAX,
    ];
    for rate in hostile {
        assert_malformed(&patched(GRANTS, GRANTS.len() - 8, &rate.to_le_bytes()));
        assert_malformed(&patched(FULL_OFFER, RATE, &rate.to_le_bytes()));
    }
    let other = decode(&patched(FULL_OFFER, RATE, &25f64.to_le_bytes())).unwrap();
    let mut expected = full_offer();
    expected.functions[1].capacity = Capacity::Rate(rate(25.0));
    assert_eq!(other, Message::Offer(expected));
}

#[test]
fn an_amount_is_a_number_in_range() {
    for hostile in [f64::NAN, f64::INFINITY, -1.0, -f64::MIN_POSITIVE, 1.1e9] {
        assert_malformed(&patched(MARGIN, 2, &hostile.to_le_bytes()));
        assert_malformed(&patched(MARGIN, MARGIN.len() - 8, &hostile.to_le_bytes()));
        assert_malformed(&patched(PRICES, 11, &hostile.to_le_bytes()));
        assert_malformed(&patched(BIDS, 11, &hostile.to_le_bytes()));
    }
    for (golden, kind) in [(PRICES, "prices"), (BIDS, "bids")] {
        let twice = [&golden[..2], &[0x02], &golden[3..], &golden[3..]].concat();
        assert_invalid(&twice, &format!("{kind} are not sorted"));
    }
}

#[test]
fn slots_are_a_number_in_range() {
    assert_malformed(&patched(FULL_OFFER, FREE - 1, &[0]));
    let mut offer = bare_offer(None);
    offer.functions = full_offer().functions;
    offer.functions[0].capacity = Capacity::Slots(Slots::new(1_000_000).unwrap());
    let bytes = encode(&Message::Offer(offer)).unwrap();
    let million = [0xfc, 0x40, 0x42, 0x0f, 0x00];
    let at = bytes.windows(5).position(|w| w == million).unwrap();
    assert_malformed(&patched(&bytes, at, &[0xfc, 0x41, 0x42, 0x0f, 0x00]));
}

#[test]
fn a_headroom_has_a_size_and_is_within_it() {
    assert_invalid(&patched(FULL_OFFER, SIZE, &[0]), "size zero");
    // 9 of 8, in zigzag.
    assert_invalid(&patched(FULL_OFFER, FREE, &[18]), "larger than its size");
    assert!(decode(&patched(FULL_OFFER, FREE, &[16])).is_ok());
}

#[test]
fn a_period_is_a_time_and_not_a_day() {
    assert_malformed(&patched(HOSTLESS_OFFER, 6, &[0]));
    let day = Offer {
        period: Period::from_duration(Duration::from_secs(86_400)),
        ..bare_offer(None)
    };
    assert_eq!(day.period.as_duration(), Duration::from_secs(3600));
    let bytes = encode(&Message::Offer(day)).unwrap();
    let hour = [0xfc, 0x80, 0xee, 0x36, 0x00];
    assert_eq!(bytes[6..11], hour);
    assert_malformed(&patched(&bytes, 6, &[0xfc, 0x81, 0xee, 0x36, 0x00]));
    assert!(decode(&patched(FULL_OFFER, PERIOD + 1, &[0xff, 0xff])).is_ok());
}

#[test]
fn labels_are_sorted_bounded_and_printable() {
    // "zzzzzz" before "region".
    assert_malformed(&patched(FULL_OFFER, LABELS + 2, b"zzzzzz"));
    for hostile in [b"e nrgy", b"e=nrgy", b"e,nrgy", b"en\0rgy"] {
        assert_malformed(&patched(FULL_OFFER, LABELS + 2, hostile));
    }
    let long = [b'a'; MAX_LABEL + 1];
    let with = |labels: &[u8]| {
        let before = [VERSION, 0x00, 0x02, 0x01, 0x00, 0x50, 0x01];
        [&before[..], labels, &[0x00, 0x00]].concat()
    };
    assert!(decode(&with(&[1, 1, b'a', 0])).is_ok());
    assert_malformed(&with(&[&[1, long.len() as u8][..], &long, &[0]].concat()));
    let many: Vec<u8> = (0..=MAX_LABELS as u8)
        .flat_map(|i| [2, b'a' + i / 26, b'a' + i % 26, 0])
        .collect();
    assert_malformed(&with(&[&[MAX_LABELS as u8 + 1][..], &many].concat()));
    assert!(decode(&with(&[&[MAX_LABELS as u8][..], &many[4..]].concat())).is_ok());
}

#[test]
fn a_port_is_not_zero() {
    let mut bytes = HOSTLESS_OFFER.to_vec();
    bytes[5] = 0;
    assert_invalid(&bytes, "port is zero");
    let bytes = patched(FULL_OFFER, PORT + 1, &[0, 0]);
    assert_invalid(&bytes, "port is zero");
}

#[test]
fn functions_are_sorted_and_each_stands_once() {
    // "zzz.dev" before "qr.dev".
    assert_invalid(&patched(FULL_OFFER, FIRST_NAME + 1, b"zzz"), "not sorted");
    let mut twice = full_offer();
    twice.functions[1].function = name("ocr.dev");
    assert!(matches!(
        encode(&Message::Offer(twice)),
        Err(WireError::Invalid(_))
    ));

    let grant = &GRANTS[3..];
    let bytes = [&[VERSION, 0x01, 0x02], grant, grant].concat();
    assert_invalid(&bytes, "not sorted");
    // Two texts that name one function: "f" stands for "f.openfaas-fn".
    let bytes = [
        &[VERSION, 0x01, 0x02, 0x01, b'f'],
        &GRANTS[11..],
        &[0x0d],
        b"f.openfaas-fn",
        &GRANTS[11..],
    ]
    .concat();
    assert_invalid(&bytes, "not sorted");
}

#[test]
fn a_name_is_a_function_name() {
    for hostile in [b"o/r", b"o\0r", b"\xff\xfe\xfd", b"o r"] {
        assert_malformed(&patched(FULL_OFFER, FIRST_NAME + 1, hostile));
    }
}

#[test]
fn an_unknown_kind_is_malformed() {
    for kind in 8..=250u8 {
        assert_malformed(&[
            VERSION, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
    }
}

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
