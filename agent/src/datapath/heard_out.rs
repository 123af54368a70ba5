//! A connection that is heard out.
//!
//! Who refuses a body answers, closes, and resets the connection as more of the body comes. The HTTP client gives a call up as
//! soon as a write fails, though the answer may have come already (RFC 9112, 9.5). Here writes do not fail: what the other end
//! takes no more is lost, and what can be read tells what became of the call, be it only that the connection ended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See [module](self).
#[derive(Debug)]
pub(super) struct HeardOut<S> {
    stream: S,
    /// The other end takes no more.
    takes_none: bool,
}

impl<S> HeardOut<S> {
    /// A connection that takes bytes.
    pub(super) const fn new(stream: S) -> HeardOut<S> {
        HeardOut {
            stream,
            takes_none: false,
        }
    }
}

impl<S: AsyncWrite + Unpin> HeardOut<S> {
    /// Does something that may fail, or else is as good as done: `lost`.
    fn poll_write_side<T>(
        &mut self,
        lost: T,
        polled: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.takes_none {
            match ready!(polled(Pin::new(&mut self.stream))) {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(error) => {
                    tracing::trace!(%error, "a connection takes no more");
                    self.takes_none = true;
                }
            }
        }
        Poll::Ready(Ok(lost))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeardOut<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeardOut<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_side(bytes.len(), |stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        self.poll_write_side(all, |stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_side((), |stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_side((), |stream| stream.poll_shutdown(cx))
    }
}
