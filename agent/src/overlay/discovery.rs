//! Finding nodes and connecting to them: the bootstrap list, walks through Kademlia, the local network.

use std::io;
use std::time::{Duration, Instant};

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, identify, kad};

use super::bootstrap::{Outcome, resolve};
use super::driver::Driver;
use super::listen::remote_ip;
use super::offers;
use super::walk::Target;
use crate::identity::{node_id_of, peer_id_of};

/// With so many connected nodes we look for no more.
const ENOUGH_CONNECTED: usize = 64;
/// Above so many connected nodes, those that are no neighbours are let go.
const MOST_CONNECTED: usize = 128;
/// A newcomer is not let go before it had the time to learn whom it needs.
const SETTLED: Duration = Duration::from_secs(30);
/// Addresses taken from one node's word.
const MAX_ADDRESSES: usize = 16;

impl Driver {
    /// Walks and dials the bootstrap list, where it is time to.
    pub(super) fn look_for_nodes(&mut self, now: Instant) {
        let connected = self.shared.peers.len();
        let wanted = self.setup.neighbours.nearest + self.setup.neighbours.random;
        if connected > 0
            && let Some(kad) = self.swarm.behaviour_mut().kad.as_mut()
            && let Some(target) = self.walk.due(now, connected < wanted)
        {
            let key = match target {
                Target::Ourselves => self.us,
                Target::Anywhere => PeerId::random(),
            };
            kad.get_closest_peers(key);
        }
        let (swarm, senders) = (&self.swarm, &self.shared.senders);
        let is_cut = |peer: &PeerId| node_id_of(peer).is_some_and(|node| senders.is_cut(&node));
        let there = |peer: &PeerId| swarm.is_connected(peer) || is_cut(peer);
        for (index, address) in self.bootstrap.due(now, connected == 0, there) {
            self.lookups
                .spawn(async move { (index, resolve(address).await) });
        }
    }

    pub(super) fn on_lookup(&mut self, index: usize, found: io::Result<Vec<Multiaddr>>) {
        let now = Instant::now();
        let picked = match found {
            Ok(addresses) => self.bootstrap.pick(index, addresses),
            Err(error) => {
                self.bootstrap.not_dialled(index, now, &error.to_string());
                return;
            }
        };
        let Some((named, address)) = picked else {
            self.bootstrap.not_dialled(index, now, "no address");
            return;
        };
        let options = match named {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Disconnected)
                .addresses(vec![address])
                .build(),
            None => DialOpts::unknown_peer_id().address(address).build(),
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.bootstrap.dialling(index, connection, now),
            Err(DialError::DialPeerConditionFalse(_)) => self.bootstrap.not_needed(index, now),
            Err(error) => self.bootstrap.not_dialled(index, now, &error.to_string()),
        }
    }

    /// Dials what was found, if it is worth it.
    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let is_out = |node| self.shared.senders.is_cut(&node);
        if peer == self.us
            || node_id_of(&peer).is_none_or(is_out)
            || self.shared.peers.len() >= ENOUGH_CONNECTED
            || self.swarm.is_connected(&peer)
        {
            return;
        }
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(%peer, %error, "not dialled");
        }
    }

    /// Dials those on the local network that are not connected.
    pub(super) fn dial_local(&mut self) {
        let Some(mdns) = self.swarm.behaviour().mdns.as_ref() else {
            return;
        };
        let found: Vec<PeerId> = mdns.discovered_nodes().copied().collect();
        for peer in found {
            self.dial(peer, Vec::new());
        }
    }

    /// Closes connections that nobody needs, where there are too many.
    pub(super) fn let_go(&mut self) {
        let excess = self.shared.peers.excess(MOST_CONNECTED, SETTLED, |node| {
            self.neighbourhood.contains(node) || self.shared.links.contains(node)
        });
        for node in excess {
            let _ = self.swarm.disconnect_peer_id(peer_id_of(node));
        }
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        let outcome = match error {
            DialError::LocalPeerId { .. } => Outcome::Ourselves,
            DialError::WrongPeerId { obtained, .. } => Outcome::Failed(format!(
                "the node there is {obtained}, not the one that the bootstrap list names"
            )),
            other => Outcome::Failed(other.to_string()),
        };
        if !matches!(
            error,
            DialError::LocalPeerId { .. } | DialError::DialPeerConditionFalse(_)
        ) {
            self.shared.counters.dials_failed.add(1);
        }
        tracing::debug!(%error, "dial failed");
        self.bootstrap.dialled(connection, Instant::now(), outcome);
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::RoutingUpdated {
                peer, addresses, ..
            } => self.dial(peer, addresses.into_vec()),
            kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(result),
                ..
            } => {
                let peers = match result {
                    Ok(found) => found.peers,
                    Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                for found in peers {
                    self.dial(found.peer_id, found.addrs);
                }
            }
            _ => {}
        }
    }

    /// Nodes were found on the local network.
    pub(super) fn on_local(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        for (peer, address) in found {
            if let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() {
                kad.add_address(&peer, address.clone());
            }
            self.dial(peer, vec![address]);
        }
    }

    pub(super) fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let Some(node) = node_id_of(&peer) else {
            return;
        };
        let now = Instant::now();
        if info.protocols.contains(&offers::PROTOCOL) && self.shared.peers.speaks_offers(node) {
            self.neighbourhood.soon(now);
            self.walk.soon(now);
        }
        let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() else {
            return;
        };
        let near = self
            .shared
            .peers
            .address(&node)
            .is_some_and(|ip| ip.is_loopback());
        for address in info.listen_addrs.into_iter().take(MAX_ADDRESSES) {
            // Another machine's loopback address leads to ourselves.
            if near || !remote_ip(&address).is_some_and(|ip| ip.is_loopback()) {
                kad.add_address(&peer, address);
            }
        }
    }
}
