//! Mutual TLS between nodes, bound to their libp2p identities and to their memberships.
//!
//! Certificates are those of the libp2p TLS specification: self-signed, with an extension in which the node's Ed25519 key
//! signs the certificate's key. So the handshake proves the peer's [`NodeId`]. In a closed federation a second extension
//! holds the node's membership certificate, and the handshake fails with whoever is no member. Nothing is resumed: each
//! connection proves all of it anew.

mod certificate;
mod suites;
mod verifier;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dfaas_protocol::NodeId;
use libp2p::identity::Keypair;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, NoKeyLog, ServerConfig, SignatureScheme};
use thiserror::Error;

use crate::membership::Membership;

pub use certificate::CertificateError;
use verifier::Verifier;

/// What the two ends of a connection speak. They name it in the handshake (ALPN), so that no other service is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// HTTP/1.1, one call at a time.
    Http,
    /// The frames of a trunk, many calls at a time.
    Trunk,
    /// A request for a membership certificate.
    Join,
    /// The overlay.
    Overlay,
}

impl Speaks {
    const fn alpn(self) -> &'static [u8] {
        match self {
            Speaks::Http => b"dfaas-peer/1",
            Speaks::Trunk => b"dfaas-trunk/1",
            Speaks::Join => b"dfaas-join/1",
            Speaks::Overlay => b"dfaas-overlay/1",
        }
    }

    /// What a finished handshake on the peers' port agreed on.
    pub fn agreed(alpn: Option<&[u8]>) -> Speaks {
        match alpn {
            Some(name) if name == Speaks::Trunk.alpn() => Speaks::Trunk,
            Some(name) if name == Speaks::Join.alpn() => Speaks::Join,
            _ => Speaks::Http,
        }
    }

    /// Whether a client that begins a handshake speaks this and nothing else.
    pub fn is_all_that(self, hello: &ClientHello<'_>) -> bool {
        let spoken: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        spoken == [self.alpn()]
    }
}

/// This node's identity between nodes. Clones share it.
#[derive(Clone)]
pub struct PeerTls {
    provider: Arc<CryptoProvider>,
    keypair: Keypair,
    membership: Membership,
    shown: Arc<Shown>,
    peers: Arc<ServerConfig>,
    joining: Arc<ServerConfig>,
}

/// Why there is no identity between nodes, or why a peer's is not taken.
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

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of every log.
        f.write_str("PeerTls")
    }
}

/// The certificate that is shown now. Connections that are made show it; those that are there have shown theirs.
struct Shown(ArcSwap<CertifiedKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _root_hints: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl PeerTls {
    /// The identity that this key proves, for connections with whom the membership lets in.
    ///
    /// # Errors
    /// If no certificate can be made for the key.
    pub fn new(keypair: &Keypair, membership: Membership) -> Result<PeerTls, PeerTlsError> {
        let shown = certificate::make(keypair, own(&membership).as_deref())?;
        PeerTls::with(keypair, membership, shown)
    }

    fn with(
        keypair: &Keypair,
        membership: Membership,
        shown: Arc<CertifiedKey>,
    ) -> Result<PeerTls, PeerTlsError> {
        let provider = Arc::new(suites::provider());
        let shown = Arc::new(Shown(ArcSwap::new(shown)));
        let members = Verifier::any(&membership);
        let peers = server(&provider, members, &shown, &[Speaks::Trunk, Speaks::Http])?;
        let anybody = Verifier::any(&Membership::Open);
        let joining = server(&provider, anybody, &shown, &[Speaks::Join])?;
        Ok(PeerTls {
            provider,
            keypair: keypair.clone(),
            membership,
            shown,
            peers,
            joining,
        })
    }

    /// Who is let in.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// For taking connections of peers.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.peers)
    }

    /// For taking connections of nodes that want a certificate, members or not. They speak nothing else.
    pub fn joining_server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.joining)
    }

    /// For taking connections of the overlay.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn overlay_server(&self) -> Result<Arc<ServerConfig>, PeerTlsError> {
        let members = Verifier::any(&self.membership);
        server(&self.provider, members, &self.shown, &[Speaks::Overlay])
    }

    /// For connections of the overlay to whoever is there.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn overlay_client(&self) -> Result<Arc<ClientConfig>, PeerTlsError> {
        let members = Verifier::any(&self.membership);
        Ok(Arc::new(self.client_with(members, Speaks::Overlay)?))
    }

    /// For a connection to that node and no other.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn client(&self, node: NodeId, speaks: Speaks) -> Result<ClientConfig, PeerTlsError> {
        self.client_with(Verifier::only(node, &self.membership), speaks)
    }

    fn client_with(
        &self,
        verifier: Arc<Verifier>,
        speaks: Speaks,
    ) -> Result<ClientConfig, PeerTlsError> {
        let shown: Arc<dyn ResolvesClientCert> = Arc::clone(&self.shown) as _;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(shown);
        client.alpn_protocols = vec![speaks.alpn().to_vec()];
        client.resumption = Resumption::disabled();
        client.key_log = Arc::new(NoKeyLog);
        Ok(client)
    }

    /// Shows the node's membership certificate as it is now from the next connection on.
    ///
    /// # Errors
    /// If no certificate can be made for the key.
    pub fn show_certificate(&self) -> Result<(), PeerTlsError> {
        let shown = certificate::make(&self.keypair, own(&self.membership).as_deref())?;
        self.shown.0.store(shown);
        Ok(())
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

    /// The bytes of the membership certificate that the other end of a finished handshake showed, if it did.
    pub fn membership_of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Vec<u8>> {
        certificates
            .and_then(<[_]>::first)
            .and_then(verifier::membership_of)
    }
}

fn server(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
    shown: &Arc<Shown>,
    spoken: &[Speaks],
) -> Result<Arc<ServerConfig>, PeerTlsError> {
    let shown: Arc<dyn ResolvesServerCert> = Arc::clone(shown) as _;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    server.alpn_protocols = spoken.iter().map(|speaks| speaks.alpn().to_vec()).collect();
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.key_log = Arc::new(NoKeyLog);
    Ok(Arc::new(server))
}

/// The bytes of the node's membership certificate, if it has one.
fn own(membership: &Membership) -> Option<Vec<u8>> {
    Some(membership.federation()?.own()?.to_bytes())
}

#[cfg(test)]
mod tests;
