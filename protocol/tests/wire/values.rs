//! What is refused of a message whose form is right.

use std::time::Duration;

use dfaas_protocol::labels::{MAX_LABEL, MAX_LABELS};
use dfaas_protocol::offer::{Offer, Period};
use dfaas_protocol::wire::{Message, VERSION, WireError};
use dfaas_protocol::wire::{decode, encode};
use dfaas_protocol::{Capacity, Slots};

use super::golden::*;

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
    // No two texts name one function: what people write as "f" is "f.openfaas-fn" here.
    let bytes = [
        &[VERSION, 0x01, 0x02, 0x01, b'f'],
        &GRANTS[11..],
        &[0x0d],
        b"f.openfaas-fn",
        &GRANTS[11..],
    ]
    .concat();
    assert_malformed(&bytes);
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
