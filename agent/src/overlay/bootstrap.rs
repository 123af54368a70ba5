//! The nodes to begin with: dialled until connected, with growing pauses, and again whenever they are gone.

use std::io;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use crate::backoff::Backoff;
use crate::config::ListedNeighbour;
use crate::identity::peer_id_of;

/// Pauses between attempts at one address.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest where neighbours are listed, as there is nobody in their stead.
const LONGEST_WITHOUT_OTHERS: Duration = Duration::from_secs(1);
/// The longest while no node is connected at all, with as much jitter as any pause has.
const LONGEST_ALONE: Duration = Duration::from_secs(2);
/// A dial that takes so long is not given up, but another one is made beside it: what the first one sent was lost, if the
/// network was not there, and it would take long to send it again.
const STUCK: Duration = Duration::from_secs(2);
/// A node that does not let us in says so after its handshake, which is over for us by then: only who is still connected after
/// this time counts as reached.
const SETTLED: Duration = Duration::from_secs(1);

/// The addresses of the list and how far each is.
pub(super) struct Bootstrap {
    entries: Vec<Entry>,
}

struct Entry {
    /// Without `/p2p`.
    address: Multiaddr,
    /// The node that the list names.
    named: Option<PeerId>,
    /// The node that answered there last.
    met: Option<PeerId>,
    /// When it was connected to, until it is seen whether that lasts.
    connected: Option<Instant>,
    state: State,
    backoff: Backoff,
    attempts: usize,
    warned: bool,
}

enum State {
    Waiting {
        until: Instant,
    },
    Resolving,
    Dialling {
        connection: ConnectionId,
        since: Instant,
    },
    Ourselves,
}

/// What a dial came to.
pub(super) enum Outcome {
    Connected(PeerId),
    Ourselves,
    Failed(String),
}

impl Bootstrap {
    /// `others`: whether other nodes are found beside those of the list.
    pub(super) fn new(list: &[Multiaddr], others: bool, us: PeerId, now: Instant) -> Bootstrap {
        let longest = if others {
            LONGEST_PAUSE
        } else {
            LONGEST_WITHOUT_OTHERS
        };
        let entries = list.iter().map(|listed| {
            let (address, named) = split_peer(listed);
            Entry {
                address,
                named,
                met: None,
                connected: None,
                state: if named == Some(us) {
                    State::Ourselves
                } else {
                    State::Waiting { until: now }
                },
                backoff: Backoff::new(FIRST_PAUSE, longest),
                attempts: 0,
                warned: false,
            }
        });
        Bootstrap {
            entries: entries.collect(),
        }
    }

    /// The addresses to resolve and dial now, each with its place in the list. `alone`: no node is connected.
    pub(super) fn due(
        &mut self,
        now: Instant,
        alone: bool,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(usize, Multiaddr)> {
        let mut due = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let there = entry.named.or(entry.met).is_some_and(|p| connected(&p));
            match entry.connected {
                Some(since) if there && now >= since + SETTLED => entry.settled(),
                Some(_) if !there => {
                    entry.connected = None;
                    entry.say_failed("it ended the connection at once; its log says why");
                }
                _ => {}
            }
            match &mut entry.state {
                State::Waiting { until } if alone && *until > now + LONGEST_ALONE.mul_f64(1.25) => {
                    *until = now + Backoff::new(LONGEST_ALONE, LONGEST_ALONE).pause();
                }
                State::Dialling { since, .. } if !there && now > *since + STUCK => {
                    entry.state = State::Waiting { until: now };
                }
                _ => {}
            }
            match entry.state {
                State::Waiting { .. } if there && entry.connected.is_none() => {
                    entry.backoff.reset();
                }
                State::Waiting { .. } if there => {}
                State::Waiting { until } if until <= now => {
                    entry.state = State::Resolving;
                    entry.attempts += 1;
                    due.push((index, entry.address.clone()));
                }
                _ => {}
            }
        }
        due
    }

    /// The node that an entry names, and which of its resolved addresses is to be dialled: each in its turn.
    pub(super) fn pick(
        &self,
        index: usize,
        mut resolved: Vec<Multiaddr>,
    ) -> Option<(Option<PeerId>, Multiaddr)> {
        let entry = self.entries.get(index)?;
        if resolved.is_empty() {
            return None;
        }
        let turn = entry.attempts % resolved.len();
        Some((entry.named, resolved.swap_remove(turn)))
    }

    pub(super) fn dialling(&mut self, index: usize, connection: ConnectionId, since: Instant) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Dialling { connection, since };
        }
    }

    /// The attempt at an entry ended without a dial.
    pub(super) fn not_dialled(&mut self, index: usize, now: Instant, reason: &str) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.failed(now, reason);
        }
    }

    /// An entry was not dialled, because its node is connected by now.
    pub(super) fn not_needed(&mut self, index: usize, now: Instant) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.wait(now);
        }
    }

    /// A dial ended; it need not be one of ours.
    pub(super) fn dialled(&mut self, connection: ConnectionId, now: Instant, outcome: Outcome) {
        let ours = self.entries.iter_mut().find(
            |e| matches!(e.state, State::Dialling { connection: id, .. } if id == connection),
        );
        let Some(entry) = ours else { return };
        match outcome {
            Outcome::Connected(peer) => {
                entry.met = Some(peer);
                entry.connected = Some(now);
                entry.wait(now);
            }
            // A name may lead to others tomorrow, and to others beside us today.
            Outcome::Ourselves if !is_name(&entry.address) => {
                tracing::debug!(address = %entry.address, "this bootstrap node is ourselves");
                entry.state = State::Ourselves;
            }
            Outcome::Ourselves => entry.wait(now),
            Outcome::Failed(reason) => entry.failed(now, &reason),
        }
    }
}

impl Entry {
    fn wait(&mut self, now: Instant) {
        let until = now + self.backoff.pause();
        self.state = State::Waiting { until };
    }

    /// The connection lasts.
    fn settled(&mut self) {
        self.connected = None;
        self.warned = false;
        if let Some(peer) = self.met {
            tracing::info!(address = %self.address, %peer, "connected to a bootstrap node");
        }
    }

    fn failed(&mut self, now: Instant, reason: &str) {
        self.wait(now);
        self.say_failed(reason);
    }

    fn say_failed(&mut self, reason: &str) {
        if std::mem::replace(&mut self.warned, true) {
            tracing::debug!(address = %self.address, reason, "bootstrap node not reached");
        } else {
            tracing::warn!(
                address = %self.address, reason,
                "bootstrap node not reached: it is tried again; if it should be up, check the address and the firewall"
            );
        }
    }
}

/// A neighbour that is listed, as the address of a node to begin with.
pub(super) fn listed(neighbour: &ListedNeighbour) -> Multiaddr {
    let address = neighbour.address.clone();
    address.with(Protocol::P2p(peer_id_of(neighbour.node)))
}

/// The addresses behind a name; an address without a name is itself.
pub(super) async fn resolve(address: Multiaddr) -> io::Result<Vec<Multiaddr>> {
    let mut parts = address.iter();
    let (name, v4, v6) = match parts.next() {
        Some(Protocol::Dns(name)) => (name, true, true),
        Some(Protocol::Dns4(name)) => (name, true, false),
        Some(Protocol::Dns6(name)) => (name, false, true),
        _ => return Ok(vec![address]),
    };
    let rest: Vec<Protocol<'_>> = parts.collect();
    let found = tokio::net::lookup_host((name.as_ref(), 0)).await?;
    let addresses: Vec<Multiaddr> = found
        .map(|socket| socket.ip())
        .filter(|ip| if ip.is_ipv4() { v4 } else { v6 })
        .map(|ip| {
            std::iter::once(Protocol::from(ip))
                .chain(rest.iter().cloned())
                .collect()
        })
        .collect();
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address of that kind"));
    }
    Ok(addresses)
}

fn is_name(address: &Multiaddr) -> bool {
    matches!(
        address.iter().next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    )
}

fn split_peer(listed: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut address = listed.clone();
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, Some(peer)),
        _ => (listed.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "/ip4/127.0.0.1/tcp/1";

    #[test]
    fn an_entry_is_dialled_at_once_and_again_after_a_pause() {
        let now = Instant::now();
        let mut bootstrap =
            Bootstrap::new(&[ADDRESS.parse().unwrap()], true, PeerId::random(), now);
        assert_eq!(bootstrap.due(now, false, |_| false).len(), 1);
        assert!(bootstrap.due(now, false, |_| false).is_empty());
        bootstrap.not_dialled(0, now, "a test");
        assert!(bootstrap.due(now, false, |_| false).is_empty());
        let later = now + Duration::from_secs(1);
        assert_eq!(bootstrap.due(later, false, |_| false).len(), 1);
    }

    #[test]
    fn an_entry_is_left_alone_while_connected() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut bootstrap =
            Bootstrap::new(&[ADDRESS.parse().unwrap()], true, PeerId::random(), now);
        bootstrap.due(now, false, |_| false);
        let connection = ConnectionId::new_unchecked(1);
        bootstrap.dialling(0, connection, now);
        bootstrap.dialled(connection, now, Outcome::Connected(peer));
        let later = now + Duration::from_secs(1);
        assert!(bootstrap.due(later, false, |p| *p == peer).is_empty());
        assert_eq!(bootstrap.due(later, false, |_| false).len(), 1);
    }

    #[test]
    fn who_ends_the_connection_at_once_is_not_reached() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut bootstrap =
            Bootstrap::new(&[ADDRESS.parse().unwrap()], true, PeerId::random(), now);
        bootstrap.due(now, false, |_| false);
        let connection = ConnectionId::new_unchecked(1);
        bootstrap.dialling(0, connection, now);
        bootstrap.dialled(connection, now, Outcome::Connected(peer));
        bootstrap.due(now, false, |_| false);
        assert!(bootstrap.entries[0].warned);
        // Once it stays, all that was said against it is over.
        bootstrap.dialled(connection, now, Outcome::Connected(peer));
        let entry = &mut bootstrap.entries[0];
        entry.connected = Some(now);
        bootstrap.due(now + SETTLED, false, |p| *p == peer);
        assert!(!bootstrap.entries[0].warned);
    }

    #[test]
    fn another_dial_is_made_beside_one_that_is_stuck() {
        let now = Instant::now();
        let named = format!("{ADDRESS}/p2p/{}", PeerId::random());
        let mut bootstrap = Bootstrap::new(&[named.parse().unwrap()], true, PeerId::random(), now);
        bootstrap.due(now, false, |_| false);
        bootstrap.dialling(0, ConnectionId::new_unchecked(1), now);
        let soon = now + STUCK;
        assert!(bootstrap.due(soon, false, |_| false).is_empty());
        let later = soon + Duration::from_millis(1);
        assert!(bootstrap.due(later, false, |_| true).is_empty());
        assert_eq!(bootstrap.due(later, false, |_| false).len(), 1);
    }

    #[test]
    fn who_is_alone_does_not_wait_long() {
        let now = Instant::now();
        let mut bootstrap =
            Bootstrap::new(&[ADDRESS.parse().unwrap()], true, PeerId::random(), now);
        for _ in 0..12 {
            let far = now + Duration::from_secs(3600);
            bootstrap.due(far, false, |_| false);
            bootstrap.not_dialled(0, far, "a test");
        }
        let then = now + Duration::from_secs(3600);
        assert!(bootstrap.due(then, true, |_| false).is_empty());
        let soon = then + LONGEST_ALONE.mul_f64(1.25);
        assert_eq!(bootstrap.due(soon, true, |_| false).len(), 1);
    }

    #[test]
    fn ourselves_are_never_dialled_again() {
        let now = Instant::now();
        let us = PeerId::random();
        let named = format!("{ADDRESS}/p2p/{us}").parse().unwrap();
        let mut bootstrap = Bootstrap::new(&[named, ADDRESS.parse().unwrap()], true, us, now);
        assert_eq!(
            bootstrap.due(now, false, |_| false),
            [(1, ADDRESS.parse().unwrap())]
        );
        let connection = ConnectionId::new_unchecked(1);
        bootstrap.dialling(1, connection, now);
        bootstrap.dialled(connection, now, Outcome::Ourselves);
        let later = now + Duration::from_secs(60);
        assert!(bootstrap.due(later, false, |_| false).is_empty());
    }

    #[tokio::test]
    async fn names_are_resolved_and_addresses_are_left_as_they_are() {
        let name: Multiaddr = "/dns4/localhost/udp/5/quic-v1".parse().unwrap();
        let resolved = resolve(name).await.unwrap();
        assert_eq!(
            resolved,
            ["/ip4/127.0.0.1/udp/5/quic-v1".parse::<Multiaddr>().unwrap()]
        );
        let address: Multiaddr = ADDRESS.parse().unwrap();
        assert_eq!(resolve(address.clone()).await.unwrap(), [address]);
    }
}
