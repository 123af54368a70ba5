//! Kinds, versions, lengths, and what is not a message.

use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{self, Authority, MAX_VALIDITY, Rights, UnixTime};
use dfaas_protocol::sighting::Sighting;
use dfaas_protocol::trade::{Bid, Margin, Price};
use dfaas_protocol::wire::{MAX_FUNCTIONS, MAX_MEMBERS, MAX_MESSAGE, Message, VERSION, WireError};
use dfaas_protocol::wire::{decode, encode};

use super::golden::*;

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
