//! Becoming a member, and staying one: a node asks an agent that issues certificates, over mutual TLS on the peers' port.
//!
//! It is all that a stranger may speak there, under a name of its own in the handshake (ALPN): one small frame each way, within
//! five seconds, few at a time.

mod ask;
mod issue;
mod renew;

use std::io;
use std::time::Duration;

use dfaas_protocol::membership::MAX_FRAME;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use ask::{JoinError, join};
pub use issue::Issuing;
pub use renew::keep_certificate;

/// How long all of it may take, the handshake included.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Sends a frame: its length in two bytes, big endian, and the bytes.
async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Receives a frame of [`MAX_FRAME`] bytes at most.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_FRAME {
        return Err(io::Error::other("a frame is longer than any may be"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
