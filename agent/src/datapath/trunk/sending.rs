//! Frames on their way into TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// TLS copies what it encrypts to five bytes behind a page's beginning. Where the C library copies by `rep movsb`, which it does
/// from 2112 bytes on, that takes thirty times as long on some CPUs (glibc bug 30994). It copies shorter pieces otherwise.
const PIECE: usize = 2048;
/// Pieces that are handed over at a time.
const PIECES: usize = 64;

/// Frames that are being sent.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    frames: Vec<u8>,
    /// How many bytes of them TLS has taken.
    at: usize,
}

impl Sending {
    /// Whether TLS has taken all of them.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.at == self.frames.len()
    }

    /// The memory of frames that were sent, for the next ones.
    pub(crate) fn next(&mut self) -> &mut Vec<u8> {
        self.at = 0;
        self.frames.clear();
        &mut self.frames
    }

    /// Waits until TLS has taken all of them.
    pub(crate) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        tls: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.has_sent_all() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let rest = self.frames[self.at..].chunks(PIECE);
            let count = rest.len().min(PIECES);
            for (piece, bytes) in pieces.iter_mut().zip(rest) {
                *piece = IoSlice::new(bytes);
            }
            let taken = Pin::new(&mut *tls).poll_write_vectored(cx, &pieces[..count]);
            self.at += ready!(taken)?;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at a time at most, of pieces that are short enough.
    struct Sink {
        most: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let taken = all.len().min(self.most);
            self.taken.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn all_goes_out_in_order_and_in_pieces_however_little_is_taken_at_a_time() {
        let mut sending = Sending::default();
        for (length, most) in [
            (1, 7),
            (PIECE, PIECE),
            (5 * PIECE + 3, 1000),
            (2 * PIECES * PIECE + 1, usize::MAX),
        ] {
            let frames: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            sending.next().extend_from_slice(&frames);
            assert!(!sending.has_sent_all());
            let taken = Vec::new();
            let mut sink = Sink { most, taken };
            let sent = std::future::poll_fn(|cx| sending.poll(&mut sink, cx)).await;
            sent.unwrap();
            assert!(sending.has_sent_all());
            assert!(sink.taken == frames, "{length} bytes by {most}");
        }
    }
}
