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
