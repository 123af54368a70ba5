//! Mutual TLS on the peer channel, bound to the nodes' libp2p identities.
//!
//! Certificates are those of the libp2p TLS specification: self-signed, with an extension in which the node's Ed25519 key
//! signs the certificate's key. So the handshake proves the peer's [`NodeId`], and no authority is needed. Nothing is resumed:
//! each connection proves it anew.

mod certificate;
mod suites;
mod verifier;

use std::sync::Arc;

use dfaas_protocol::NodeId;
use libp2p::identity::Keypair;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, NoKeyLog, ServerConfig};
use thiserror::Error;

pub use certificate::CertificateError;
use verifier::Verifier;

/// What the two ends of a connection speak. They name it in the handshake (ALPN), so that no other libp2p service is taken
/// for a peer channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// HTTP/1.1, one call at a time.
    Http,
    /// The frames of a trunk, many calls at a time.
    Trunk,
}

impl Speaks {
    const fn alpn(self) -> &'static [u8] {
        match self {
            Speaks::Http => b"dfaas-peer/1",
            Speaks::Trunk => b"dfaas-trunk/1",
        }
    }

    /// What a finished handshake agreed on.
    pub fn agreed(alpn: Option<&[u8]>) -> Speaks {
        match alpn {
            Some(name) if name == Speaks::Trunk.alpn() => Speaks::Trunk,
            _ => Speaks::Http,
        }
    }
}

/// This node's identity on the peer channel.
#[derive(Clone)]
pub struct PeerTls {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    server: Arc<ServerConfig>,
}

/// Why the peer channel has no identity, or why a peer's is not taken.
#[derive(Debug, Error)]
pub enum PeerTlsError {
    /// No certificate could be made.
    #[error("no certificate could be made for the peer channel: {0}")]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up for the peer channel: {0}")]
    Unusable(#[from] rustls::Error),
    /// The peer showed no certificate, or one that names no node.
    #[error("the peer's certificate names no node")]
    Stranger,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of every log.
        f.write_str("PeerTls")
    }
}

impl PeerTls {
    /// The identity that this key proves.
    ///
    /// # Errors
    /// If no certificate can be made for the key.
    pub fn new(keypair: &Keypair) -> Result<PeerTls, PeerTlsError> {
        PeerTls::with(certificate::make(keypair)?)
    }

    fn with(certified: Arc<CertifiedKey>) -> Result<PeerTls, PeerTlsError> {
        let provider = Arc::new(suites::provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Verifier::any())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&certified))));
        let spoken = [Speaks::Trunk, Speaks::Http];
        server.alpn_protocols = spoken.map(|speaks| speaks.alpn().to_vec()).into();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.key_log = Arc::new(NoKeyLog);
        Ok(PeerTls {
            provider,
            certified,
            server: Arc::new(server),
        })
    }

    /// For taking connections.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For a connection to that node and no other.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn client(&self, node: NodeId, speaks: Speaks) -> Result<ClientConfig, PeerTlsError> {
        let certified = Arc::clone(&self.certified);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Verifier::only(node))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        client.alpn_protocols = vec![speaks.alpn().to_vec()];
        client.resumption = Resumption::disabled();
        client.key_log = Arc::new(NoKeyLog);
        Ok(client)
    }

    /// The node that the other end of a finished handshake has proved to be.
    ///
    /// # Errors
    /// If it showed no certificate of a node.
    pub fn node_of(certificates: Option<&[CertificateDer<'_>]>) -> Result<NodeId, PeerTlsError> {
        certificates
            .and_then(<[_]>::first)
            .and_then(verifier::node_of)
            .ok_or(PeerTlsError::Stranger)
    }
}

#[cfg(test)]
mod tests;
