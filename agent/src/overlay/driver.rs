//! The task that drives the swarm: it finds nodes, connects to them, and opens substreams to the chosen ones.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, Swarm, identify, mdns, ping};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};

use super::behaviour::{self, Behaviour, BehaviourEvent};
use super::bootstrap::{Bootstrap, Outcome};
use super::events::OverlayEvent;
use super::links::Side;
use super::listen::{Listeners, refuse_taken_port, remote_ip};
use super::neighbourhood::{Neighbourhood, ToOpen};
use super::offers;
use super::walk::Walk;
use super::{OverlayError, Setup, Shared};
use crate::identity::{node_id_of, peer_id_of};

/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(100);
const BIND_TIMEOUT: Duration = Duration::from_secs(10);
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long substreams, and then connections, may take to close at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Inbound substreams that may wait for this task.
const INCOMING: usize = 256;

/// Why a driver ended.
pub(super) enum Ended {
    Stopped,
    Failed(String),
}

/// The state of the task.
pub(super) struct Driver {
    pub(super) setup: Arc<Setup>,
    pub(super) shared: Arc<Shared>,
    pub(super) us: PeerId,
    pub(super) swarm: Swarm<Behaviour>,
    listeners: Listeners,
    incoming: mpsc::Receiver<(PeerId, Stream)>,
    panicked: Arc<Notify>,
    /// Tells that somebody stopped being a member.
    lost: Option<watch::Receiver<()>>,
    substreams: JoinSet<()>,
    pub(super) lookups: JoinSet<(usize, io::Result<Vec<Multiaddr>>)>,
    pub(super) bootstrap: Bootstrap,
    pub(super) neighbourhood: Neighbourhood,
    pub(super) walk: Walk,
}

impl Driver {
    /// Makes a swarm and waits until it listens at all the addresses.
    pub(super) async fn start(
        setup: Arc<Setup>,
        listen: &[Multiaddr],
    ) -> Result<Driver, OverlayError> {
        let panicked = Arc::new(Notify::new());
        let mut swarm =
            behaviour::swarm(&setup, Arc::clone(&panicked)).map_err(OverlayError::Swarm)?;
        let mut listeners = Listeners::default();
        for address in listen {
            let failed = |source| OverlayError::Listen {
                address: address.clone(),
                source,
            };
            refuse_taken_port(address).map_err(failed)?;
            let id = swarm
                .listen_on(address.clone())
                .map_err(|error| failed(io::Error::other(error)))?;
            listeners.asked(id, address.clone());
        }
        let mut control = swarm.behaviour().offers.new_control();
        let mut accepted = control
            .accept(offers::PROTOCOL)
            .map_err(|error| OverlayError::Swarm(error.to_string().into()))?;
        let (sender, incoming) = mpsc::channel(INCOMING);
        // libp2p-stream drops what is not taken at once, so a task of its own takes.
        tokio::spawn(async move {
            while let Some(stream) = accepted.next().await {
                if sender.is_closed() {
                    break;
                }
                // A full queue drops the substream; its opener tries again.
                let _ = sender.try_send(stream);
            }
        });
        let now = Instant::now();
        let us = *swarm.local_peer_id();
        let mut driver = Driver {
            shared: Arc::clone(&setup.shared),
            us,
            swarm,
            listeners,
            incoming,
            panicked,
            lost: setup.tls.membership().federation().map(|f| f.changes()),
            substreams: JoinSet::new(),
            lookups: JoinSet::new(),
            bootstrap: Bootstrap::new(&setup.bootstrap, setup.looks_for_nodes(), us, now),
            neighbourhood: Neighbourhood::new(setup.neighbours, now),
            walk: Walk::new(now),
            setup,
        };
        driver.wait_until_bound().await?;
        Ok(driver)
    }

    /// The addresses to listen at after a restart: those of this driver, with the ports that it was given.
    pub(super) fn listen_again(&self) -> Vec<Multiaddr> {
        self.listeners.with_ports()
    }

    async fn wait_until_bound(&mut self) -> Result<(), OverlayError> {
        let deadline = tokio::time::Instant::now() + BIND_TIMEOUT;
        while let Some(address) = self.listeners.missing().cloned() {
            let event = tokio::time::timeout_at(deadline, self.swarm.select_next_some()).await;
            let failed = match event {
                Ok(event) => self.on_event(event).err(),
                Err(_) => Some(ListenerFailed {
                    address,
                    source: io::Error::other("no address was reported"),
                }),
            };
            if let Some(ListenerFailed { address, source }) = failed {
                return Err(OverlayError::Listen { address, source });
            }
        }
        Ok(())
    }

    /// Drives the swarm until it is to stop or cannot go on.
    pub(super) async fn run(mut self) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.setup.stop.clone();
        loop {
            // The swarm before incoming substreams: it tells of a connection before the first of them comes out.
            tokio::select! { biased;
                () = stop.cancelled() => {
                    self.close().await;
                    return Ended::Stopped;
                }
                () = self.panicked.notified() => {
                    return Ended::Failed("a connection's task panicked".to_owned());
                }
                _ = tick.tick() => self.on_tick(Instant::now()),
                event = self.swarm.select_next_some() => {
                    if let Err(ListenerFailed { address, source }) = self.on_event(event) {
                        return Ended::Failed(format!("listening at {address} ended: {source}"));
                    }
                }
                Some((peer, stream)) = self.incoming.recv() => self.accept(peer, stream),
                Some(_) = self.substreams.join_next() => {}
                Some(Ok((index, found))) = self.lookups.join_next() => self.on_lookup(index, found),
            }
        }
    }

    /// Lets the substreams write what is queued, then closes the connections.
    async fn close(&mut self) {
        let _ = timeout(CLOSE_TIMEOUT, async {
            while !self.substreams.is_empty() {
                tokio::select! {
                    _ = self.substreams.join_next() => {}
                    _ = self.swarm.select_next_some() => {}
                }
            }
        })
        .await;
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let _ = timeout(CLOSE_TIMEOUT, async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        })
        .await;
    }

    fn on_tick(&mut self, now: Instant) {
        #[cfg(test)]
        assert!(
            !self
                .shared
                .crash
                .swap(false, std::sync::atomic::Ordering::Relaxed)
        );
        self.cut_the_lost();
        if self.neighbourhood.choice_is_due(now) {
            self.neighbourhood
                .choose(now, &self.shared.peers.candidates());
            self.let_go();
            self.dial_local();
        }
        for node in self.shared.senders.to_close() {
            let _ = self.swarm.disconnect_peer_id(peer_id_of(node));
        }
        let shared = Arc::clone(&self.shared);
        let to_open = self
            .neighbourhood
            .due(now, &self.setup.stop, |node| shared.peers.contains(node));
        for one in to_open {
            self.open(one);
        }
        self.look_for_nodes(now);
    }

    /// Closes the connections with those who are no members any more.
    fn cut_the_lost(&mut self) {
        let Some(lost) = &mut self.lost else { return };
        if !lost.has_changed().unwrap_or(false) {
            return;
        }
        lost.mark_unchanged();
        for node in self.shared.peers.nodes() {
            if !self.setup.admits(&node) {
                tracing::info!(%node, "disconnected: it is no member any more");
                let _ = self.swarm.disconnect_peer_id(peer_id_of(node));
            }
        }
    }

    fn accept(&mut self, peer: PeerId, stream: Stream) {
        if let Some(node) = node_id_of(&peer) {
            let stop = self.setup.stop.child_token();
            self.substreams.spawn(offers::carry(
                Arc::clone(&self.shared),
                node,
                Side::Theirs,
                stop,
                stream,
            ));
        }
    }

    fn open(&mut self, to_open: ToOpen) {
        let mut control = self.swarm.behaviour().offers.new_control();
        let shared = Arc::clone(&self.shared);
        self.substreams.spawn(async move {
            let ToOpen { node, stop, ended } = to_open;
            let opening = control.open_stream(peer_id_of(node), offers::PROTOCOL);
            match timeout(OPEN_TIMEOUT, opening).await {
                Ok(Ok(stream)) => offers::carry(shared, node, Side::Ours, stop, stream).await,
                Ok(Err(error)) => tracing::debug!(%node, %error, "no offer substream"),
                Err(_) => tracing::debug!(%node, "no offer substream in time"),
            }
            drop(ended);
        });
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Result<(), ListenerFailed> {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                if let Some(node) = node_id_of(&peer_id) {
                    self.shared.peers.closed(node, connection_id);
                    self.neighbourhood.soon(Instant::now());
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.on_dial_failed(connection_id, &error),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                self.listeners.bound(listener_id, &address);
                self.publish_addresses();
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.publish_addresses(),
            SwarmEvent::ListenerError { listener_id, error } => {
                let address = self.listeners.address(listener_id);
                tracing::warn!(?address, %error, "a listener had an error and goes on");
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                if let Some(address) = self.listeners.address(listener_id) {
                    return Err(ListenerFailed {
                        address: address.clone(),
                        source: reason
                            .err()
                            .unwrap_or_else(|| io::Error::other("the listener closed")),
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        self.bootstrap
            .dialled(connection, now, Outcome::Connected(peer));
        let ip = remote_ip(endpoint.get_remote_address());
        let (Some(node), Some(ip)) = (node_id_of(&peer), ip) else {
            tracing::debug!(%peer, "not an Ed25519 identity: disconnected");
            self.swarm.close_connection(connection);
            return;
        };
        if !self.setup.admits(&node) {
            tracing::debug!(%node, %ip, "neither listed nor a member: disconnected");
            self.swarm.close_connection(connection);
            return;
        }
        if self.shared.senders.is_cut(&node) {
            tracing::debug!(%node, %ip, "cut off, as it sent too much: disconnected");
            self.swarm.close_connection(connection);
            return;
        }
        tracing::debug!(%node, %ip, "connected");
        self.shared.peers.connected(node, connection, ip);
        self.neighbourhood.soon(now);
        self.walk.soon(now);
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info);
            }
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_local(found),
            _ => {}
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        let Some(node) = node_id_of(&event.peer) else {
            return;
        };
        match event.result {
            Ok(round_trip) => {
                if self.shared.peers.measured(node, round_trip) {
                    self.neighbourhood.soon(Instant::now());
                }
                let round_trip = self.shared.peers.distance(&node).unwrap_or(round_trip);
                self.shared
                    .events
                    .emit(OverlayEvent::Measured { node, round_trip });
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(%node, %error, "no answer to a ping: connection closed");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn publish_addresses(&self) {
        let addresses = self
            .swarm
            .listeners()
            .map(|address| address.clone().with(Protocol::P2p(self.us)))
            .collect();
        self.shared.set_addresses(addresses);
    }
}

/// A listener that does not listen.
struct ListenerFailed {
    address: Multiaddr,
    source: io::Error,
}
