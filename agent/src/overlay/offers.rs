//! Offers on a substream: frames of a length (u32, big endian) and that many bytes, in both directions.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use dfaas_protocol::NodeId;
use dfaas_protocol::allowance::Reaction;
use dfaas_protocol::wire::{self, MAX_MESSAGE, Message, WireError};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::events::OverlayEvent;
use super::links::Side;

/// The protocol of offer substreams.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/dfaas/offers/1");
/// Bytes of the length before each message.
const PREFIX: usize = 4;
/// A frame that takes longer to write is written to nobody.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other side may take to close after us.
const LINGER: Duration = Duration::from_secs(1);

/// Why a substream ended.
#[derive(Debug, Error)]
enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a frame of {0} bytes")]
    Length(usize),
    #[error("a frame took longer than {WRITE_TIMEOUT:?} to write")]
    Slow,
    #[error("it sends too much")]
    Cut,
}

/// The frame of a message.
pub(super) fn frame(message: &Message) -> Result<Bytes, WireError> {
    let body = wire::encode(message)?;
    let mut frame = BytesMut::with_capacity(PREFIX + body.len());
    // At most MAX_MESSAGE bytes, so it fits.
    frame.put_u32(body.len() as u32);
    frame.put_slice(&body);
    Ok(frame.freeze())
}

/// Carries messages over a live substream until it ends, or until `stop`, after which what is queued is still written.
pub(super) async fn carry<S>(
    shared: Arc<Shared>,
    node: NodeId,
    side: Side,
    stop: CancellationToken,
    stream: S,
) where
    S: AsyncRead + AsyncWrite + Send,
{
    let Some(seen_at) = shared.peers.address(&node) else {
        return; // The connection went while the substream came.
    };
    if shared.senders.is_cut(&node) {
        return;
    }
    let (_link, mut queue) = shared.links.enter(node, side, stop.clone());
    let (reader, writer) = stream.split();
    let mut read = pin!(read_frames(&shared, node, seen_at, reader));
    let mut write = pin!(write_frames(&shared, &mut queue, stop, writer));
    let end = tokio::select! {
        end = &mut read => end,
        end = &mut write => match end {
            // Dropped at once, the substream would be reset, and the last frames might be lost.
            Ok(()) => timeout(LINGER, read).await.unwrap_or(Ok(())),
            Err(error) => Err(error),
        },
    };
    match end {
        Ok(()) => tracing::debug!(%node, ?side, "offer substream ended"),
        Err(error) => tracing::debug!(%node, ?side, %error, "offer substream failed"),
    }
}

async fn read_frames(
    shared: &Shared,
    node: NodeId,
    mut seen_at: IpAddr,
    mut reader: impl AsyncRead + Unpin,
) -> Result<(), LinkError> {
    loop {
        let mut prefix = [0; PREFIX];
        if reader.read(&mut prefix[..1]).await? == 0 {
            return Ok(());
        }
        reader.read_exact(&mut prefix[1..]).await?;
        let length = u32::from_be_bytes(prefix) as usize;
        if length == 0 || length > MAX_MESSAGE {
            shared.counters.malformed.add(1);
            return Err(LinkError::Length(length));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        shared.counters.bytes_received.add(PREFIX + length);
        match shared.senders.sent(node, PREFIX + length) {
            Reaction::Take => {}
            Reaction::Ignore => {
                shared.counters.ignored.add(1);
                continue;
            }
            Reaction::Cut(pause) => {
                shared.counters.cut.add(1);
                tracing::warn!(%node, ?pause, "a node sends more than may be and is cut off");
                return Err(LinkError::Cut);
            }
        }
        match wire::decode(&body) {
            Ok(message) => {
                shared.counters.messages_received.add(1);
                seen_at = shared.peers.address(&node).unwrap_or(seen_at);
                shared.events.emit(OverlayEvent::Heard {
                    from: node,
                    seen_at,
                    message,
                });
            }
            Err(error) => {
                shared.counters.malformed.add(1);
                tracing::debug!(%node, %error, "malformed message dropped");
            }
        }
    }
}

/// Writes what is queued until `stop`, then the rest of it, and closes the substream.
async fn write_frames(
    shared: &Shared,
    queue: &mut mpsc::Receiver<Bytes>,
    stop: CancellationToken,
    mut writer: impl AsyncWrite + Unpin,
) -> Result<(), LinkError> {
    let mut stopping = false;
    loop {
        let frame = tokio::select! {
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                queue.close();
                continue;
            }
            frame = queue.recv() => frame,
        };
        let Some(frame) = frame else {
            return Ok(writer.close().await?);
        };
        let write = async {
            writer.write_all(&frame).await?;
            writer.flush().await
        };
        // One that is lost was sent, as far as the sender knows.
        if !shared.loses() {
            timeout(WRITE_TIMEOUT, write)
                .await
                .map_err(|_| LinkError::Slow)??;
        }
        shared.counters.messages_sent.add(1);
        shared.counters.bytes_sent.add(frame.len());
    }
}
