use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::iter::{Once, once};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::{
    InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version,
};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{Config, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, Transport, tcp, yamux};
use libp2p_stream::{Behaviour, Control};
use rand::RngExt;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

use super::{Intruder, Mutation, PATIENCE, seeds};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/dfaas/offers/1");
/// Frames that are written at once.
const BATCH: usize = 64;
/// The largest length that a frame may say.
const MAX_MESSAGE: u32 = 256 * 1024;

/// A member's connection to the overlay of an agent, which speaks of nothing but offers.
pub struct Gossip {
    control: Control,
    agent: PeerId,
    driving: AbortHandle,
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gossip({})", self.agent)
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl Gossip {
    /// Connects to the agent at a multiaddress that names it, and again whenever the connection is lost.
    ///
    /// # Panics
    /// If the address names nobody.
    pub fn connect(member: &Intruder, overlay: &str) -> Gossip {
        let mut address: Multiaddr = overlay.parse().expect("a multiaddress");
        let Some(libp2p::multiaddr::Protocol::P2p(agent)) = address.pop() else {
            panic!("{overlay} names no node");
        };
        let us = member.peer_id();
        let config = Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE * 60);
        let mut swarm = Swarm::new(transport(member), Behaviour::new(), us, config);
        let control = swarm.behaviour().new_control();
        let dial = move || {
            let dial = DialOpts::peer_id(agent).addresses(vec![address.clone()]);
            dial.build()
        };
        swarm.dial(dial()).expect("it can be dialled");
        let driving = tokio::spawn(async move {
            loop {
                if let SwarmEvent::ConnectionClosed { .. }
                | SwarmEvent::OutgoingConnectionError { .. } = swarm.select_next_some().await
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    // There may be another connection, or a dial.
                    let _ = swarm.dial(dial());
                }
            }
        });
        Gossip {
            control,
            agent,
            driving: driving.abort_handle(),
        }
    }

    /// A new substream for messages.
    ///
    /// # Panics
    /// If none comes about.
    pub async fn substream(&mut self) -> libp2p::Stream {
        let opening = async {
            loop {
                match self.control.open_stream(self.agent, PROTOCOL).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let opened = timeout(PATIENCE, opening).await;
        opened.expect("a member may open a substream")
    }

    /// Says something right, such as an offer, and keeps the substream.
    pub async fn offers(&mut self, functions: u32) -> libp2p::Stream {
        let offer = dfaas_protocol::wire::encode(&seeds::offer(functions, 1));
        let offer = offer.expect("it is right");
        let mut stream = self.substream().await;
        let frame = [&(offer.len() as u32).to_be_bytes()[..], &offer].concat();
        stream.write_all(&frame).await.expect("the agent reads");
        stream.flush().await.expect("the agent reads");
        stream
    }
}

/// Sends so many mutated messages as a member. Returns how many frames the agent has read to their ends, among them those whose
/// length was wrong.
pub async fn send_messages(gossip: &mut Gossip, mutation: &mut Mutation, count: usize) -> usize {
    let mut read = 0;
    while read < count {
        let (mut theirs, mut ours) = gossip.substream().await.split();
        // What it says is of no interest, but has to be taken.
        let listening = tokio::spawn(async move {
            let mut bytes = [0; 16 * 1024];
            while theirs.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
        });
        let mut sent = 0;
        // A wrong length ends a substream, so it is its last frame.
        let last = mutation.rng().random_range(1..4000).min(count - read - 1);
        let mut broken = false;
        while sent < last && !broken {
            let mut bytes = Vec::new();
            let batch = BATCH.min(last - sent);
            for body in mutation.some(batch) {
                // No frame is empty.
                let body = if body.is_empty() { vec![0] } else { body };
                bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
                bytes.extend_from_slice(&body);
            }
            broken = ours.write_all(&bytes).await.is_err();
            sent += batch;
        }
        let wrong = [0, MAX_MESSAGE + 1, u32::MAX][mutation.rng().random_range(0..3)];
        broken |= ours.write_all(&wrong.to_be_bytes()).await.is_err();
        broken |= ours.flush().await.is_err();
        // It ends the substream when it has read all.
        let ended = timeout(PATIENCE, listening).await;
        ended
            .expect("the agent ends the substream")
            .expect("no panic");
        // Of one that broke, as where its connection was lost, nobody knows how much was read.
        if !broken {
            read += sent + 1;
        }
    }
    read
}

fn transport(member: &Intruder) -> Boxed<(PeerId, StreamMuxerBox)> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let secured = AsMember(Arc::new(member.client(b"dfaas-overlay/1")));
    tcp.upgrade(Version::V1Lazy)
        .authenticate(secured)
        .multiplex(yamux::Config::default())
        .timeout(PATIENCE)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed()
}

/// The overlay's TLS, as a client that takes everybody for the right one.
#[derive(Clone)]
struct AsMember(Arc<ClientConfig>);

type Stream<C> = Compat<TlsStream<Compat<C>>>;

impl UpgradeInfo for AsMember {
    type Info = &'static str;
    type InfoIter = Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        once("/dfaas/tls/1")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for AsMember {
    type Output = (PeerId, Stream<C>);
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, _: C, _: &'static str) -> Self::Future {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for AsMember {
    type Output = (PeerId, Stream<C>);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
            let connecting = TlsConnector::from(self.0).connect(name, socket.compat());
            let stream = connecting.await?;
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let shown = shown.first().ok_or(io::ErrorKind::InvalidData)?;
            let read = libp2p_tls::certificate::parse(shown).map_err(io::Error::other)?;
            Ok((read.peer_id(), stream.compat()))
        })
    }
}
