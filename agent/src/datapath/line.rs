//! A line while it carries a call: the request goes out and the answer comes in, both at one time where the platform wants it so.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::READ;

/// A line that a call has to itself. Dropped, it is closed.
#[derive(Debug)]
pub struct Line {
    pub(super) io: TcpStream,
    /// Whether it carried a call before.
    pub used: bool,
    rest: Rest,
}

/// What of a request the platform has not taken so far.
#[derive(Debug)]
enum Rest {
    Nothing,
    /// In a box, as it is rare and lines are moved often.
    Bytes(Box<Bytes>),
    /// It takes no more.
    Lost,
}

impl Line {
    /// A connection that carried a call before or not.
    pub fn new(io: TcpStream, used: bool) -> Line {
        Line {
            io,
            used,
            rest: Rest::Nothing,
        }
    }

    /// Begins to send a request, and returns how much of it went at once. What the platform does not take yet is kept and sent while
    /// the answer is awaited, and read: who refuses a request need not take it to its end, and who answers in its midst may wait for
    /// both. If the platform takes no more, it may have answered before, and only what can be read tells (RFC 9112, 9.5).
    pub async fn send(&mut self, request: &[u8]) -> usize {
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < request.len() {
                match Pin::new(&mut self.io).poll_write(cx, &request[sent..]) {
                    Poll::Ready(Ok(n)) if n > 0 => sent += n,
                    Poll::Ready(_) => {
                        self.rest = Rest::Lost;
                        break;
                    }
                    Poll::Pending if sent == 0 => return Poll::Pending,
                    Poll::Pending => {
                        let rest = Bytes::copy_from_slice(&request[sent..]);
                        self.rest = Rest::Bytes(Box::new(rest));
                        break;
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
        sent
    }

    /// Reads what comes, and sends meanwhile what is left to be sent. Returns how much was read; nothing at the end.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        input.reserve(READ);
        poll_fn(|cx| {
            self.send_rest(cx);
            pin!(self.io.read_buf(input)).poll(cx)
        })
        .await
    }

    fn send_rest(&mut self, cx: &mut Context<'_>) {
        while let Rest::Bytes(rest) = &mut self.rest {
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(n)) if n > 0 => rest.advance(n),
                Poll::Ready(_) => self.rest = Rest::Lost,
                Poll::Pending => return,
            }
            if matches!(&self.rest, Rest::Bytes(rest) if rest.is_empty()) {
                self.rest = Rest::Nothing;
            }
        }
    }

    /// Whether the platform took all that it was sent.
    pub fn has_sent_all(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// Whether a break of it before the answer speaks against the platform. One that carried calls before may be closed as idle
    /// just when the next one is sent; if more is wrong than that, the next new line shows it.
    pub fn speaks_for_platform(&self) -> bool {
        !self.used
    }
}
