//! The end of a connection whose other end may still send.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::deadline;

/// How long, and for how many bytes, one is listened to that was told that its connection ends.
const LINGER: Duration = Duration::from_secs(1);
const MOST_LINGERED: usize = 1024 * 1024;

/// Closes a connection in a way that lets the other end read its last answer: what it still sends is read for a while, as bytes
/// that nobody reads make the kernel discard what is on its way there.
pub(crate) async fn hang_up(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let listened = async {
        stream.shutdown().await?;
        let mut rest = vec![0u8; 4096];
        let mut left = MOST_LINGERED;
        while left > 0 {
            let read = stream.read(&mut rest).await?;
            left = if read == 0 {
                0
            } else {
                left.saturating_sub(read)
            };
        }
        io::Result::Ok(())
    };
    let _ = deadline::within(LINGER, pin!(listened)).await;
}
