//! The connected nodes: from where, how far, and whether they speak our protocol.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dfaas_protocol::NodeId;
use libp2p::swarm::ConnectionId;

/// Round trips that are kept. Their minimum is the distance, because load only ever adds to a round trip.
const ROUND_TRIPS: usize = 8;

/// The connected nodes. The swarm's task writes; everybody reads.
#[derive(Default)]
pub(super) struct Peers(Mutex<BTreeMap<NodeId, Peer>>);

struct Peer {
    connections: Vec<(ConnectionId, IpAddr)>,
    since: Instant,
    round_trips: VecDeque<Duration>,
    speaks_offers: bool,
}

impl Peer {
    fn distance(&self) -> Option<Duration> {
        self.round_trips.iter().min().copied()
    }
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self, node: NodeId, connection: ConnectionId, from: IpAddr) {
        let mut peers = self.lock();
        let peer = peers.entry(node).or_insert_with(|| Peer {
            connections: Vec::new(),
            since: Instant::now(),
            round_trips: VecDeque::new(),
            speaks_offers: false,
        });
        peer.connections.push((connection, from));
    }

    pub(super) fn closed(&self, node: NodeId, connection: ConnectionId) {
        let mut peers = self.lock();
        if let Some(peer) = peers.get_mut(&node) {
            peer.connections.retain(|(id, _)| *id != connection);
            if peer.connections.is_empty() {
                peers.remove(&node);
            }
        }
    }

    /// Says that a node speaks our protocol; answers whether that is news.
    pub(super) fn speaks_offers(&self, node: NodeId) -> bool {
        self.lock()
            .get_mut(&node)
            .is_some_and(|peer| !std::mem::replace(&mut peer.speaks_offers, true))
    }

    /// Keeps a round trip; answers whether it is the node's first.
    pub(super) fn measured(&self, node: NodeId, round_trip: Duration) -> bool {
        let mut peers = self.lock();
        let Some(peer) = peers.get_mut(&node) else {
            return false;
        };
        if peer.round_trips.len() == ROUND_TRIPS {
            peer.round_trips.pop_front();
        }
        peer.round_trips.push_back(round_trip);
        peer.round_trips.len() == 1
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.lock().contains_key(node)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.lock().keys().copied().collect()
    }

    /// The remote address of the oldest connection.
    pub(super) fn address(&self, node: &NodeId) -> Option<IpAddr> {
        Some(self.lock().get(node)?.connections.first()?.1)
    }

    /// The least of the round trips measured lately.
    pub(super) fn distance(&self, node: &NodeId) -> Option<Duration> {
        self.lock().get(node)?.distance()
    }

    /// Those that could be neighbours, with their distances.
    pub(super) fn candidates(&self) -> Vec<(NodeId, Option<Duration>)> {
        self.lock()
            .iter()
            .filter(|(_, peer)| peer.speaks_offers)
            .map(|(node, peer)| (*node, peer.distance()))
            .collect()
    }

    /// The far ones first: those above `keep` that have been connected for `settled` at least and are not `needed`.
    pub(super) fn excess(
        &self,
        keep: usize,
        settled: Duration,
        needed: impl Fn(&NodeId) -> bool,
    ) -> Vec<NodeId> {
        let peers = self.lock();
        let mut idle: Vec<_> = peers
            .iter()
            .filter(|(node, peer)| peer.since.elapsed() >= settled && !needed(node))
            .map(|(node, peer)| (peer.distance().unwrap_or(Duration::MAX), *node))
            .collect();
        idle.sort_unstable_by(|a, b| b.cmp(a));
        idle.truncate(peers.len().saturating_sub(keep));
        idle.into_iter().map(|(_, node)| node).collect()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}
