//! The certificate with which this node proves to others who it is.
//!
//! It is that of the libp2p TLS specification: an ECDSA key of its own signs it, and in a critical extension the node's key
//! signs that key. A member's has another extension, not a critical one, that holds its membership certificate.

use std::sync::Arc;

use libp2p::identity::{Keypair, SigningError};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// The number of the extension with the node's key (libp2p TLS specification).
const NODE_KEY: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
/// What the node's key signs begins with it; the certificate's key follows (libp2p TLS specification).
const SIGNED_PREFIX: &[u8] = b"libp2p-tls-handshake:";

/// The number of the extension with the membership certificate, under the arc that is for documentation and private use
/// (RFC 5612).
pub(super) const MEMBERSHIP: [u64; 9] = [1, 3, 6, 1, 4, 1, 32473, 31600, 1];

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// Why no certificate was made.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// It could not be written or signed.
    #[error("{0}")]
    Unwritten(#[from] rcgen::Error),
    /// The node's key does not sign.
    #[error("the node's key does not sign: {0}")]
    Unsigned(#[from] SigningError),
    /// Something is too long to be written.
    #[error("a part of the certificate is too long")]
    TooLong,
    /// TLS does not take the certificate's key.
    #[error("{0}")]
    Unusable(#[from] rustls::Error),
}

/// A new certificate for the node with that key, and what signs handshakes with it; a member shows its membership too.
pub(super) fn make(
    node: &Keypair,
    membership: Option<&[u8]>,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    certified(of_node(node, &key, membership)?, &key)
}

/// What the certificate says.
fn of_node(
    node: &Keypair,
    key: &KeyPair,
    membership: Option<&[u8]>,
) -> Result<CertificateParams, CertificateError> {
    let mut says = CertificateParams::default();
    // It names nobody but by the extension.
    says.distinguished_name = DistinguishedName::new();
    says.custom_extensions.push(node_key(node, key)?);
    if let Some(membership) = membership {
        says.custom_extensions.push(member(membership)?);
    }
    Ok(says)
}

/// The extension with a membership certificate.
fn member(membership: &[u8]) -> Result<CustomExtension, CertificateError> {
    let content = der(OCTET_STRING, membership)?;
    Ok(CustomExtension::from_oid_content(&MEMBERSHIP, content))
}

/// Signs the certificate by its own key.
fn certified(
    says: CertificateParams,
    key: &KeyPair,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let certificate = says.self_signed(key)?.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(Arc::new(CertifiedKey::new(
        vec![certificate],
        any_ecdsa_type(&key)?,
    )))
}

/// The extension in which the node's key vouches for the certificate's.
fn node_key(node: &Keypair, key: &KeyPair) -> Result<CustomExtension, CertificateError> {
    let signature = node.sign(&[SIGNED_PREFIX, &key.public_key_der()].concat())?;
    let public = der(OCTET_STRING, &node.public().encode_protobuf())?;
    let signature = der(OCTET_STRING, &signature)?;
    let content = der(SEQUENCE, &[public, signature].concat())?;
    let mut extension = CustomExtension::from_oid_content(&NODE_KEY, content);
    extension.set_criticality(true);
    Ok(extension)
}

/// A value in DER.
fn der(tag: u8, value: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let length = u16::try_from(value.len()).map_err(|_| CertificateError::TooLong)?;
    let [high, low] = length.to_be_bytes();
    let head: &[u8] = match length {
        0..0x80 => &[tag, low],
        0x80..0x100 => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    Ok([head, value].concat())
}

/// What is in a string of bytes in DER, if that is what it is.
pub(super) fn octets(der: &[u8]) -> Option<&[u8]> {
    let (length, value) = match der {
        [OCTET_STRING, length @ 0..=0x7f, value @ ..] => (usize::from(*length), value),
        [OCTET_STRING, 0x81, length @ 0x80..=0xff, value @ ..] => (usize::from(*length), value),
        [OCTET_STRING, 0x82, high @ 1..=0xff, low, value @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), value)
        }
        _ => return None,
    };
    (value.len() == length).then_some(value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An extension with that in the place of a membership certificate.
    pub(in super::super) fn membership(bytes: &[u8]) -> CustomExtension {
        member(bytes).unwrap()
    }

    #[test]
    fn strings_are_read_as_they_are_written() {
        for length in [0, 1, 127, 128, 255, 256, 1000, 65535] {
            let written = der(OCTET_STRING, &vec![7; length]).unwrap();
            assert_eq!(octets(&written), Some(&vec![7; length][..]));
            assert_eq!(octets(&written[..written.len() - 1]), None);
            assert_eq!(octets(&[&written[..], &[0]].concat()), None);
        }
        assert!(der(OCTET_STRING, &[0; 65536]).is_err());
        // Of the ways to write a length only the shortest is DER.
        for long in [
            &[OCTET_STRING, 0x81, 1, 7][..],
            &[OCTET_STRING, 0x82, 0, 1, 7],
        ] {
            assert_eq!(octets(long), None);
        }
    }

    /// A certificate that says something else than it should, and the key that signed it.
    pub(in super::super) fn altered(
        node: &Keypair,
        alter: impl FnOnce(&mut CertificateParams),
    ) -> Arc<CertifiedKey> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut says = of_node(node, &key, None).unwrap();
        alter(&mut says);
        certified(says, &key).unwrap()
    }

    #[test]
    fn libp2p_reads_the_node_from_it() {
        let node = Keypair::generate_ed25519();
        let made = make(&node, Some(&[7; 300])).unwrap();
        let read = libp2p_tls::certificate::parse(&made.cert[0]).unwrap();
        assert_eq!(read.peer_id(), node.public().to_peer_id());
    }

    #[test]
    fn each_has_a_key_of_its_own() {
        let node = Keypair::generate_ed25519();
        let key = || {
            make(&node, None)
                .unwrap()
                .key
                .public_key()
                .unwrap()
                .to_vec()
        };
        assert_ne!(key(), key());
    }
}
