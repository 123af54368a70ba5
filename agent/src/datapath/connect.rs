//! New connections to the platform and to neighbours.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dfaas_protocol::NodeId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::trunk::Wire;
use super::{SendError, Shared, Speaks};
use crate::deadline;
use crate::membership::Membership;

/// Where a call is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The gateway of the local platform.
    Platform,
    /// The peer channel of a neighbour, and how often it was away: its connections from before that are not used again, as a
    /// network that was cut may have forgotten them.
    Peer(NodeId, SocketAddr, u32),
}

/// Bytes that are read from a trunk's socket at one time. TLS alone would read four kilobytes.
const TRUNK_READ: usize = 64 * 1024;
/// Bytes that TLS takes of a trunk before the socket has taken them, so that what was gathered goes out in one write.
pub(crate) const TRUNK_WRITE: usize = 256 * 1024;
/// After so long without a sign from its other end, be it an acknowledgement, a connection with a neighbour is dead.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the other end is asked for one in the second half of that.
const ASKED: u32 = 5;

/// A connection that carries many calls to a neighbour.
pub(crate) type TrunkStream = TlsStream<BufReader<Wire>>;

/// Makes connections for one thread.
#[derive(Debug)]
pub struct Connector {
    shared: Arc<Shared>,
    tls: RefCell<HashMap<(NodeId, Speaks), Arc<ClientConfig>>>,
}

impl Connector {
    /// A connector that has connected to nobody yet.
    pub fn new(shared: Arc<Shared>) -> Connector {
        Connector {
            shared,
            tls: RefCell::default(),
        }
    }

    /// Who may have connections with this node.
    pub(super) fn membership(&self) -> Membership {
        self.shared.tls.membership().clone()
    }

    /// Connects, for calls that are relayed message by message.
    ///
    /// # Errors
    /// If no connection could be made within the time that the configuration gives; nothing was sent then.
    pub async fn connect(&self, target: Target) -> Result<Io, SendError> {
        match target {
            Target::Platform => self.to_platform().await.map(Io::Plain),
            Target::Peer(node, address, _) => {
                let config = self.tls_config(node, Speaks::Http)?;
                let connected = async {
                    let stream = to_neighbour(address).await?;
                    let name = ServerName::IpAddress(address.ip().into());
                    TlsConnector::from(config).connect(name, stream).await
                };
                let connected = self.in_time(pin!(connected)).await;
                connected.map(|stream| Io::Tls(Box::new(stream)))
            }
        }
        .map_err(SendError::NotConnected)
    }

    /// Connects to the platform.
    pub(super) async fn to_platform(&self) -> io::Result<TcpStream> {
        let authority = &self.shared.gateway.authority;
        let connected = async {
            let stream = TcpStream::connect(authority.as_str()).await?;
            prepare(&stream, stream.peer_addr().ok());
            Ok(stream)
        };
        self.in_time(pin!(connected)).await
    }

    /// Connects to a neighbour for many calls on one connection.
    pub(super) async fn trunk(
        &self,
        node: NodeId,
        address: SocketAddr,
    ) -> Result<TrunkStream, SendError> {
        let config = self.tls_config(node, Speaks::Trunk)?;
        let connected = async {
            let stream = to_neighbour(address).await?;
            end_in_silence(&stream);
            let name = ServerName::IpAddress(address.ip().into());
            let connector = TlsConnector::from(config);
            let mut stream = connector.connect(name, buffered(stream)).await?;
            stream.get_mut().1.set_buffer_limit(Some(TRUNK_WRITE));
            Ok(stream)
        };
        let connected = self.in_time(pin!(connected)).await;
        connected.map_err(SendError::NotConnected)
    }

    async fn in_time<T>(
        &self,
        connected: Pin<&mut impl Future<Output = io::Result<T>>>,
    ) -> io::Result<T> {
        let limit = self.shared.timeouts.connect;
        let connected = deadline::within(limit, connected).await;
        connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    fn tls_config(&self, node: NodeId, speaks: Speaks) -> Result<Arc<ClientConfig>, SendError> {
        if let Some(config) = self.tls.borrow().get(&(node, speaks)) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.shared.tls.client(node, speaks)?);
        let mut known = self.tls.borrow_mut();
        known.insert((node, speaks), Arc::clone(&config));
        Ok(config)
    }
}

/// The socket of a peer's connection, before it is known what the peer speaks.
pub(crate) fn buffered(stream: TcpStream) -> BufReader<Wire> {
    BufReader::with_capacity(TRUNK_READ, Wire::new(stream))
}

async fn to_neighbour(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    prepare(&stream, Some(address));
    notice_dead_end(&stream);
    Ok(stream)
}

/// Has it noticed that the machine at the other end of a connection with a neighbour is gone, while nothing is sent to it.
pub(crate) fn notice_dead_end(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE / 2)
        .with_interval(SILENCE / 2 / ASKED)
        .with_retries(ASKED);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "a connection is not watched for a dead end");
    }
}

/// Has a trunk end that cannot send for so long, at either end. The kernel makes no difference between an end that is gone and one that
/// takes nothing. A trunk's end takes what comes, as windows hold back the rest; on other connections with neighbours a slow client, or
/// a platform that reads late, takes its time.
pub(crate) fn end_in_silence(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE)) {
        tracing::debug!(%error, "a connection is not watched for a dead end");
    }
}

fn set_no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
}

/// Sets up a socket whose other end is there. On loopback there is no path to probe, and a congestion control that paces, such as
/// BBR, costs a tenth of a call's system time. Reno is part of every kernel.
pub(crate) fn prepare(stream: &TcpStream, other: Option<SocketAddr>) {
    set_no_delay(stream);
    let loopback = other.is_some_and(|other| other.ip().to_canonical().is_loopback());
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
