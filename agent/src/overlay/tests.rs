//! Overlays over real sockets on the loopback interface.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dfaas_protocol::allowance::Rates;
use dfaas_protocol::neighbours::ChoiceLimits;
use dfaas_protocol::offer::{Offer, PeerEndpoint, Period};
use dfaas_protocol::wire::{self, Message};
use dfaas_protocol::{NodeId, NodeLabels};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Stream};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::*;
use crate::config::ListedNeighbour;
use crate::identity::{node_id_of, peer_id_of};

const DEADLINE: Duration = Duration::from_secs(20);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// An open federation.
fn open(identity: &Identity) -> PeerTls {
    PeerTls::new(identity.keypair(), Membership::Open).unwrap()
}

struct Node {
    id: NodeId,
    overlay: Overlay,
    events: Receiver<OverlayEvent>,
    _state: tempfile::TempDir,
}

impl Node {
    async fn start(listen: &str, bootstrap: &[Multiaddr]) -> Node {
        Node::start_with(&config(listen, bootstrap)).await
    }

    async fn start_with(config: &OverlayConfig) -> Node {
        let state = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(state.path()).unwrap();
        let (overlay, events) = Overlay::start(&identity, config, &open(&identity))
            .await
            .unwrap();
        Node {
            id: identity.node_id(),
            overlay,
            events,
            _state: state,
        }
    }

    fn address(&self) -> Multiaddr {
        self.overlay.listen_addresses()[0].clone()
    }

    /// The next event that `wanted` takes something from.
    async fn wait<T>(&mut self, wanted: impl Fn(OverlayEvent) -> Option<T>) -> T {
        let events = &mut self.events;
        let next = async {
            loop {
                let event = events.recv().await.expect("the overlay ended");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(DEADLINE, next)
            .await
            .expect("no such event in time")
    }

    async fn joined(&mut self, other: NodeId) {
        let joined = |event| (event == OverlayEvent::Joined { node: other }).then_some(());
        self.wait(joined).await;
    }

    async fn lost(&mut self, other: NodeId) {
        let lost = |event| (event == OverlayEvent::Lost { node: other }).then_some(());
        self.wait(lost).await;
    }

    async fn heard(&mut self) -> (NodeId, IpAddr, Message) {
        self.wait(|event| match event {
            OverlayEvent::Heard {
                from,
                seen_at,
                message,
            } => Some((from, seen_at, message)),
            _ => None,
        })
        .await
    }
}

fn config(listen: &str, bootstrap: &[Multiaddr]) -> OverlayConfig {
    OverlayConfig {
        listen: vec![listen.parse().unwrap()],
        bootstrap: bootstrap.to_vec(),
        mdns: false,
        neighbours: ChoiceLimits {
            nearest: 6,
            random: 2,
        },
        listed: Vec::new(),
        rates: Rates {
            count: 100,
            bytes: 4_000_000,
        },
    }
}

fn offer(sequence: u64) -> Message {
    Message::Offer(Offer {
        boot: 1,
        sequence,
        peer_endpoint: PeerEndpoint {
            host: None,
            port: 31601,
        },
        period: Period::from_duration(Duration::from_secs(1)),
        labels: NodeLabels::default(),
        cordoned: false,
        functions: Vec::new(),
    })
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn exchange(transport: &str) {
    let mut a = Node::start(transport, &[]).await;
    let mut b = Node::start(transport, &[a.address()]).await;
    a.joined(b.id).await;
    b.joined(a.id).await;
    a.overlay.send(b.id, &offer(1));
    b.overlay.broadcast(&offer(2));
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(b.heard().await, (a.id, loopback, offer(1)));
    assert_eq!(a.heard().await, (b.id, loopback, offer(2)));
    let peer = b.id;
    let round_trip = a
        .wait(|event| match event {
            OverlayEvent::Measured { node, round_trip } if node == peer => Some(round_trip),
            _ => None,
        })
        .await;
    assert!(round_trip > Duration::ZERO && round_trip < DEADLINE);
    assert_eq!(a.overlay.connected(), [b.id]);
    assert_eq!(a.overlay.neighbours(), [b.id]);
    let (sent, received) = (a.overlay.counters(), b.overlay.counters());
    assert_eq!(sent.messages_sent, 1);
    assert_eq!(sent.bytes_sent, received.bytes_received);

    a.overlay.send(b.id, &Message::Farewell);
    a.overlay.shutdown().await;
    assert_eq!(b.heard().await.2, Message::Farewell);
    b.lost(a.id).await;
    assert!(b.overlay.neighbours().is_empty());
}

#[tokio::test]
async fn two_nodes_exchange_offers_over_tcp_until_one_shuts_down() {
    exchange(TCP).await;
}

#[tokio::test]
async fn two_nodes_exchange_offers_over_quic_until_one_shuts_down() {
    exchange(QUIC).await;
}

#[tokio::test]
async fn a_dropped_overlay_is_lost() {
    let mut a = Node::start(TCP, &[]).await;
    let b = Node::start(TCP, &[a.address()]).await;
    a.joined(b.id).await;
    let id = b.id;
    drop(b);
    a.lost(id).await;
    until("the connection closed", || a.overlay.connected().is_empty()).await;
}

#[tokio::test]
async fn a_bootstrap_node_that_comes_later_is_found() {
    // A port that is free, and was just given up.
    let state = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(state.path()).unwrap();
    let (first, _events) = Overlay::start(&identity, &config(TCP, &[]), &open(&identity))
        .await
        .unwrap();
    let address = first.listen_addresses().remove(0);
    first.shutdown().await;

    let start = Instant::now();
    let mut a = Node::start(TCP, std::slice::from_ref(&address)).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    until("a failed dial", || a.overlay.counters().dials_failed > 0).await;

    let mut listen = address;
    listen.pop();
    let (second, _events) = Overlay::start(
        &identity,
        &config(&listen.to_string(), &[]),
        &open(&identity),
    )
    .await
    .unwrap();
    a.joined(identity.node_id()).await;
    second.shutdown().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let a = Node::start(TCP, &[]).await;
    let mut taken = a.address();
    taken.pop();
    let state = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(state.path()).unwrap();
    let error = Overlay::start(
        &identity,
        &config(&taken.to_string(), &[]),
        &open(&identity),
    )
    .await
    .err()
    .unwrap();
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn ourselves_in_the_bootstrap_list_do_no_harm() {
    let mut a = Node::start(TCP, &[]).await;
    let mut bare = a.address();
    bare.pop();
    // The same address, as its own bootstrap node.
    let state = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(state.path()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let own: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let config = config(&own.to_string(), &[own.clone(), bare]);
    let (overlay, _events) = Overlay::start(&identity, &config, &open(&identity))
        .await
        .unwrap();
    a.joined(identity.node_id()).await;
    assert_eq!(overlay.connected(), [a.id]);
    assert_eq!(overlay.counters().dials_failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_nodes_with_one_bootstrap_address_all_meet() {
    let start = Instant::now();
    let mut nodes = vec![Node::start(TCP, &[]).await];
    let first = [nodes[0].address()];
    for _ in 1..10 {
        nodes.push(Node::start(TCP, &first).await);
    }
    println!("ten nodes started within {:?}", start.elapsed());
    let start = Instant::now();
    let ids: BTreeSet<NodeId> = nodes.iter().map(|n| n.id).collect();
    until("everyone meets everyone", || {
        nodes.iter().all(|n| n.overlay.connected().len() == 9)
    })
    .await;
    println!("ten nodes met within {:?}", start.elapsed());
    for node in &nodes {
        let mut met: BTreeSet<NodeId> = node.overlay.connected().into_iter().collect();
        met.insert(node.id);
        assert_eq!(met, ids);
    }
    until("everyone has eight neighbours", || {
        nodes.iter().all(|n| n.overlay.neighbours().len() >= 8)
    })
    .await;
    println!("ten nodes have neighbours within {:?}", start.elapsed());
}

#[tokio::test]
async fn a_node_with_a_list_speaks_with_nobody_else() {
    let mut b = Node::start(TCP, &[]).await;
    let mut address = b.address();
    address.pop();
    let listed = ListedNeighbour {
        node: b.id,
        address,
        peer: None,
    };
    let mut a = Node::start_with(&OverlayConfig {
        listed: vec![listed],
        ..config(TCP, &[])
    })
    .await;
    a.joined(b.id).await;
    b.joined(a.id).await;

    let mut stranger = Stranger::connect(&Keypair::generate_ed25519(), a.address()).await;
    let open = stranger
        .control
        .open_stream(stranger.peer, offers::PROTOCOL);
    if let Ok(mut stream) = timeout(DEADLINE, open).await.unwrap() {
        let end = timeout(DEADLINE, stream.read(&mut [0])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
    }
    stranger.task.abort();

    // B tells both of each other.
    let mut c = Node::start(TCP, &[b.address(), a.address()]).await;
    c.joined(b.id).await;
    b.joined(c.id).await;
    assert_eq!(a.overlay.connected(), [b.id]);
    assert_eq!(a.overlay.neighbours(), [b.id]);
}

#[tokio::test]
async fn a_swarm_that_panics_comes_back_at_the_same_port() {
    let mut a = Node::start(TCP, &[]).await;
    let mut b = Node::start(TCP, &[a.address()]).await;
    a.joined(b.id).await;
    b.joined(a.id).await;
    let address = a.address();
    a.overlay.handle.shared.crash.store(true, Ordering::Relaxed);
    b.lost(a.id).await;
    b.joined(a.id).await;
    a.lost(b.id).await;
    a.joined(b.id).await;
    assert_eq!(a.address(), address);
    assert_eq!(a.overlay.counters().task_restarts, 1);
}

/// A node of another make, which speaks only the substreams' protocol, and that badly.
struct Stranger {
    control: libp2p_stream::Control,
    peer: libp2p::PeerId,
    task: tokio::task::JoinHandle<()>,
}

impl Stranger {
    async fn connect(keypair: &Keypair, address: Multiaddr) -> Stranger {
        let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair.clone())
            .with_tokio()
            .with_tcp(
                libp2p::tcp::Config::default(),
                libp2p::noise::Config::new,
                libp2p::yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .with_swarm_config(|c| c.with_idle_connection_timeout(DEADLINE))
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(address).unwrap();
        let peer = loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } =
                swarm.select_next_some().await
            {
                break peer_id;
            }
        };
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Stranger {
            control,
            peer,
            task,
        }
    }

    async fn open(&mut self) -> Stream {
        let open = self.control.open_stream(self.peer, offers::PROTOCOL);
        timeout(DEADLINE, open).await.unwrap().unwrap()
    }
}

async fn write(stream: &mut Stream, length: usize, body: &[u8]) {
    let prefix = u32::try_from(length).unwrap().to_be_bytes();
    stream.write_all(&prefix).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn malformed_frames_cost_a_counter_and_nothing_else() {
    let mut a = Node::start(TCP, &[]).await;
    let keypair = Keypair::generate_ed25519();
    let stranger_id = node_id_of(&keypair.public().to_peer_id()).unwrap();
    let mut stranger = Stranger::connect(&keypair, a.address()).await;

    let mut stream = stranger.open().await;
    write(&mut stream, 7, b"garbage").await;
    write(&mut stream, 1, &[wire::VERSION]).await;
    // The substream goes on after what does not decode.
    let body = wire::encode(&offer(1)).unwrap();
    write(&mut stream, body.len(), &body).await;
    assert_eq!(a.heard().await.2, offer(1));
    assert_eq!(a.overlay.counters().malformed, 2);

    // Too long, and then empty: the framing is in doubt, so that substream ends.
    for length in [wire::MAX_MESSAGE + 1, 0] {
        write(&mut stream, length, &[]).await;
        let mut byte = [0];
        let end = timeout(DEADLINE, stream.read(&mut byte)).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
        a.lost(stranger_id).await;
        stream = stranger.open().await;
        a.joined(stranger_id).await;
    }
    assert_eq!(a.overlay.counters().malformed, 4);

    write(&mut stream, body.len(), &body).await;
    let (from, _, message) = a.heard().await;
    assert_eq!((from, message), (stranger_id, offer(1)));
    assert_eq!(a.overlay.counters().task_restarts, 0);

    // What we say reaches it in a frame.
    a.overlay.send(stranger_id, &offer(2));
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await.unwrap();
    let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut body).await.unwrap();
    assert_eq!(wire::decode(&body).unwrap(), offer(2));

    stranger.task.abort();
    a.lost(stranger_id).await;
}

#[tokio::test]
async fn who_floods_is_ignored_then_cut_off_and_the_others_are_heard() {
    let rates = Rates {
        count: 20,
        bytes: 0,
    };
    let mut a = Node::start_with(&OverlayConfig {
        rates,
        ..config(TCP, &[])
    })
    .await;
    let mut b = Node::start(TCP, &[a.address()]).await;
    a.joined(b.id).await;
    b.joined(a.id).await;
    let keypair = Keypair::generate_ed25519();
    let id = node_id_of(&keypair.public().to_peer_id()).unwrap();
    let mut stranger = Stranger::connect(&keypair, a.address()).await;
    let mut stream = stranger.open().await;
    a.joined(id).await;
    let body = wire::encode(&offer(1)).unwrap();
    let frame = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
    let start = Instant::now();
    while stream.write_all(&frame).await.is_ok() && stream.flush().await.is_ok() {
        assert!(start.elapsed() < DEADLINE, "it is never cut off");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    a.lost(id).await;
    let counted = a.overlay.counters();
    assert_eq!(counted.cut, 1);
    assert!(counted.ignored > 100, "{counted:?}");
    // What was in the bucket, and what came in while it flooded.
    let taken = counted.messages_received;
    assert!(taken < 200 + 20 * start.elapsed().as_secs() + 50, "{taken}");
    until("it is not connected any more", || {
        a.overlay.connected() == [b.id]
    })
    .await;
    // It comes back, and is not let in.
    let again = Stranger::connect(&keypair, a.address()).await;
    let (mut control, peer) = (again.control.clone(), again.peer);
    let opened = timeout(DEADLINE, control.open_stream(peer, offers::PROTOCOL)).await;
    if let Ok(Ok(mut stream)) = opened {
        let end = timeout(DEADLINE, stream.read(&mut [0])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
    }
    b.overlay.broadcast(&offer(7));
    let heard = a.wait(|event| match event {
        OverlayEvent::Heard { from, message, .. } if from == b.id => Some(message),
        _ => None,
    });
    assert_eq!(heard.await, offer(7));
    assert_eq!(a.overlay.neighbours(), [b.id]);
}

#[tokio::test]
async fn listen_addresses_name_the_port_and_the_node() {
    let a = Node::start(TCP, &[]).await;
    let address = a.address();
    let parts: Vec<_> = address.iter().collect();
    assert!(matches!(parts[1], Protocol::Tcp(port) if port != 0));
    assert_eq!(parts[2], Protocol::P2p(peer_id_of(a.id)));
}
