//! New connections to the platform and to neighbours.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dfaas_protocol::NodeId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{SendError, Shared};

/// Where a call is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The gateway of the local platform.
    Platform,
    /// The peer channel of a neighbour.
    Peer(NodeId, SocketAddr),
}

/// Makes connections for one thread.
#[derive(Debug)]
pub struct Connector {
    shared: Arc<Shared>,
    tls: RefCell<HashMap<NodeId, Arc<ClientConfig>>>,
}

impl Connector {
    /// A connector that has connected to nobody yet.
    pub fn new(shared: Arc<Shared>) -> Connector {
        Connector {
            shared,
            tls: RefCell::default(),
        }
    }

    /// Connects, within the time that the configuration gives.
    ///
    /// # Errors
    /// If no connection could be made; nothing was sent then.
    pub async fn connect(&self, target: Target) -> Result<Io, SendError> {
        let limit = self.shared.timeouts.connect;
        match tokio::time::timeout(limit, self.connect_without_limit(target)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::NotConnected(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn connect_without_limit(&self, target: Target) -> Result<Io, SendError> {
        match target {
            Target::Platform => {
                let authority = &self.shared.gateway.authority;
                let stream = TcpStream::connect(authority.as_str())
                    .await
                    .map_err(SendError::NotConnected)?;
                set_no_delay(&stream);
                spare_pacing(&stream);
                Ok(Io::Plain(stream))
            }
            Target::Peer(node, address) => {
                let config = self.tls_config(node)?;
                let stream = TcpStream::connect(address)
                    .await
                    .map_err(SendError::NotConnected)?;
                set_no_delay(&stream);
                let name = ServerName::IpAddress(address.ip().into());
                let stream = TlsConnector::from(config)
                    .connect(name, stream)
                    .await
                    .map_err(SendError::NotConnected)?;
                Ok(Io::Tls(Box::new(stream)))
            }
        }
    }

    fn tls_config(&self, node: NodeId) -> Result<Arc<ClientConfig>, SendError> {
        if let Some(config) = self.tls.borrow().get(&node) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.shared.tls.client(node)?);
        self.tls.borrow_mut().insert(node, Arc::clone(&config));
        Ok(config)
    }
}

fn set_no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
}

/// On loopback there is no path to probe, and a congestion control that paces, such as BBR, costs a tenth of a call's system
/// time. Reno is part of every kernel.
fn spare_pacing(stream: &TcpStream) {
    let loopback = stream.peer_addr().is_ok_and(|a| a.ip().is_loopback());
    if loopback && let Err(error) = SockRef::from(stream).set_tcp_congestion(b"reno") {
        tracing::debug!(%error, "a connection keeps the default congestion control");
    }
}

/// A connection to a [`Target`].
#[derive(Debug)]
pub enum Io {
    /// To the platform.
    Plain(TcpStream),
    /// To a neighbour.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
