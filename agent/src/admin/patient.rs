//! Connections to the admin address: so many at one time, and each only for as long as something comes or goes on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

/// The most at one time; others wait in the kernel.
pub(super) const MOST: usize = 256;
/// How long nothing may come or go. The longest answer takes far less.
pub(super) const QUIET: Duration = Duration::from_secs(60);

/// A stream that ends when nothing has come or gone on it for too long.
pub(super) struct Patient<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
    longest: Duration,
    quiet: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, place: OwnedSemaphorePermit, longest: Duration) -> Patient<S> {
        Patient {
            stream,
            _place: place,
            longest,
            quiet: Box::pin(sleep(longest)),
        }
    }

    fn stirs(&mut self) {
        let end = Instant::now() + self.longest;
        self.quiet.as_mut().reset(end);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.stirs();
        } else if self.quiet.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if written.is_ready() {
            self.stirs();
        } else if self.quiet.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn it_lives_as_long_as_something_comes_or_goes() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let (mut far, near) = duplex(64);
        const QUIET: Duration = Duration::from_millis(400);
        let mut near = Patient::new(near, place, QUIET);
        for _ in 0..5 {
            tokio::time::sleep(QUIET / 4).await;
            far.write_all(b"x").await.unwrap();
            assert_eq!(near.read_u8().await.unwrap(), b'x');
        }
        let begun = Instant::now();
        let ended = near.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= QUIET);
        assert_eq!(places.available_permits(), 0);
        drop(near);
        assert_eq!(places.available_permits(), 1);
    }
}
