//! Those who are no node, or no neighbour.

use std::sync::Arc;

use dfaas_tests::client::RawClient;
use dfaas_tests::{Agent, Site};
use libp2p::identity::Keypair;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

async fn agent() -> Agent {
    Site::new().sleeps("work", 1, 4).start().await
}

const CALL: &str = "GET /function/work HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_client_gets_nothing_from_the_peer_channel() {
    let _machine = crate::beside_others().await;
    let agent = agent().await;
    let mut client = RawClient::connect(agent.peer()).await;
    client.send(CALL).await;
    let answer = client.read_to_end().await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    assert_eq!(agent.executions("work").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_neighbour_is_refused() {
    let _machine = crate::beside_others().await;
    let agent = agent().await;
    let stranger = Keypair::generate_ed25519();
    let mut config = libp2p_tls::make_client_config(&stranger, None).unwrap();
    config.alpn_protocols = vec![b"dfaas-peer/1".to_vec()];
    let stream = TcpStream::connect(agent.peer()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(CALL.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("dfaas-refused: not-a-neighbour"),
        "{answer}"
    );
    assert_eq!(agent.executions("work").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_end_must_be_the_node_that_is_meant() {
    let _machine = crate::beside_others().await;
    let agent = agent().await;
    let (me, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let meant = other.public().to_peer_id();
    let mut config = libp2p_tls::make_client_config(&me, Some(meant)).unwrap();
    config.alpn_protocols = vec![b"dfaas-peer/1".to_vec()];
    let stream = TcpStream::connect(agent.peer()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let error = connector
        .connect(name, stream)
        .await
        .expect_err("it is another node");
    assert!(
        error.to_string().contains("invalid peer certificate"),
        "{error}"
    );
}
