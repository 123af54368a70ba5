//! One node of a lab: its agent, and the relays over which it reaches its neighbours.

use std::mem::discriminant;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dfaas_protocol::NodeId;
use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::scenario::Experiment;
use tokio::sync::watch;

use super::config::{self, Neighbour, Place};
use super::namespaces::Namespaces;
use super::process::AgentProcess;
use super::relay::{Relay, Wire};
use crate::admin::view::Calls;
use crate::identity::Identity;
use crate::node::Order;

/// How long an agent may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Where all are that have no networks of their own.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A node.
pub(super) struct Site {
    pub(super) node: NodeId,
    /// Where its agent takes calls; nowhere while it is down.
    pub(super) ingress: watch::Sender<Option<String>>,
    directory: PathBuf,
    /// The command line that runs its agents in their network, if they have one.
    within: Vec<String>,
    config: String,
    agent: Option<AgentProcess>,
    /// What is wrong with it, and with the agents that come after this one.
    orders: Vec<Order>,
    cordoned: bool,
    /// Where its agent's overlay and peer channel are, for the relays that lead here.
    overlay: watch::Sender<Option<SocketAddr>>,
    peer: watch::Sender<Option<SocketAddr>>,
    /// The ways to its neighbours; they are there as long as it is.
    _relays: Vec<Relay>,
    /// What its agents before this one counted, and this one.
    before: Counted,
    now: Counted,
}

/// What an agent counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) calls: Calls,
    pub(super) messages: u64,
    pub(super) message_bytes: u64,
}

impl Counted {
    fn plus(self, other: Counted) -> Counted {
        Counted {
            calls: [self.calls, other.calls].into_iter().sum(),
            messages: self.messages + other.messages,
            message_bytes: self.message_bytes + other.message_bytes,
        }
    }
}

/// Makes the nodes of an experiment, with their keys and relays, and starts none.
pub(super) async fn prepare(
    experiment: &Experiment,
    strategy: StrategyName,
    wires: &[Arc<Wire>],
    directory: &Path,
    namespaces: Option<&Namespaces>,
) -> anyhow::Result<Vec<Site>> {
    let mut sites = Vec::new();
    for index in 0..experiment.nodes.len() {
        let directory = directory.join(format!("node-{index}"));
        let state = directory.join("state");
        tokio::fs::create_dir_all(&state).await?;
        sites.push(Site {
            node: Identity::load_or_create(&state)?.node_id(),
            ingress: watch::Sender::new(None),
            directory,
            within: namespaces.map_or_else(Vec::new, |made| made.within(index).to_vec()),
            config: String::new(),
            agent: None,
            orders: Vec::new(),
            cordoned: false,
            overlay: watch::Sender::new(None),
            peer: watch::Sender::new(None),
            _relays: Vec::new(),
            before: Counted::default(),
            now: Counted::default(),
        });
    }
    let here = namespaces.map_or(LOOPBACK, Namespaces::here);
    for index in 0..sites.len() {
        let mut neighbours = Vec::new();
        let mut relays = Vec::new();
        for link in experiment.links.of(index) {
            let back = experiment.links.between(link.to, index);
            let back = &wires[back.context("a link leads one way only")?.index];
            let there = &wires[link.index];
            let to = &sites[link.to];
            let open = |door: &watch::Sender<Option<SocketAddr>>| {
                Relay::open(here, Arc::clone(there), Arc::clone(back), door.subscribe())
            };
            let (overlay, peer) = (open(&to.overlay).await?, open(&to.peer).await?);
            neighbours.push(Neighbour {
                node: to.node,
                overlay: overlay.address,
                peer: peer.address,
            });
            relays.extend([overlay, peer]);
        }
        let site = &mut sites[index];
        let place = Place {
            directory: &site.directory,
            address: namespaces.map_or(LOOPBACK, |made| made.address(index)),
        };
        site.config = config::text(experiment, index, strategy, &place, &neighbours);
        site._relays = relays;
    }
    Ok(sites)
}

impl Site {
    /// Starts its agent, with its key; it is reached as soon as it is ready.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let mut agent =
            AgentProcess::start(&self.directory, &self.config, &self.within, START_LIMIT).await?;
        for order in &self.orders {
            agent.order(*order).await?;
        }
        if self.cordoned {
            agent.cordon(true).await?;
        }
        let addresses = &agent.ready.addresses;
        let overlay = addresses.overlay.first().and_then(|text| tcp_address(text));
        self.overlay
            .send_replace(Some(overlay.context("an agent has no overlay address")?));
        let peer = addresses.peer.as_ref();
        let peer = peer.context("an agent has no peer address")?;
        self.peer.send_replace(Some(peer.parse()?));
        self.ingress.send_replace(Some(addresses.ingress.clone()));
        self.agent = Some(agent);
        Ok(())
    }

    /// Kills its agent.
    pub(super) async fn crash(&mut self) -> anyhow::Result<()> {
        // What it counts after this is lost with it.
        self.count().await?;
        self.ingress.send_replace(None);
        if let Some(agent) = self.agent.take() {
            agent.kill().await?;
        }
        self.before = self.before.plus(self.now);
        self.now = Counted::default();
        Ok(())
    }

    /// Orders its agent to do something wrong, now or when it is there again.
    pub(super) async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        self.orders
            .retain(|old| discriminant(old) != discriminant(&order));
        self.orders.push(order);
        match &mut self.agent {
            Some(agent) => agent.order(order).await,
            None => Ok(()),
        }
    }

    /// Cordons its agent, or takes that back, now or when it is there again.
    pub(super) async fn cordon(&mut self, cordoned: bool) -> anyhow::Result<()> {
        self.cordoned = cordoned;
        match &self.agent {
            Some(agent) => agent.cordon(cordoned).await,
            None => Ok(()),
        }
    }

    /// Whether its agent runs.
    pub(super) fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// Its agent, to stop it.
    pub(super) fn into_agent(self) -> Option<AgentProcess> {
        self.agent
    }

    /// How many neighbours it hears that offer something, and of which it knows the distance.
    pub(super) async fn acquainted(&self) -> anyhow::Result<usize> {
        let Some(agent) = &self.agent else {
            return Ok(0);
        };
        let peers = agent.peers().await?;
        let known = peers.iter().filter(|p| p.round_trip_ms.is_some());
        Ok(known.count())
    }

    /// What its agents have counted up to now.
    pub(super) async fn count(&mut self) -> anyhow::Result<Counted> {
        if let Some(agent) = &self.agent {
            let metrics = agent.metrics().await?;
            self.now = Counted {
                calls: agent.status().await?.calls,
                messages: metric(&metrics, "dfaas_messages_sent_total"),
                message_bytes: metric(&metrics, "dfaas_message_bytes_sent_total"),
            };
        }
        Ok(self.before.plus(self.now))
    }
}

/// The address in `/ip4/IP/tcp/PORT/...`.
fn tcp_address(text: &str) -> Option<SocketAddr> {
    let mut parts = text.split('/').skip(2);
    let ip = parts.next()?.parse().ok()?;
    let port = parts.nth(1)?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

/// A counter without labels in the text of a scrape; zero if it is not there.
fn metric(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_counters_are_found() {
        let address = tcp_address("/ip4/127.0.0.1/tcp/31600/p2p/X");
        assert_eq!(address, Some("127.0.0.1:31600".parse().unwrap()));
        assert_eq!(tcp_address("/dns4"), None);
        assert_eq!(metric("# TYPE a\na_total 7\n", "a_total"), 7);
    }
}
