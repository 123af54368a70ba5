//! The listeners: each bound before the overlay is up, and bound to the same port after a restart of its task.

use std::io;
use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use socket2::{Domain, Socket, Type};

/// The listeners: what each was asked for, and the same with the port that it was given.
#[derive(Default)]
pub(super) struct Listeners(Vec<Listener>);

struct Listener {
    id: ListenerId,
    asked: Multiaddr,
    bound: Option<Multiaddr>,
}

impl Listeners {
    pub(super) fn asked(&mut self, id: ListenerId, asked: Multiaddr) {
        self.0.push(Listener {
            id,
            asked,
            bound: None,
        });
    }

    /// A listener reported an address; one at a wildcard address reports several.
    pub(super) fn bound(&mut self, id: ListenerId, actual: &Multiaddr) {
        if let Some(listener) = self.0.iter_mut().find(|l| l.id == id)
            && let Some(port) = port_of(actual)
        {
            listener.bound = Some(with_port(&listener.asked, port));
        }
    }

    /// What a listener was asked for.
    pub(super) fn address(&self, id: ListenerId) -> Option<&Multiaddr> {
        Some(&self.0.iter().find(|l| l.id == id)?.asked)
    }

    /// The first that has not reported an address.
    pub(super) fn missing(&self) -> Option<&Multiaddr> {
        Some(&self.0.iter().find(|l| l.bound.is_none())?.asked)
    }

    /// What was asked for, with the ports that were given.
    pub(super) fn with_ports(&self) -> Vec<Multiaddr> {
        self.0.iter().filter_map(|l| l.bound.clone()).collect()
    }
}

/// Fails if another socket listens at a TCP address. libp2p would not notice, because it shares ports.
pub(super) fn refuse_taken_port(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let (Some(ip), Some(Protocol::Tcp(port))) =
        (parts.next().and_then(|p| ip_of(&p)), parts.next())
    else {
        return Ok(());
    };
    if port == 0 {
        return Ok(());
    }
    let at = SocketAddr::from((ip, port));
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())
}

/// The IP address with which a multiaddress begins.
pub(super) fn remote_ip(address: &Multiaddr) -> Option<IpAddr> {
    ip_of(&address.iter().next()?)
}

fn ip_of(part: &Protocol<'_>) -> Option<IpAddr> {
    match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(*ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    }
}

fn port_of(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

fn with_port(address: &Multiaddr, port: u16) -> Multiaddr {
    address
        .iter()
        .map(|part| match part {
            Protocol::Tcp(_) => Protocol::Tcp(port),
            Protocol::Udp(_) => Protocol::Udp(port),
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        // As libp2p's listeners do.
        socket.set_reuse_port(true).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(1).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        assert!(refuse_taken_port(&address).is_err());
        drop(socket);
        assert!(refuse_taken_port(&address).is_ok());
    }

    #[test]
    fn the_port_that_was_given_is_asked_for_again() {
        let mut listeners = Listeners::default();
        let asked: Multiaddr = "/ip4/0.0.0.0/udp/0/quic-v1".parse().unwrap();
        let id = ListenerId::next();
        listeners.asked(id, asked.clone());
        assert_eq!(listeners.missing(), Some(&asked));
        listeners.bound(id, &"/ip4/127.0.0.1/udp/999/quic-v1".parse().unwrap());
        listeners.bound(id, &"/ip4/10.0.0.1/udp/999/quic-v1".parse().unwrap());
        assert_eq!(listeners.missing(), None);
        let again: Multiaddr = "/ip4/0.0.0.0/udp/999/quic-v1".parse().unwrap();
        assert_eq!(listeners.with_ports(), [again]);
    }
}
