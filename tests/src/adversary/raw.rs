use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Intruder, Mutation, PATIENCE};

/// What came back over many connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// Connections whose bytes were taken and that were then ended by the other end.
    pub ended: usize,
    /// Answers with 200.
    pub served: usize,
    /// Bytes in all.
    pub bytes: usize,
}

/// The first bytes of a stranger's handshake.
///
/// # Panics
/// If TLS does not begin one.
pub fn client_hello(speaks: &[u8]) -> Vec<u8> {
    let config = Arc::new(Intruder::stranger().client(speaks));
    let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
    let mut connection = ClientConnection::new(config, name).expect("a handshake begins");
    let mut hello = Vec::new();
    connection
        .write_tls(&mut hello)
        .expect("a vector takes all");
    hello
}

/// Sends so many mutated beginnings to a port, each on a connection of its own, and reads what comes back until the other end has
/// ended each.
///
/// # Panics
/// If a connection is not ended.
pub async fn send_raw(address: &str, mutation: &mut Mutation, count: usize) -> Said {
    let mut said = Said::default();
    for _ in 0..count {
        let bytes = mutation.one();
        let ended = timeout(PATIENCE, exchange(address, &bytes)).await;
        let back = ended.expect("a connection that its client has ended is ended");
        said.ended += 1;
        said.bytes += back.len();
        said.served += count_of(&back, b"HTTP/1.1 200");
    }
    said
}

/// What comes back to these bytes, to the end of the connection.
async fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    let mut back = Vec::new();
    // The other end may go first.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut back).await;
    back
}

/// How often one is found in the other.
pub(super) fn count_of(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).filter(|w| *w == what).count()
}
