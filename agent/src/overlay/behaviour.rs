//! The libp2p swarm: transports, protocols and their settings.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::upgrade::Version;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, Transport, identify, kad, mdns, noise, ping, quic, swarm, tcp,
    yamux,
};
use tokio::sync::Notify;

use super::Setup;
use super::fresh_ports::FreshPorts;
use super::secured::Secured;

/// The name under which nodes tell each other their addresses.
const IDENTIFY: &str = "/dfaas/1";
const KADEMLIA: StreamProtocol = StreamProtocol::new("/dfaas/kad/1");
const MDNS_QUERY: Duration = Duration::from_secs(5);
const MDNS_TTL: Duration = Duration::from_secs(30);
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// libp2p's own is 10 s, so that every node that is no neighbour would be dialled again and again.
const IDLE_CONNECTION: Duration = Duration::from_secs(3600);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A killed peer says nothing over UDP: this long after its last packet it counts as gone.
const QUIC_IDLE_MS: u32 = 5000;
const QUIC_KEEP_ALIVE: Duration = Duration::from_millis(1500);
/// Far above what the overlay wants; against nodes that do not stop.
const MAX_CONNECTIONS: u32 = 512;
const MAX_HALF_OPEN: u32 = 128;
const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Nodes whose addresses are remembered from what they say of themselves.
const ADDRESSES: usize = 100;

/// Everything that a connection speaks.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    pub(super) kad: Toggle<kad::Behaviour<MemoryStore>>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) offers: libp2p_stream::Behaviour,
}

/// A swarm that does not listen yet. `panicked` is told when the task of one of its connections panics: the swarm
/// would keep that connection for ever.
pub(super) fn swarm(
    setup: &Setup,
    panicked: Arc<Notify>,
) -> Result<Swarm<Behaviour>, Box<dyn Error + Send + Sync>> {
    let keypair = &setup.keypair;
    let us = keypair.public().to_peer_id();
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let tcp = FreshPorts(tcp).upgrade(Version::V1Lazy);
    let transport = if setup.tls.membership().federation().is_some() {
        tcp.authenticate(Secured::new(&setup.tls)?)
            .multiplex(yamux::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed()
    } else {
        let streams = tcp
            .authenticate(noise::Config::new(keypair)?)
            .multiplex(yamux::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let mut quic_config = quic::Config::new(keypair);
        quic_config.max_idle_timeout = QUIC_IDLE_MS;
        quic_config.keep_alive_interval = QUIC_KEEP_ALIVE;
        let datagrams = quic::tokio::Transport::new(quic_config)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        streams
            .or_transport(datagrams)
            .map(|either, _| either.into_inner())
            .boxed()
    };
    let executor = move |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
        let panicked = Arc::clone(&panicked);
        tokio::spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                panicked.notify_one();
            }
        });
    };
    let config =
        swarm::Config::with_executor(executor).with_idle_connection_timeout(IDLE_CONNECTION);
    let behaviour = behaviour(setup, us);
    Ok(Swarm::new(transport, behaviour, us, config))
}

fn behaviour(setup: &Setup, us: PeerId) -> Behaviour {
    let limits = ConnectionLimits::default()
        .with_max_established(Some(MAX_CONNECTIONS))
        .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
        .with_max_pending_incoming(Some(MAX_HALF_OPEN));
    // Neighbours that are listed are reached at the addresses of the list, whatever others say.
    let (kad, addresses) = if setup.looks_for_nodes() {
        (Some(kademlia(us)).into(), ADDRESSES)
    } else {
        (None.into(), 0)
    };
    Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_TIMEOUT),
        ),
        identify: identify::Behaviour::new(
            identify::Config::new(IDENTIFY.to_owned(), setup.keypair.public())
                .with_agent_version(format!("dfaas/{}", env!("CARGO_PKG_VERSION")))
                .with_push_listen_addr_updates(true)
                .with_cache_size(addresses),
        ),
        kad,
        mdns: setup.mdns.then(|| local_discovery(us)).flatten().into(),
        offers: libp2p_stream::Behaviour::new(),
    }
}

fn kademlia(us: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut kad_config = kad::Config::new(KADEMLIA);
    kad_config
        // Nobody stores records with us: Kademlia only finds nodes.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_query_timeout(Duration::from_secs(10))
        .set_periodic_bootstrap_interval(None);
    let mut kad = kad::Behaviour::with_config(us, MemoryStore::new(us), kad_config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn local_discovery(us: PeerId) -> Option<mdns::tokio::Behaviour> {
    let config = mdns::Config {
        ttl: MDNS_TTL,
        query_interval: MDNS_QUERY,
        enable_ipv6: false,
    };
    match mdns::tokio::Behaviour::new(config, us) {
        Ok(behaviour) => Some(behaviour),
        Err(error) => {
            tracing::warn!(
                %error,
                "no discovery on the local network: set overlay.mdns = false, or allow multicast"
            );
            None
        }
    }
}
