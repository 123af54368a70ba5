//! Who is taken for a node at the other end of a connection.

use std::sync::Arc;

use dfaas_protocol::NodeId;
use libp2p_tls::certificate::{self, P2pCertificate};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;
use x509_parser::prelude::FromDer;

use super::certificate::{MEMBERSHIP, octets};
use crate::identity::node_id_of;
use crate::membership::Membership;

/// The kinds of signature that the other end may make, the preferred one first.
const SCHEMES: [SignatureScheme; 9] = [
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Takes the other end for the node that its certificate proves it to be: one certificate that is valid now, signs itself,
/// and holds the node's signature of its key (libp2p TLS specification). Then the membership says whether it is let in.
#[derive(Debug)]
pub(super) struct Verifier {
    /// The only node that is taken; any if there is none.
    expected: Option<NodeId>,
    membership: Membership,
}

impl Verifier {
    /// For any node that is let in.
    pub(super) fn any(membership: &Membership) -> Arc<Verifier> {
        Arc::new(Verifier {
            expected: None,
            membership: membership.clone(),
        })
    }

    /// For that node and no other, if it is let in.
    pub(super) fn only(node: NodeId, membership: &Membership) -> Arc<Verifier> {
        Arc::new(Verifier {
            expected: Some(node),
            membership: membership.clone(),
        })
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        if !others.is_empty() {
            return Err(application_refuses());
        }
        let node = node_id_of(&parsed(certificate)?.peer_id()).ok_or_else(application_refuses)?;
        if self.expected.is_some_and(|expected| expected != node) {
            return Err(application_refuses());
        }
        let refused = |error| {
            tracing::debug!(%node, %error, "a node was not let in");
            CertificateError::Other(OtherError(Arc::new(error)))
        };
        let shown = membership_of(certificate);
        let checked = self.membership.check(node, shown.as_deref());
        Ok(checked.map_err(refused)?)
    }
}

/// The node that a certificate proves; none if it proves none.
pub(super) fn node_of(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    node_id_of(&parsed(certificate).ok()?.peer_id())
}

/// The bytes of the membership certificate in a certificate; none if there is not exactly one.
pub(super) fn membership_of(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    let number = Oid::from(&MEMBERSHIP).ok()?;
    let mut found = read.extensions().iter().filter(|e| e.oid == number);
    let (first, second) = (found.next()?, found.next());
    match second {
        None => octets(first.value).map(<[u8]>::to_vec),
        Some(_) => None,
    }
}

/// A certificate that holds what it should, all its signatures verified.
fn parsed<'a>(certificate: &'a CertificateDer<'a>) -> Result<P2pCertificate<'a>, rustls::Error> {
    certificate::parse(certificate)
        .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))).into())
}

fn application_refuses() -> rustls::Error {
    CertificateError::ApplicationVerificationFailure.into()
}

fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    parsed(certificate)?
        .verify_signature(signed.scheme, message, signed.signature())
        .map_err(|_| CertificateError::BadSignature)?;
    Ok(HandshakeSignatureValid::assertion())
}

fn too_old() -> rustls::Error {
    rustls::Error::General("nodes speak TLS 1.3 only".into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(certificate, others)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(certificate, others)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
