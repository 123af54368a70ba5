//! Reading addresses, and refusing those that cannot be used with a sentence that names the key.

use std::net::{IpAddr, SocketAddr};

use dfaas_protocol::NodeId;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Reads `IP:PORT`.
pub(super) fn socket(key: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{key}: {text:?} is no address; give IP:PORT, such as 127.0.0.1:8080 or [::]:8080")
    })
}

/// Reads the address that neighbours are told.
pub(super) fn advertised(key: &str, text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text.parse().map_err(|_| {
        format!("{key}: {text:?} is no IP address; give one without a port, such as 192.0.2.1")
    })?;
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(format!(
            "{key}: nobody can connect to {ip}; give the address at which neighbours reach this node"
        ));
    }
    Ok(ip)
}

/// Reads a multiaddress to listen at: TCP or QUIC at an IP address.
pub(super) fn listen(key: &str, text: &str) -> Result<Multiaddr, String> {
    let refusal = || {
        format!(
            "{key}: {text:?} is no address to listen at; give /ip4/IP/tcp/PORT or \
             /ip4/IP/udp/PORT/quic-v1, or ip6"
        )
    };
    let address: Multiaddr = text.parse().map_err(|_| refusal())?;
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), transport @ ..] if is_transport(transport) => {
            Ok(address)
        }
        _ => Err(refusal()),
    }
}

/// Reads the multiaddress of a node to begin with: TCP or QUIC at an IP address or a DNS name, and its id if known.
pub(super) fn bootstrap(key: &str, text: &str) -> Result<Multiaddr, String> {
    let refusal = || {
        format!(
            "{key}: {text:?} is no address of a node; copy one from its `dfaas status`, such as \
             /ip4/192.0.2.1/tcp/31600/p2p/12D3KooW…"
        )
    };
    let address: Multiaddr = text.parse().map_err(|_| refusal())?;
    let mut parts: Vec<Protocol<'_>> = address.iter().collect();
    if let Some(Protocol::P2p(peer)) = parts.last() {
        NodeId::from_peer_id_bytes(&peer.to_bytes())
            .map_err(|e| format!("{key}: {text:?}: {e}"))?;
        parts.pop();
    }
    match parts.as_slice() {
        [
            Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_),
            transport @ ..,
        ] if is_transport(transport) && port(transport) != Some(0) => Ok(address),
        _ => Err(refusal()),
    }
}

/// Reads the multiaddress of a neighbour that is listed: as of a node to begin with, and its id must be there.
pub(super) fn neighbour(key: &str, text: &str) -> Result<(NodeId, Multiaddr), String> {
    let mut address = bootstrap(key, text)?;
    let node = match address.pop() {
        Some(Protocol::P2p(peer)) => NodeId::from_peer_id_bytes(&peer.to_bytes()).ok(),
        _ => None,
    };
    let node = node.ok_or_else(|| {
        format!(
            "{key}: {text:?} does not say who is there; end it with /p2p/NODE, as the node's `dfaas status` \
             shows it"
        )
    })?;
    Ok((node, address))
}

fn is_transport(parts: &[Protocol<'_>]) -> bool {
    matches!(
        parts,
        [Protocol::Tcp(_)] | [Protocol::Udp(_), Protocol::QuicV1]
    )
}

fn port(transport: &[Protocol<'_>]) -> Option<u16> {
    match transport.first() {
        Some(Protocol::Tcp(port) | Protocol::Udp(port)) => Some(*port),
        _ => None,
    }
}

/// The TCP address of a multiaddress, if it is one.
pub(super) fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Whether two listeners would take the same TCP port from each other.
pub(super) fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_ip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_to_begin_with_has_a_transport_and_an_ed25519_id() {
        let id = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv";
        for text in [
            format!("/ip4/192.0.2.1/tcp/31600/p2p/{id}"),
            format!("/dns4/edge.example/udp/31600/quic-v1/p2p/{id}"),
            "/ip6/2001:db8::1/tcp/31600".to_owned(),
        ] {
            assert_eq!(
                bootstrap("overlay.bootstrap", &text).unwrap().to_string(),
                text
            );
        }
        let rsa = "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ";
        let error = bootstrap(
            "overlay.bootstrap",
            &format!("/ip4/192.0.2.1/tcp/1/p2p/{rsa}"),
        );
        assert!(error.unwrap_err().contains("Ed25519"));
        for text in [
            "",
            "192.0.2.1:31600",
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.1/tcp/0",
            "/ip4/192.0.2.1/udp/1",
        ] {
            let error = bootstrap("overlay.bootstrap", text).unwrap_err();
            assert!(error.contains("dfaas status"), "{error}");
        }
    }

    #[test]
    fn a_listed_neighbour_says_who_it_is() {
        let id = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv";
        let text = format!("/ip4/192.0.2.1/tcp/31600/p2p/{id}");
        let (node, address) = neighbour("overlay.neighbours", &text).unwrap();
        assert_eq!(node.to_string(), id);
        assert_eq!(address.to_string(), "/ip4/192.0.2.1/tcp/31600");
        let error = neighbour("overlay.neighbours", "/ip4/192.0.2.1/tcp/31600");
        assert!(error.unwrap_err().contains("/p2p/NODE"));
    }

    #[test]
    fn an_unspecified_address_takes_the_port_from_all_others() {
        let at = |text: &str| socket("", text).unwrap();
        assert!(clash(at("0.0.0.0:80"), at("127.0.0.1:80")));
        assert!(clash(at("127.0.0.1:80"), at("127.0.0.1:80")));
        assert!(!clash(at("127.0.0.2:80"), at("127.0.0.1:80")));
        assert!(!clash(at("0.0.0.0:80"), at("0.0.0.0:81")));
        assert!(!clash(at("0.0.0.0:0"), at("0.0.0.0:0")));
    }
}
