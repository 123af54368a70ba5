//! Ten agents, each with four neighbours, joined by wires that can be cut and slowed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use tempfile::TempDir;

use crate::wire::Wire;

/// How far the neighbours of a node are from it, around a ring.
const STEPS: [usize; 4] = [1, 2, 8, 9];

/// Where clients find each node; nowhere while it is down or about to be.
pub(super) type Ingresses = Arc<Mutex<Vec<Option<String>>>>;

pub(super) struct Network {
    sites: Vec<Site>,
    agents: Vec<Option<Agent>>,
    homes: Vec<Option<TempDir>>,
    /// The two wires, for the overlay and for calls, from one node to another.
    wires: BTreeMap<(usize, usize), [Wire; 2]>,
    ingresses: Ingresses,
}

impl Network {
    /// Starts so many agents, each beside the platform at the URL that is made for it.
    pub(super) async fn start<F: Future<Output = String>>(
        count: usize,
        platform: impl Fn(usize) -> F,
    ) -> Network {
        let (mut ids, mut homes): (Vec<NodeId>, Vec<_>) = (Vec::new(), Vec::new());
        for _ in 0..count {
            // The keys are made by a first start, as a list names its neighbours.
            let agent = Site::new().start().await;
            ids.push(agent.node());
            homes.push(Some(agent.kill()));
        }
        let mut wires = BTreeMap::new();
        for from in 0..count {
            for step in STEPS {
                let pair = [Wire::open().await, Wire::open().await];
                wires.insert((from, (from + step) % count), pair);
            }
        }
        let mut sites = Vec::new();
        for from in 0..count {
            let mut overlay = String::from("[overlay]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n");
            for ((_, to), [offers, calls]) in wires.range((from, 0)..(from + 1, 0)) {
                let _ = write!(
                    overlay,
                    "[[overlay.neighbours]]\naddress = \"/ip4/127.0.0.1/tcp/{}/p2p/{}\"\npeer = \"{}\"\n",
                    offers.address.port(),
                    ids[*to],
                    calls.address,
                );
            }
            let site = Site::new().openfaas(&platform(from).await);
            sites.push(site.replace_overlay(&overlay));
        }
        let mut network = Network {
            sites,
            agents: (0..count).map(|_| None).collect(),
            homes,
            wires,
            ingresses: Arc::new(Mutex::new(vec![None; count])),
        };
        for node in 0..count {
            network.start_again(node).await;
        }
        for agent in network.agents.iter().flatten() {
            agent.knows("work", STEPS.len()).await;
        }
        network
    }

    pub(super) fn ingresses(&self) -> Ingresses {
        Arc::clone(&self.ingresses)
    }

    fn agent(&self, node: usize) -> &Agent {
        self.agents[node].as_ref().unwrap()
    }

    /// Starts a node that is down, in its directory.
    pub(super) async fn start_again(&mut self, node: usize) {
        let home = self.homes[node].take().unwrap();
        let agent = self.sites[node].clone().start_in(home).await;
        let port = agent.ready.addresses.overlay[0].split('/').nth(4).unwrap();
        let overlay = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let calls = agent.peer().parse().unwrap();
        for ((_, to), wires) in &self.wires {
            if *to == node {
                wires[0].target.send_replace(Some(overlay));
                wires[1].target.send_replace(Some(calls));
            }
        }
        until("it knows what it can run", SOON, || async {
            let functions = agent.status().await.functions;
            functions.iter().any(|function| function.here).then_some(())
        })
        .await;
        self.ingresses.lock().unwrap()[node] = Some(agent.url("/function/work"));
        self.agents[node] = Some(agent);
    }

    /// Ends a node at once.
    pub(super) fn kill(&mut self, node: usize) {
        self.ingresses.lock().unwrap()[node] = None;
        self.homes[node] = self.agents[node].take().map(Agent::kill);
    }

    /// Ends a node as a service manager does; clients are led elsewhere first.
    pub(super) async fn end(&mut self, node: usize) {
        self.ingresses.lock().unwrap()[node] = None;
        let mut agent = self.agents[node].take().unwrap();
        agent.signal("TERM");
        assert!(agent.ended().await.success(), "a node drains in time");
        self.homes[node] = Some(agent.kill());
    }

    pub(super) fn signal(&self, node: usize, signal: &str) {
        self.agent(node).signal(signal);
    }

    /// The wires to and from a node.
    fn around(&self, node: usize) -> impl Iterator<Item = &Wire> {
        let around = self.wires.iter();
        around
            .filter(move |((from, to), _)| *from == node || *to == node)
            .flat_map(|(_, wires)| wires)
    }

    /// Cuts a node off from all others, or joins it again.
    pub(super) fn cut(&self, node: usize, is_cut: bool) {
        for wire in self.around(node) {
            wire.whole.send_replace(!is_cut);
        }
    }

    /// Lets everything to and from a node take longer.
    pub(super) fn slow(&self, node: usize, delay: Duration) {
        for wire in self.around(node) {
            wire.delay.send_replace(delay);
        }
    }
}
