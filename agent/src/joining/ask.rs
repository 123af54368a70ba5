//! Asking for a certificate.

use std::io;
use std::sync::Arc;

use dfaas_protocol::membership::{
    Certificate, JoinAnswer, JoinRequest, MembershipError, NotAdmitted, Token,
};
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{LIMIT, receive, send};
use crate::identity::Identity;
use crate::membership::{FileError, Issuer, Membership, Store, now};
use crate::peer_tls::{PeerTls, PeerTlsError, Speaks};

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The invitation has ended.
    #[error("the invitation ended at {0}: ask for a new one, and check the clock of this machine")]
    Ended(dfaas_protocol::membership::UnixTime),
    /// The issuer was not reached, or is not whom the token names.
    #[error(
        "the agent that issues certificates was not reached at {address}, or is not the one that is meant: {source}; see \
         that it runs, that its peer port can be reached, and that federation.authority is set there"
    )]
    Unreached {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("the agent that issues certificates did not answer at {0} in time: try again")]
    Late(String),
    /// It does not admit this node.
    #[error("{0}")]
    NotAdmitted(#[from] NotAdmitted),
    /// It answered something else.
    #[error("the issuer's answer is of no use: {0}")]
    Unusable(#[from] MembershipError),
    /// This node cannot show who it is.
    #[error(transparent)]
    Identity(#[from] PeerTlsError),
    /// What was got cannot be kept.
    #[error(transparent)]
    Files(#[from] FileError),
}

/// Joins a federation by a token, and keeps what it takes to be a member.
///
/// # Errors
/// If the node is not admitted, or that cannot be kept.
pub async fn join(
    identity: &Identity,
    store: &Store,
    token: &Token,
) -> Result<Certificate, JoinError> {
    if token.expires <= now() {
        return Err(JoinError::Ended(token.expires));
    }
    let membership = Membership::outside(identity.node_id(), token.federation);
    let tls = PeerTls::new(identity.keypair(), membership)?;
    let request = JoinRequest::Invited {
        invitation: token.invitation,
        secret: token.secret.clone(),
    };
    let mut issuer = Issuer {
        address: token.address.clone(),
        node: token.issuer,
        overlay_port: None,
    };
    let (certificate, overlay_port) = ask(&tls, &issuer, &request).await?;
    certificate.verify(token.federation, now())?;
    if certificate.node() != identity.node_id() {
        return Err(JoinError::Unusable(MembershipError::OtherNode {
            named: certificate.node(),
            shown_by: identity.node_id(),
        }));
    }
    issuer.overlay_port = overlay_port;
    store.keep_issuer(&issuer)?;
    store.keep_certificate(&certificate)?;
    Ok(certificate)
}

/// Asks an issuer, which the handshake proves to be that node and a member of the federation before anything is said.
pub(super) async fn ask(
    tls: &PeerTls,
    issuer: &Issuer,
    request: &JoinRequest,
) -> Result<(Certificate, Option<u16>), JoinError> {
    let config = Arc::new(tls.client(issuer.node, Speaks::Join)?);
    // There is a secret in it.
    let request = Zeroizing::new(request.to_bytes());
    let asked = async {
        let stream = TcpStream::connect(&issuer.address).await?;
        stream.set_nodelay(true)?;
        // No name is sent for an address.
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        send(&mut stream, &request).await?;
        let answer = receive(&mut stream).await?;
        // It has answered: how it takes the end does not matter.
        let _ = stream.shutdown().await;
        io::Result::Ok(answer)
    };
    let address = || issuer.address.clone();
    let answer = match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => {
            return Err(JoinError::Unreached {
                address: address(),
                source,
            });
        }
        Err(_) => return Err(JoinError::Late(address())),
    };
    match JoinAnswer::from_bytes(&answer)? {
        JoinAnswer::Admitted {
            certificate,
            overlay_port,
        } => Ok((certificate, overlay_port)),
        JoinAnswer::Refused(why) => Err(why.into()),
    }
}
