//! Certificates, revocations and tokens: what their bytes are, and that nothing else passes for one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{
    Authority, CLOCK_TOLERANCE, Certificate, FederationId, Grant, Heard, InvitationId, JoinAnswer,
    JoinRequest, MAX_CERTIFICATE, MAX_FRAME, MAX_VALIDITY, MOST_MEMBERS, MembershipError,
    NotAdmitted, Region, Register, Revocation, Right, Rights, Secret, Token, TokenError, UnixTime,
};
use proptest::prelude::*;

const NODE: NodeId = NodeId::from_key([1; 32]);
const OTHER: NodeId = NodeId::from_key([2; 32]);
/// 2026-11-20T16:00:00Z.
const NOW: UnixTime = UnixTime::from_secs(1_795_190_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const SECOND: Duration = Duration::from_secs(1);

/// Written by another implementation of the same rules, with the authority's secret 32 times 7.
const CERTIFICATE: &[u8] = &[
    0x01, 0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5,
    0xf9, 0x95, 0x47, 0x76, 0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46, 0xd2,
    0x2c, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0xfd, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0xfc, 0x80, 0x6e, 0x00, 0x6b, 0xfc,
    0x80, 0xfb, 0x27, 0x6b, 0x01, 0x05, 0x6e, 0x6f, 0x72, 0x74, 0x68, 0x03, 0x0a, 0xf0, 0xa2, 0xc2,
    0x9d, 0xf3, 0xd0, 0x43, 0xaa, 0xce, 0xe3, 0x6c, 0xf2, 0xa4, 0xf2, 0x2e, 0x88, 0x94, 0x55, 0xb5,
    0xb5, 0x72, 0x9f, 0x84, 0xee, 0xd5, 0xed, 0xac, 0x16, 0x8d, 0xc2, 0x95, 0xdd, 0x49, 0xf5, 0x20,
    0x24, 0xcf, 0x74, 0x6c, 0x01, 0x99, 0xe1, 0xf9, 0xdd, 0xcb, 0x90, 0x9e, 0xdd, 0xea, 0x12, 0x88,
    0xe8, 0x07, 0x96, 0x70, 0x16, 0x88, 0xde, 0xa9, 0x11, 0x79, 0xdd, 0x0d,
];
/// In the same way.
const REVOCATION: &[u8] = &[
    0x01, 0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5,
    0xf9, 0x95, 0x47, 0x76, 0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46, 0xd2,
    0x2c, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0xfc, 0x80, 0x6e, 0x00, 0x6b, 0x28, 0xbd, 0x03, 0xc3, 0xe2, 0x30, 0xa2, 0xd5, 0x41, 0x13,
    0x7d, 0xb6, 0xbf, 0x24, 0xee, 0x4d, 0x3e, 0xfb, 0x13, 0xc3, 0x03, 0xa8, 0x53, 0x4b, 0x79, 0xd7,
    0xb1, 0xb8, 0xdb, 0xf8, 0x60, 0x75, 0x12, 0x3d, 0x59, 0xb2, 0xe8, 0xf8, 0x1d, 0x00, 0xab, 0xfb,
    0x17, 0x04, 0xd8, 0x72, 0xd5, 0xe2, 0x70, 0x9f, 0xe2, 0xaf, 0xba, 0x9b, 0x26, 0x91, 0x09, 0x00,
    0x67, 0x47, 0xd5, 0x70, 0xe6, 0x08,
];

const CERTIFICATE_TEXT: &str = "dfaas-certificate-WvvMWzQ5obEYusW5DVUSjJDFaBna3oQE97c7DUyCPbVPF63h32suANTMaBYQmDPywHT2HxEbdoBNgyDvdxiUBXPB3Q7E4QJddfxv6ehj9kyqDfE7d1eQ1StaYEhmvW3gBm5CMJosB37mBupHT8T28Ad4mwTj1q7n8hCVn1zk56BpqmB32MjjpZp53QqnhfdegaM4WPiQT2M33fg1u7Ak";
const REVOCATION_TEXT: &str = "dfaas-revocation-Rz5EQeCeJdL2kad9vTCPhCA15G2WN7Kp6bAdsu5bDyUUe3mkqcgVRcgc5RorKG3pEjXj4UR8W4yoQtiH6ZTKU281oH7tBApGjqqk2krYcqDVGhzSLwDVjbB2UMrQfkSSYiTB6ywQNppWX4DafCeF1LM5UyspjaJ5KYD6FrgHcQKDMJ1aGKEp8F";
const TOKEN_TEXT: &str = "dfaas-join-Rz5EQeCeJdL2kad9vTCPhCA15G2WN7Kp6bAdsu5bDyUUgUwDswZEBkAn6sjV19weKTdMD5JoYvKmfbSfeWAfyiUtH83q5PWBoHTsLGbCApGMPXfeLPuRmqoPr3bAm9BF5aKG4RPuDsQ8XTfNZgbGgezbbX1Z5LbPSpLSeqYVfhoQoj9CgyxkrE";
const FEDERATION_TEXT: &str = "GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB";

fn authority() -> Authority {
    Authority::from_secret(&[7; 32])
}

fn federation() -> FederationId {
    authority().federation()
}

fn grant() -> Grant {
    Grant {
        region: Some("north".parse().unwrap()),
        rights: Rights::ALL,
    }
}

fn issued_at(at: UnixTime, serial: u64) -> Certificate {
    let admitted = authority().admit(NODE, serial, (at, MONTH), grant());
    admitted.unwrap()
}

fn certificate() -> Certificate {
    issued_at(NOW, 0x0102_0304_0506_0708)
}

fn revocation() -> Revocation {
    authority().revoke(NODE, NOW)
}

fn token() -> Token {
    Token {
        federation: federation(),
        address: "192.0.2.1:31601".into(),
        issuer: NODE,
        invitation: InvitationId(std::array::from_fn(|i| i as u8)),
        secret: Secret::new([9; 32]),
        expires: NOW,
    }
}

fn later(time: Duration) -> UnixTime {
    NOW.after(time)
}

fn earlier(time: Duration) -> UnixTime {
    UnixTime::from_secs(NOW.as_secs() - time.as_secs())
}

#[test]
fn each_has_exactly_these_bytes() {
    assert_eq!(certificate().to_bytes(), CERTIFICATE);
    assert_eq!(Certificate::from_bytes(CERTIFICATE), Ok(certificate()));
    assert_eq!(certificate().to_string(), CERTIFICATE_TEXT);
    assert_eq!(CERTIFICATE_TEXT.parse(), Ok(certificate()));
    let text = format!(
        "dfaas-revocation-{}",
        bs58::encode(REVOCATION).into_string()
    );
    assert_eq!(text, REVOCATION_TEXT);
    assert_eq!(revocation().to_string(), REVOCATION_TEXT);
    assert_eq!(REVOCATION_TEXT.parse(), Ok(revocation()));
    assert_eq!(token().to_text().as_str(), TOKEN_TEXT);
    assert_eq!(TOKEN_TEXT.parse(), Ok(token()));
    assert_eq!(federation().to_string(), FEDERATION_TEXT);
    assert_eq!(
        token().invitation.to_string(),
        "000102030405060708090a0b0c0d0e0f"
    );
}

#[test]
fn a_certificate_says_what_the_authority_said() {
    let certificate = certificate();
    certificate.verify(federation(), NOW).unwrap();
    assert_eq!(certificate.node(), NODE);
    assert_eq!(certificate.federation(), federation());
    assert_eq!(certificate.serial(), 0x0102_0304_0506_0708);
    assert_eq!(
        (certificate.issued(), certificate.expires()),
        (NOW, later(MONTH))
    );
    assert_eq!(certificate.validity(), MONTH);
    assert_eq!(certificate.grant(), &grant());
    assert!(certificate.grant().rights.include(Right::Serve));
}

#[test]
fn a_certificate_is_valid_between_its_ends() {
    let verify = |at| certificate().verify(federation(), at);
    assert_eq!(verify(earlier(CLOCK_TOLERANCE)), Ok(()));
    assert_eq!(
        verify(earlier(CLOCK_TOLERANCE + SECOND)),
        Err(MembershipError::NotYet(NOW))
    );
    assert_eq!(verify(later(MONTH - SECOND)), Ok(()));
    assert_eq!(
        verify(later(MONTH)),
        Err(MembershipError::Expired(later(MONTH)))
    );
}

#[test]
fn a_certificate_lasts_between_a_second_and_a_year() {
    let admit = |validity| authority().admit(NODE, 1, (NOW, validity), grant());
    for validity in [
        Duration::ZERO,
        Duration::from_millis(999),
        MAX_VALIDITY + SECOND,
    ] {
        assert_eq!(admit(validity), Err(MembershipError::Validity));
    }
    for validity in [SECOND, MAX_VALIDITY] {
        admit(validity).unwrap().verify(federation(), NOW).unwrap();
    }
}

#[test]
fn what_another_authority_signed_is_foreign() {
    let other = Authority::from_secret(&[8; 32]);
    let theirs = other.federation();
    let certificate = other.admit(NODE, 1, (NOW, MONTH), grant()).unwrap();
    let ours = federation();
    let foreign = Err(MembershipError::Foreign { theirs, ours });
    assert_eq!(certificate.verify(ours, NOW), foreign);
    assert_eq!(other.revoke(NODE, NOW).verify(ours), foreign);
    // With our federation's name and another's signature it is forged.
    let mut bytes = certificate.to_bytes();
    bytes[1..33].copy_from_slice(ours.key());
    let forged = Certificate::from_bytes(&bytes).unwrap();
    assert_eq!(forged.verify(ours, NOW), Err(MembershipError::Forged(ours)));
    // And a federation of which everybody knows a signature is none.
    let mut weak = [0; 32];
    weak[0] = 1;
    let weak = FederationId::from_key(weak);
    bytes[1..33].copy_from_slice(weak.key());
    let signed_by_nobody = bytes.len() - 64;
    bytes[signed_by_nobody..].fill(0);
    bytes[signed_by_nobody] = 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    assert_eq!(forged.verify(weak, NOW), Err(MembershipError::Forged(weak)));
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    // The same signature under a revocation and a certificate of the same node.
    let mut bytes = revocation_bytes();
    let signature = CERTIFICATE.len() - 64;
    let place = bytes.len() - 64;
    bytes[place..].copy_from_slice(&CERTIFICATE[signature..]);
    let forged: Revocation = revocation_text(&bytes).parse().unwrap();
    assert_eq!(
        forged.verify(federation()),
        Err(MembershipError::Forged(federation()))
    );
}

fn revocation_bytes() -> Vec<u8> {
    REVOCATION.to_vec()
}

fn revocation_text(bytes: &[u8]) -> String {
    format!("dfaas-revocation-{}", bs58::encode(bytes).into_string())
}

/// Whether the bytes of a certificate, or of a revocation, still pass.
fn passes(kind: usize, bytes: &[u8]) -> bool {
    match kind {
        0 => Certificate::from_bytes(bytes).is_ok_and(|c| c.verify(federation(), NOW).is_ok()),
        _ => revocation_text(bytes)
            .parse()
            .is_ok_and(|r: Revocation| r.verify(federation()).is_ok()),
    }
}

#[test]
fn no_flipped_bit_and_no_cut_passes() {
    for (kind, golden) in [CERTIFICATE, REVOCATION].into_iter().enumerate() {
        assert!(passes(kind, golden));
        for bit in 0..golden.len() * 8 {
            let mut bytes = golden.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!passes(kind, &bytes), "bit {bit}");
        }
        for length in 0..golden.len() {
            assert!(!passes(kind, &golden[..length]));
        }
        assert!(!passes(kind, &[golden, &[0]].concat()));
    }
}

#[test]
fn another_spelling_of_the_same_is_refused() {
    // The month's end in eight bytes instead of four.
    let at = CERTIFICATE.windows(5).rposition(|w| w[0] == 0xfc).unwrap();
    let mut bytes = CERTIFICATE[..at].to_vec();
    bytes.push(0xfd);
    bytes.extend(&CERTIFICATE[at + 1..at + 5]);
    bytes.extend([0; 4]);
    bytes.extend(&CERTIFICATE[at + 5..]);
    assert_eq!(
        Certificate::from_bytes(&bytes),
        Err(MembershipError::Unreadable)
    );
}

#[test]
fn the_longest_certificate_is_read() {
    let region = Some(Region::try_from("r".repeat(64)).unwrap());
    let rights = Rights::NONE;
    let grant = Grant { region, rights };
    let at = (UnixTime::from_secs(u64::MAX >> 1), MAX_VALIDITY);
    let longest = authority().admit(NODE, u64::MAX, at, grant).unwrap();
    let bytes = longest.to_bytes();
    assert!(bytes.len() <= MAX_CERTIFICATE / 2, "{}", bytes.len());
    assert_eq!(Certificate::from_bytes(&bytes), Ok(longest.clone()));
    assert_eq!(longest.to_string().parse(), Ok(longest.clone()));
    let answer = JoinAnswer::Admitted {
        certificate: longest,
        overlay_port: Some(31600),
    };
    assert!(answer.to_bytes().len() <= MAX_FRAME);
}

#[test]
fn a_region_can_be_a_label() {
    for bad in ["", "a b", "a,b", "a=b", "ä", &"r".repeat(65)] {
        assert!(bad.parse::<Region>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_node_is_a_member_until_its_certificate_ends() {
    let mut register = Register::new(federation());
    assert_eq!(register.member(NODE, NOW), Err(MembershipError::Missing));
    assert_eq!(register.admit(NODE, &certificate(), NOW), Ok(Heard::New));
    assert_eq!(register.member(NODE, NOW), Ok(&certificate()));
    let end = later(MONTH);
    assert_eq!(
        register.member(NODE, end),
        Err(MembershipError::Expired(end))
    );
    assert!(register.expire(later(MONTH - SECOND)).is_empty());
    assert_eq!(register.expire(end), [NODE]);
    assert_eq!(register.member(NODE, NOW), Err(MembershipError::Missing));
}

#[test]
fn a_renewed_certificate_lets_a_member_stay() {
    let mut register = Register::new(federation());
    register.admit(NODE, &certificate(), NOW).unwrap();
    let renewed = issued_at(later(MONTH / 2), 2);
    let now = later(MONTH / 2);
    assert_eq!(register.hear_certificate(&renewed, now), Ok(Heard::New));
    assert_eq!(register.hear_certificate(&renewed, now), Ok(Heard::Known));
    // The one before it is still good to be shown, and does not take its place.
    assert_eq!(
        register.hear_certificate(&certificate(), now),
        Ok(Heard::Known)
    );
    assert_eq!(register.admit(NODE, &certificate(), now), Ok(Heard::Known));
    assert_eq!(register.member(NODE, later(MONTH)), Ok(&renewed));
}

#[test]
fn a_certificate_is_good_for_its_node_only() {
    let mut register = Register::new(federation());
    let other = MembershipError::OtherNode {
        named: NODE,
        shown_by: OTHER,
    };
    assert_eq!(register.admit(OTHER, &certificate(), NOW), Err(other));
    assert_eq!(register.member(NODE, NOW), Err(MembershipError::Missing));
}

#[test]
fn a_revoked_node_is_no_member_whatever_it_shows() {
    let mut register = Register::new(federation());
    register.admit(NODE, &certificate(), NOW).unwrap();
    assert_eq!(register.hear_revocation(&revocation(), NOW), Ok(Heard::New));
    assert_eq!(
        register.hear_revocation(&revocation(), NOW),
        Ok(Heard::Known)
    );
    let revoked = Err(MembershipError::Revoked(NODE));
    assert_eq!(register.member(NODE, NOW), revoked);
    for serial in [1, 2] {
        let shown = issued_at(later(SECOND * 60), serial);
        let admitted = register.admit(NODE, &shown, later(SECOND * 60));
        assert_eq!(admitted, Err(MembershipError::Revoked(NODE)));
        assert_eq!(
            register.hear_certificate(&shown, later(SECOND * 60)),
            Ok(Heard::Known)
        );
    }
    assert_eq!(register.members().len(), 0);
    assert_eq!(register.revocations().len(), 1);
}

#[test]
fn nothing_that_does_not_verify_is_kept() {
    let mut register = Register::new(federation());
    let stranger = Authority::from_secret(&[8; 32]);
    let foreign = stranger.admit(NODE, 1, (NOW, MONTH), grant()).unwrap();
    let mut bytes = CERTIFICATE.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    for bad in [foreign, forged] {
        assert!(register.hear_certificate(&bad, NOW).is_err());
        assert!(register.admit(NODE, &bad, NOW).is_err());
    }
    let mut bytes = revocation_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = revocation_text(&bytes).parse().unwrap();
    for bad in [forged, stranger.revoke(NODE, NOW)] {
        assert!(register.hear_revocation(&bad, NOW).is_err());
    }
    assert_eq!(
        (register.members().len(), register.revocations().len()),
        (0, 0)
    );
    // A forged one does not shake the one that is known either.
    register.admit(NODE, &certificate(), NOW).unwrap();
    let mut bytes = issued_at(later(SECOND), 3).to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    let heard = register.hear_certificate(&forged, NOW);
    assert_eq!(heard, Err(MembershipError::Forged(federation())));
    assert_eq!(register.member(NODE, NOW), Ok(&certificate()));
}

#[test]
fn what_has_ended_is_not_kept_and_no_reason_to_complain() {
    let mut register = Register::new(federation());
    assert_eq!(
        register.hear_certificate(&certificate(), later(MONTH)),
        Ok(Heard::Known)
    );
    assert_eq!(register.members().len(), 0);
    let past = later(3 * MAX_VALIDITY);
    assert_eq!(
        register.hear_revocation(&revocation(), past),
        Ok(Heard::Known)
    );
    assert_eq!(register.revocations().len(), 0);
}

#[test]
fn a_register_has_an_end() {
    let mut register = Register::new(federation());
    let admit = |i: usize, at| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(i as u64).to_le_bytes());
        let node = NodeId::from_key(key);
        authority().admit(node, 1, (at, MONTH), grant()).unwrap()
    };
    for i in 0..MOST_MEMBERS {
        assert_eq!(
            register.hear_certificate(&admit(i, NOW), NOW),
            Ok(Heard::New)
        );
    }
    let one_more = admit(MOST_MEMBERS, NOW);
    assert_eq!(
        register.hear_certificate(&one_more, NOW),
        Err(MembershipError::Full)
    );
    // Those whose time is over make room.
    let now = later(MONTH);
    let one_more = admit(MOST_MEMBERS, now);
    assert_eq!(register.hear_certificate(&one_more, now), Ok(Heard::New));
    assert_eq!(register.members().len(), 1);
}

#[test]
fn a_token_is_read_whole_or_not_at_all() {
    for length in 0..TOKEN_TEXT.len() {
        assert_eq!(TOKEN_TEXT[..length].parse::<Token>(), Err(TokenError));
    }
    assert_eq!(format!(" {TOKEN_TEXT}\n").parse(), Ok(token()));
    assert_eq!(format!("{TOKEN_TEXT}1").parse::<Token>(), Err(TokenError));
    let long = Token {
        address: "a".repeat(261),
        ..token()
    };
    let odd = Token {
        address: "a b:1".into(),
        ..token()
    };
    for token in [long, odd] {
        assert_eq!(token.to_text().parse::<Token>(), Err(TokenError));
    }
}

#[test]
fn a_secret_is_printed_nowhere() {
    let printed = format!("{:?} {:?}", token(), authority());
    assert!(printed.contains("Secret,"), "{printed}");
    // Neither the token's secret nor the authority's, in any of the ways in which bytes are printed.
    for secret in ["9, 9", "0909", "7, 7", "0707"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn frames_are_read_as_they_are_written() {
    let invited = JoinRequest::Invited {
        invitation: token().invitation,
        secret: token().secret,
    };
    for request in [invited, JoinRequest::Renew] {
        let bytes = request.to_bytes();
        assert_eq!(JoinRequest::from_bytes(&bytes), Ok(request));
        for length in 0..bytes.len() {
            assert!(JoinRequest::from_bytes(&bytes[..length]).is_err());
        }
    }
    let admitted = JoinAnswer::Admitted {
        certificate: certificate(),
        overlay_port: None,
    };
    for answer in [admitted, JoinAnswer::Refused(NotAdmitted::Invitation)] {
        assert_eq!(JoinAnswer::from_bytes(&answer.to_bytes()), Ok(answer));
    }
}

proptest! {
    #[test]
    fn nothing_that_was_altered_passes(
        kind in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..8),
    ) {
        let golden = [CERTIFICATE, REVOCATION][kind];
        let mut bytes = golden.to_vec();
        for (index, change) in changes {
            bytes[index.index(golden.len())] ^= change;
        }
        prop_assert_eq!(passes(kind, &bytes), bytes == golden);
    }

    #[test]
    fn no_bytes_are_read_that_would_be_written_otherwise(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [&[1], &bytes[..]].concat();
        if let Ok(certificate) = Certificate::from_bytes(&bytes) {
            prop_assert_eq!(certificate.to_bytes(), bytes.clone());
        }
        let _ = JoinRequest::from_bytes(&bytes);
        let _ = JoinAnswer::from_bytes(&bytes);
    }
}
