//! How nodes find, know and hear each other: libp2p over TCP and QUIC, in a supervised task of its own.
//!
//! Nodes are found by a bootstrap list, mDNS and Kademlia. Some of them are chosen as neighbours, the nearest and a few at
//! random; or the neighbours are listed, and then nobody else is looked for or let in. One long-lived substream to each carries the messages of `dfaas_protocol::wire` in both directions. A node
//! with at least one live substream is a neighbour, whoever opened it. Nothing here blocks the node: what a slow
//! neighbour, or a slow node, does not take in time is dropped and counted.

mod behaviour;
mod bootstrap;
mod counters;
mod discovery;
mod driver;
mod events;
mod fresh_ports;
mod links;
mod listen;
mod neighbourhood;
mod offers;
mod peers;
mod secured;
mod senders;
mod supervisor;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::neighbours::ChoiceLimits;
use dfaas_protocol::wire::{Message, WireError};
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use rand::RngExt;
use thiserror::Error as ThisError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use counters::OverlayCounters;
pub use events::OverlayEvent;

use crate::config::OverlayConfig;
use crate::identity::Identity;
use crate::membership::Membership;
use crate::peer_tls::PeerTls;
use counters::Counters;
use driver::Driver;
use events::Events;
use links::Links;
use peers::Peers;
use senders::Senders;

/// The longest that [`Overlay::shutdown`] takes.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle to the overlay; clones are cheap. When the last one is dropped, the overlay ends.
#[derive(Clone)]
pub struct Overlay {
    handle: Arc<Handle>,
}

/// Why there is no overlay.
#[derive(Debug, ThisError)]
pub enum OverlayError {
    /// An address cannot be listened at.
    #[error(
        "cannot listen at {address}: {source}; end what listens there, or change the overlay's listen addresses"
    )]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        source: io::Error,
    },
    /// No address is left to listen at.
    #[error(
        "a closed federation speaks TCP only, and overlay.listen has no TCP address: give one, such as \
         /ip4/0.0.0.0/tcp/31600"
    )]
    OnlyDatagrams,
    /// The environment asks for session keys to be written to a file.
    #[error("SSLKEYLOGFILE is set, so QUIC's session keys would be written there: unset it")]
    KeyLog,
    /// libp2p could not be set up.
    #[error("libp2p could not be set up: {0}; this is a defect, please report it")]
    Swarm(Box<dyn Error + Send + Sync>),
}

/// What the handle, the swarm's task and the substreams' tasks share.
struct Shared {
    peers: Peers,
    senders: Senders,
    links: Arc<Links>,
    events: Events,
    counters: Arc<Counters>,
    addresses: Mutex<Vec<Multiaddr>>,
    /// The share of what is written that is lost instead, as the bits of a float.
    lost: AtomicU64,
    /// Makes the swarm's task panic once.
    #[cfg(test)]
    crash: std::sync::atomic::AtomicBool,
}

/// What each run of the swarm's task is made from.
struct Setup {
    keypair: Keypair,
    tls: PeerTls,
    bootstrap: Vec<Multiaddr>,
    mdns: bool,
    neighbours: ChoiceLimits,
    /// The only nodes that we speak with; any, if it is empty.
    listed: BTreeSet<NodeId>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Handle {
    shared: Arc<Shared>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Overlay {
    /// Starts the overlay on the current tokio runtime, and returns when it listens at all of its addresses. Other nodes
    /// are looked for afterwards, in the background. The receiver ends when the overlay has ended and no
    /// handle is left. A node that stands alone listens nowhere and looks for nobody.
    ///
    /// # Errors
    /// If one of the addresses cannot be listened at.
    pub async fn start(
        identity: &Identity,
        config: &OverlayConfig,
        tls: &PeerTls,
    ) -> Result<(Overlay, mpsc::Receiver<OverlayEvent>), OverlayError> {
        if std::env::var_os("SSLKEYLOGFILE").is_some() {
            return Err(OverlayError::KeyLog);
        }
        let counters = Arc::new(Counters::default());
        let (events, receiver) = Events::new(Arc::clone(&counters));
        let shared = Arc::new(Shared {
            peers: Peers::default(),
            senders: Senders::new(config.rates),
            links: Arc::new(Links::new(events.clone(), Arc::clone(&counters))),
            events,
            counters,
            addresses: Mutex::default(),
            lost: AtomicU64::new(0),
            #[cfg(test)]
            crash: false.into(),
        });
        let stop = CancellationToken::new();
        let ended = CancellationToken::new();
        let handle = |shared| {
            let handle = Handle {
                shared,
                stop: stop.clone(),
                ended: ended.clone(),
            };
            Overlay {
                handle: Arc::new(handle),
            }
        };
        let listen = match tls.membership() {
            Membership::Alone => {
                ended.cancel();
                return Ok((handle(shared), receiver));
            }
            Membership::Open => config.listen.clone(),
            Membership::Closed(_) => only_streams(&config.listen)?,
        };
        let setup = Arc::new(Setup {
            keypair: identity.keypair().clone(),
            tls: tls.clone(),
            bootstrap: match config.listed.as_slice() {
                [] => config.bootstrap.clone(),
                listed => listed.iter().map(bootstrap::listed).collect(),
            },
            mdns: config.mdns,
            neighbours: config.neighbours,
            listed: config.listed.iter().map(|one| one.node).collect(),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
        });
        let driver = Driver::start(Arc::clone(&setup), &listen).await?;
        tokio::spawn(supervisor::supervise(
            setup,
            driver,
            ended.clone().drop_guard(),
        ));
        Ok((handle(shared), receiver))
    }

    /// The addresses at which it listens, with the ports that it was given; each ends in `/p2p/NODE`.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.handle.shared.addresses()
    }

    /// Sends a message to a neighbour. It never blocks: what a slow neighbour does not take in time, and what is for a
    /// node that is no neighbour, is dropped and counted.
    pub fn send(&self, to: NodeId, message: &Message) {
        match offers::frame(message) {
            Ok(frame) => self.handle.shared.links.send(&to, frame),
            Err(error) => self.not_encoded(&error),
        }
    }

    /// Sends a message to all neighbours, as [`Overlay::send`] does.
    pub fn broadcast(&self, message: &Message) {
        match offers::frame(message) {
            Ok(frame) => self.handle.shared.links.broadcast(&frame),
            Err(error) => self.not_encoded(&error),
        }
    }

    fn not_encoded(&self, error: &WireError) {
        self.handle.shared.counters.dropped.add(1);
        tracing::error!(%error, "a message of our own cannot be sent");
    }

    /// The neighbours: the nodes with a live substream.
    pub fn neighbours(&self) -> Vec<NodeId> {
        self.handle.shared.links.nodes()
    }

    /// Loses that share of the messages to neighbours, for experiments: each with that probability for each neighbour.
    pub fn lose(&self, share: f64) {
        let share = share.clamp(0.0, 1.0);
        self.handle.shared.lost.store(share.to_bits(), Relaxed);
    }

    /// The TCP port that it listens at, if it does.
    pub fn tcp_port(&self) -> Option<u16> {
        let addresses = self.listen_addresses();
        let mut parts = addresses.iter().flat_map(Multiaddr::iter);
        parts.find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        })
    }

    /// The nodes with a connection, neighbours or not.
    pub fn connected(&self) -> Vec<NodeId> {
        self.handle.shared.peers.nodes()
    }

    /// The round trip to a connected node, the least of those measured lately.
    pub fn round_trip(&self, node: NodeId) -> Option<Duration> {
        self.handle.shared.peers.distance(&node)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> OverlayCounters {
        self.handle.shared.counters.snapshot()
    }

    /// Writes what is queued, closes the connections and ends the overlay, for all clones of the handle. It takes 5 s at
    /// most.
    pub async fn shutdown(self) {
        self.handle.stop.cancel();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.handle.ended.cancelled())
            .await
            .is_err()
        {
            tracing::warn!("the overlay did not close its connections in time");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The TCP addresses of a list: QUIC has no place to ask for a certificate of membership.
fn only_streams(listen: &[Multiaddr]) -> Result<Vec<Multiaddr>, OverlayError> {
    let is_stream =
        |address: &&Multiaddr| address.iter().any(|part| matches!(part, Protocol::Tcp(_)));
    let (streams, others): (Vec<_>, Vec<_>) = listen.iter().partition(is_stream);
    if streams.is_empty() {
        return Err(OverlayError::OnlyDatagrams);
    }
    for address in others {
        tracing::info!(%address, "not listened at: a closed federation speaks TCP only");
    }
    Ok(streams.into_iter().cloned().collect())
}

impl Setup {
    /// Whether we speak with a node at all.
    fn admits(&self, node: &NodeId) -> bool {
        (self.listed.is_empty() || self.listed.contains(node))
            && self.tls.membership().admits(*node)
    }

    /// Whether nodes are looked for.
    fn looks_for_nodes(&self) -> bool {
        self.listed.is_empty()
    }
}

impl Shared {
    /// Whether the next message is lost.
    fn loses(&self) -> bool {
        let share = f64::from_bits(self.lost.load(Relaxed));
        share > 0.0 && rand::rng().random_bool(share)
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_addresses(&self, addresses: Vec<Multiaddr>) {
        *self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}
