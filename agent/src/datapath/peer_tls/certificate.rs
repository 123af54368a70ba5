//! The certificate with which this node proves on the peer channel who it is.
//!
//! It is that of the libp2p TLS specification: an ECDSA key of its own signs it, and in a critical extension the node's key
//! signs that key.

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
    /// The node's key is none of the short kind that nodes have.
    #[error("the node's key is not an Ed25519 key")]
    NoNodeKey,
    /// TLS does not take the certificate's key.
    #[error("{0}")]
    Unusable(#[from] rustls::Error),
}

/// A new certificate for the node with that key, and what signs handshakes with it.
pub(super) fn make(node: &Keypair) -> Result<Arc<CertifiedKey>, CertificateError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    certified(of_node(node, &key)?, &key)
}

/// What the certificate says.
fn of_node(node: &Keypair, key: &KeyPair) -> Result<CertificateParams, CertificateError> {
    let mut says = CertificateParams::default();
    // It names nobody but by the extension.
    says.distinguished_name = DistinguishedName::new();
    says.custom_extensions.push(node_key(node, key)?);
    Ok(says)
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

/// A value in DER, where its length is written in one byte, as that of an Ed25519 key and its signature is.
fn der(tag: u8, value: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let length = u8::try_from(value.len()).ok().filter(|n| *n < 0x80);
    let head = [tag, length.ok_or(CertificateError::NoNodeKey)?];
    Ok([&head, value].concat())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A certificate that says something else than it should, and the key that signed it.
    pub(in super::super) fn altered(
        node: &Keypair,
        alter: impl FnOnce(&mut CertificateParams),
    ) -> Arc<CertifiedKey> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut says = of_node(node, &key).unwrap();
        alter(&mut says);
        certified(says, &key).unwrap()
    }

    #[test]
    fn libp2p_reads_the_node_from_it() {
        let node = Keypair::generate_ed25519();
        let made = make(&node).unwrap();
        let read = libp2p_tls::certificate::parse(&made.cert[0]).unwrap();
        assert_eq!(read.peer_id(), node.public().to_peer_id());
    }

    #[test]
    fn each_has_a_key_of_its_own() {
        let node = Keypair::generate_ed25519();
        let key = || make(&node).unwrap().key.public_key().unwrap().to_vec();
        assert_ne!(key(), key());
    }
}
