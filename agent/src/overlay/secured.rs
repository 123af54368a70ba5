//! The overlay's TLS in a closed federation: the certificate and the verifier of the peers' channel. Whoever is no member does
//! not get past the handshake, so that no protocol is spoken with it.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use libp2p::PeerId;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

use crate::identity::peer_id_of;
use crate::peer_tls::{PeerTls, PeerTlsError};

/// The name under which two nodes agree on it, before it begins.
const NAME: &str = "/dfaas/tls/1";

/// See the module.
#[derive(Clone)]
pub(super) struct Secured {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Secured {
    pub(super) fn new(tls: &PeerTls) -> Result<Secured, PeerTlsError> {
        Ok(Secured {
            server: tls.overlay_server()?,
            client: tls.overlay_client()?,
        })
    }
}

impl UpgradeInfo for Secured {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(NAME)
    }
}

type Stream<C> = Compat<TlsStream<Compat<C>>>;

impl<C> InboundConnectionUpgrade<C> for Secured
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Stream<C>);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Self::Future {
        async move {
            let accepted = TlsAcceptor::from(self.server).accept(socket.compat());
            let stream = accepted.await.inspect_err(|error| {
                tracing::debug!(%error, "a node was not let into the overlay");
            })?;
            let peer = peer_of(stream.get_ref().1.peer_certificates())?;
            Ok((peer, TlsStream::from(stream).compat()))
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Secured
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Stream<C>);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        async move {
            // No name is sent for an address. That it is the node that was dialled is libp2p's to see.
            let name =
                ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            let connector = TlsConnector::from(self.client);
            let stream = connector.connect(name, socket.compat()).await?;
            let peer = peer_of(stream.get_ref().1.peer_certificates())?;
            Ok((peer, TlsStream::from(stream).compat()))
        }
        .boxed()
    }
}

fn peer_of(certificates: Option<&[CertificateDer<'_>]>) -> io::Result<PeerId> {
    let node = PeerTls::node_of(certificates).map_err(io::Error::other)?;
    Ok(peer_id_of(node))
}
