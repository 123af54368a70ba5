//! What one client may take: connections at one time, requests a second. Off by default, as many people may come from one
//! address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use dfaas_protocol::CallRate;
use dfaas_protocol::estimate::TokenBucket;

use crate::clock::Clock;
use crate::datapath::party_of;

/// The most clients that are told apart. More at one time are an attack.
const MAX_CLIENTS: usize = 65_536;

/// The limits of every client, and those who are here.
#[derive(Debug)]
pub(super) struct ClientLimits {
    connections: Option<u32>,
    rate: Option<u32>,
    clock: Clock,
    clients: Mutex<HashMap<IpAddr, Arc<Client>>>,
}

#[derive(Debug)]
struct Client {
    connections: AtomicU32,
    bucket: Option<TokenBucket>,
}

/// A connection that a client may have.
#[derive(Debug)]
pub(super) struct Admitted {
    /// None where nothing is limited.
    client: Option<Arc<Client>>,
    clock: Clock,
}

impl ClientLimits {
    /// At most so many connections and requests a second for each client; zero is any number.
    pub(super) fn new(connections: u32, rate: u32) -> ClientLimits {
        ClientLimits {
            connections: (connections > 0).then_some(connections),
            rate: (rate > 0).then_some(rate),
            clock: Clock::start(),
            clients: Mutex::default(),
        }
    }

    /// Lets a connection in, unless its client has too many.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Admitted> {
        let client = if self.connections.is_some() || self.rate.is_some() {
            let client = self.client(address)?;
            let before = client.connections.fetch_add(1, Relaxed);
            // Dropped, it counts itself out again.
            let admitted = Admitted {
                client: Some(client),
                clock: self.clock,
            };
            let within = self.connections.is_none_or(|limit| before < limit);
            return within.then_some(admitted);
        } else {
            None
        };
        let clock = self.clock;
        Some(Admitted { client, clock })
    }

    fn client(&self, address: IpAddr) -> Option<Arc<Client>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = party_of(address);
        if let Some(client) = clients.get(&key) {
            return Some(Arc::clone(client));
        }
        if clients.len() >= MAX_CLIENTS {
            let now = self.clock.now();
            let full = self.rate.map_or(0, i64::from);
            clients.retain(|_, client| {
                let rested = client.bucket.as_ref().is_none_or(|b| b.tokens(now) >= full);
                Arc::strong_count(client) > 1 || !rested
            });
            if clients.len() >= MAX_CLIENTS {
                return None;
            }
        }
        let client = Arc::new(Client {
            connections: AtomicU32::new(0),
            // A client may take a second's requests at once.
            bucket: self.rate.and_then(|rate| {
                CallRate::new(f64::from(rate)).map(|per_second| TokenBucket::new(per_second, rate))
            }),
        });
        clients.insert(key, Arc::clone(&client));
        Some(client)
    }
}

impl Admitted {
    /// Whether the client may have one more request now.
    pub(super) fn request(&self) -> bool {
        let bucket = self.client.as_ref().and_then(|c| c.bucket.as_ref());
        bucket.is_none_or(|bucket| bucket.try_take(self.clock.now()))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.connections.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_limited_by_default() {
        let limits = ClientLimits::new(0, 0);
        let all: Vec<_> = (0..100).map(|_| limits.admit(ip("192.0.2.1"))).collect();
        assert!(all.iter().flatten().all(|a| (0..100).all(|_| a.request())));
        assert_eq!(all.iter().flatten().count(), 100);
        assert!(limits.clients.lock().unwrap().is_empty());
    }

    #[test]
    fn connections_count_while_they_are_open() {
        let limits = ClientLimits::new(2, 0);
        let first = limits.admit(ip("192.0.2.1")).unwrap();
        let second = limits.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(limits.admit(ip("192.0.2.1")).is_none());
        assert!(limits.admit(ip("192.0.2.2")).is_some());
        drop(first);
        let third = limits.admit(ip("192.0.2.1")).unwrap();
        assert!(limits.admit(ip("192.0.2.1")).is_none());
        drop((second, third));
        assert!(limits.admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_new_connection_brings_no_new_requests() {
        let limits = ClientLimits::new(0, 1);
        let one = limits.admit(ip("2001:db8::1")).unwrap();
        assert!(one.request() && !one.request());
        drop(one);
        let same_network = limits.admit(ip("2001:db8::2")).unwrap();
        assert!(!same_network.request());
        assert!(limits.admit(ip("2001:db8:0:1::1")).unwrap().request());
    }

    #[test]
    fn those_who_are_gone_are_forgotten() {
        let limits = ClientLimits::new(1, 0);
        let here = limits.admit(ip("192.0.2.1")).unwrap();
        let address = |n: u32| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n));
        for n in 0..200_000 {
            assert!(limits.admit(address(n)).is_some());
        }
        assert!(limits.clients.lock().unwrap().len() <= MAX_CLIENTS);
        assert!(limits.admit(ip("192.0.2.1")).is_none());
        drop(here);
    }
}
