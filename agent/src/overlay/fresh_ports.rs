//! A transport whose dials each come from a port of their own.
//!
//! libp2p's TCP dials from the port that it listens at, for the sake of hole punching, and protocols such as Kademlia
//! dial without asking us. That bind fails for a minute after somebody else's connections used the port (they are in
//! `TIME_WAIT`), and two nodes that dial each other at once from their listening ports meet in one half-open connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::{Multiaddr, Transport};

pub(super) struct FreshPorts<T>(pub(super) T);

impl<T: Transport + Unpin> Transport for FreshPorts<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<T::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<T::Dial, TransportError<T::Error>> {
        let port_use = PortUse::New;
        self.0.dial(
            address,
            DialOpts {
                port_use,
                ..options
            },
        )
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.0).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::TcpListener;

    use libp2p::core::Endpoint;
    use libp2p::multiaddr::Protocol;
    use libp2p::tcp;

    use super::*;

    #[tokio::test]
    async fn a_dial_does_not_come_from_the_listening_port() {
        let mut transport = FreshPorts(tcp::tokio::Transport::new(tcp::Config::default()));
        let any: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        transport.listen_on(ListenerId::next(), any).unwrap();
        let event = poll_fn(|context| Pin::new(&mut transport).poll(context)).await;
        let TransportEvent::NewAddress { listen_addr, .. } = event else {
            panic!("{event:?}");
        };
        let Some(Protocol::Tcp(listening)) = listen_addr.iter().nth(1) else {
            panic!("{listen_addr}");
        };

        let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = somebody.local_addr().unwrap().port();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        let dial = transport.dial(
            format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap(),
            options,
        );
        let _connection = dial.unwrap().await.unwrap();
        let (_, from) = somebody.accept().unwrap();
        assert_ne!(from.port(), listening);
    }
}
