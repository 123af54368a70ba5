use libp2p::identity::PublicKey;
use rcgen::{CertificateParams, CustomExtension, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use crate::identity::node_id_of;

use super::certificate::tests::altered;
use super::*;

fn node_of(key: &PublicKey) -> NodeId {
    node_id_of(&key.to_peer_id()).unwrap()
}

/// A node of an open federation.
fn open(keypair: &Keypair) -> PeerTls {
    PeerTls::new(keypair, Membership::Open).unwrap()
}

fn client(tls: &PeerTls, to: NodeId) -> ClientConnection {
    let config = tls.client(to, Speaks::Trunk).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// Carries the bytes of a handshake to and fro. What each end says of it in the end.
fn shake(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> (Result<(), rustls::Error>, Result<(), rustls::Error>) {
    let (mut at_client, mut at_server) = (Ok(()), Ok(()));
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() && at_server.is_ok() {
            server.read_tls(&mut rest).unwrap();
            at_server = server.process_new_packets().map(drop);
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() && at_client.is_ok() {
            client.read_tls(&mut rest).unwrap();
            at_client = client.process_new_packets().map(drop);
        }
    }
    (at_client, at_server)
}

#[test]
fn both_ends_prove_who_they_are() {
    let (here, there) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (from, to) = (open(&here), open(&there));
    let mut client = client(&from, node_of(&there.public()));
    let mut server = ServerConnection::new(to.server()).unwrap();
    assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
    assert_eq!(
        PeerTls::node_of(server.peer_certificates()).unwrap(),
        node_of(&here.public())
    );
    assert_eq!(
        PeerTls::node_of(client.peer_certificates()).unwrap(),
        node_of(&there.public())
    );
    assert_eq!(Speaks::agreed(server.alpn_protocol()), Speaks::Trunk);
    let suite = client.negotiated_cipher_suite().unwrap();
    assert_eq!(suite, to.provider.cipher_suites[0]);
}

#[test]
fn nothing_is_resumed() {
    let (here, there) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (from, to) = (open(&here), open(&there));
    let config = Arc::new(from.client(node_of(&there.public()), Speaks::Http).unwrap());
    for _ in 0..2 {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut client = ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut server = ServerConnection::new(to.server()).unwrap();
        assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
        let kind = server.handshake_kind();
        assert_ne!(kind, Some(rustls::HandshakeKind::Resumed));
    }
}

#[test]
fn another_node_than_the_expected_one_is_refused() {
    let (here, there) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (from, to) = (open(&here), open(&there));
    let mut client = client(&from, node_of(&here.public()));
    let mut server = ServerConnection::new(to.server()).unwrap();
    let (at_client, _) = shake(&mut client, &mut server);
    assert!(matches!(
        at_client,
        Err(rustls::Error::InvalidCertificate(_))
    ));
    assert!(client.is_handshaking());
}

/// Both ends must refuse that certificate, and the reason must be the certificate and nothing else.
fn is_refused(node: &Keypair, wrong: Arc<CertifiedKey>, what: &str) {
    let other = Keypair::generate_ed25519();
    let right = open(&other);
    let wrong = PeerTls::with(node, Membership::Open, wrong).unwrap();
    let speaks_of_it = |error| matches!(error, Err(rustls::Error::InvalidCertificate(_)));

    let mut from = client(&right, node_of(&node.public()));
    let mut to = ServerConnection::new(wrong.server()).unwrap();
    let (at_client, _) = shake(&mut from, &mut to);
    assert!(speaks_of_it(at_client), "{what}, shown by a server");

    let mut from = client(&wrong, node_of(&other.public()));
    let mut to = ServerConnection::new(right.server()).unwrap();
    let (_, at_server) = shake(&mut from, &mut to);
    assert!(speaks_of_it(at_server), "{what}, shown by a client");
    assert!(to.is_handshaking(), "{what}");
}

#[test]
fn wrong_certificates_are_refused_by_both_ends() {
    let node = &Keypair::generate_ed25519();
    let with = |alter: fn(&mut CertificateParams)| altered(node, alter);
    is_refused(
        node,
        with(|says| says.not_after = date_time_ymd(2001, 1, 1)),
        "one that has expired",
    );
    is_refused(
        node,
        with(|says| says.not_before = date_time_ymd(4001, 1, 1)),
        "one that is not valid yet",
    );
    is_refused(
        node,
        with(|says| says.custom_extensions.clear()),
        "one without the node's key",
    );
    is_refused(
        node,
        with(|says| {
            let twice = says.custom_extensions[0].clone();
            says.custom_extensions.push(twice);
        }),
        "one with two node's keys",
    );
    is_refused(
        node,
        with(|says| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![]);
            unknown.set_criticality(true);
            says.custom_extensions.push(unknown);
        }),
        "one that demands what is not known",
    );
    let mut of_another_key = Vec::new();
    altered(node, |says| of_another_key = says.custom_extensions.clone());
    is_refused(
        node,
        altered(node, |says| says.custom_extensions = of_another_key),
        "one whose node's key signed another key",
    );
    let stolen = altered(node, |_| {});
    let mut bytes = stolen.cert[0].to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    is_refused(
        node,
        Arc::new(CertifiedKey::new(
            vec![bytes.into()],
            Arc::clone(&stolen.key),
        )),
        "one whose own signature was altered",
    );
    let thief = altered(node, |_| {});
    is_refused(
        node,
        Arc::new(CertifiedKey::new(
            stolen.cert.clone(),
            Arc::clone(&thief.key),
        )),
        "one of which the key is not at hand",
    );
    is_refused(
        node,
        Arc::new(CertifiedKey::new(
            vec![stolen.cert[0].clone(), thief.cert[0].clone()],
            Arc::clone(&stolen.key),
        )),
        "two",
    );
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (here, there) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (from, to) = (open(&here), open(&there));
    let node = node_of(&there.public());
    let config = ClientConfig::builder_with_provider(Arc::clone(&from.provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Verifier::only(node, &Membership::Open))
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(to.server()).unwrap();
    let (_, at_server) = shake(&mut client, &mut server);
    assert_eq!(at_server, Err(rustls::Error::NoCertificatesPresented));
    assert!(PeerTls::node_of(server.peer_certificates()).is_err());
}

#[test]
fn what_else_a_certificate_tells_does_not_matter() {
    let (here, there) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let tells_more = altered(&here, |says| {
        let more = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
        says.custom_extensions.push(more);
    });
    let from = PeerTls::with(&here, Membership::Open, tells_more).unwrap();
    let to = open(&there);
    let mut client = client(&from, node_of(&there.public()));
    let mut server = ServerConnection::new(to.server()).unwrap();
    assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
}

mod members {
    use std::time::Duration;

    use dfaas_protocol::membership::{Authority, Certificate, Grant, Rights};

    use super::super::certificate::tests::membership;
    use super::*;
    use crate::membership::now;

    const HOUR: Duration = Duration::from_secs(3600);

    fn certificate(authority: &Authority, node: &Keypair) -> Certificate {
        let grant = Grant {
            region: None,
            rights: Rights::ALL,
        };
        let admitted = authority.admit(node_of(&node.public()), 1, (now(), HOUR), grant);
        admitted.unwrap()
    }

    /// A node that knows members of that federation, and shows these bytes.
    fn shows(node: &Keypair, authority: &Authority, bytes: Option<&[u8]>) -> PeerTls {
        let outside = Membership::outside(node_of(&node.public()), authority.federation());
        let shown = altered(node, |says| {
            says.custom_extensions.extend(bytes.map(membership));
        });
        PeerTls::with(node, outside, shown).unwrap()
    }

    #[test]
    fn members_meet_and_show_their_certificates() {
        let authority = Authority::from_secret(&[7; 32]);
        let (here, there) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let [ours, theirs] = [&here, &there].map(|node| certificate(&authority, node).to_bytes());
        let from = shows(&here, &authority, Some(&ours));
        let to = shows(&there, &authority, Some(&theirs));
        let mut client = client(&from, node_of(&there.public()));
        let mut server = ServerConnection::new(to.server()).unwrap();
        assert_eq!(shake(&mut client, &mut server), (Ok(()), Ok(())));
        let seen = PeerTls::membership_of(server.peer_certificates());
        assert_eq!(seen, Some(ours));
        let seen = PeerTls::membership_of(client.peer_certificates());
        assert_eq!(seen, Some(theirs));
    }

    #[test]
    fn whoever_shows_no_membership_is_refused_by_both_ends() {
        let authority = Authority::from_secret(&[7; 32]);
        let member = Keypair::generate_ed25519();
        let bytes = certificate(&authority, &member).to_bytes();
        let good = shows(&member, &authority, Some(&bytes));
        let other = Keypair::generate_ed25519();
        let mine = certificate(&authority, &other).to_bytes();
        let foreign = certificate(&Authority::from_secret(&[8; 32]), &other).to_bytes();
        let mut forged = mine.clone();
        *forged.last_mut().unwrap() ^= 1;
        let twice = altered(&other, |says| {
            says.custom_extensions
                .extend([membership(&mine), membership(&mine)]);
        });
        let outside = Membership::outside(node_of(&other.public()), authority.federation());
        let bad = [
            shows(&other, &authority, None),
            shows(&other, &authority, Some(&foreign)),
            shows(&other, &authority, Some(&forged)),
            shows(&other, &authority, Some(&bytes)),
            shows(&other, &authority, Some(&[])),
            PeerTls::with(&other, outside, twice).unwrap(),
        ];
        for (index, bad) in bad.iter().enumerate() {
            let mut from = client(bad, node_of(&member.public()));
            let mut to = ServerConnection::new(good.server()).unwrap();
            let (_, at_server) = shake(&mut from, &mut to);
            assert!(
                matches!(at_server, Err(rustls::Error::InvalidCertificate(_))),
                "{index}"
            );
            assert!(to.is_handshaking(), "{index}");

            let mut from = client(&good, node_of(&other.public()));
            let mut to = ServerConnection::new(bad.server()).unwrap();
            let (at_client, _) = shake(&mut from, &mut to);
            assert!(
                matches!(at_client, Err(rustls::Error::InvalidCertificate(_))),
                "{index}"
            );
            assert!(from.is_handshaking(), "{index}");
        }
    }

    #[test]
    fn only_to_join_a_stranger_gets_through() {
        let authority = Authority::from_secret(&[7; 32]);
        let (member, stranger) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let bytes = certificate(&authority, &member).to_bytes();
        let to = shows(&member, &authority, Some(&bytes));
        let from = shows(&stranger, &authority, None);
        let node = node_of(&member.public());
        for (speaks, gets_through) in [
            (Speaks::Join, true),
            (Speaks::Http, false),
            (Speaks::Trunk, false),
            (Speaks::Overlay, false),
        ] {
            let config = from.client(node, speaks).unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
            let mut server = ServerConnection::new(to.joining_server()).unwrap();
            let (_, at_server) = shake(&mut client, &mut server);
            assert_eq!(at_server.is_ok(), gets_through, "{speaks:?}");
        }
    }
}
