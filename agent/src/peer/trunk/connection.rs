//! The connection of a trunk.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use dfaas_protocol::policy::Priority;
use tokio::io::{AsyncReadExt, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::datapath::Metered;
use crate::datapath::trunk::frame::Frame;

use super::calls::{Calls, Ticket};

/// How much is read at one time.
const READ: usize = 64 * 1024;

/// A call that was read: its number, what the other end may do to it, its priority and its request.
type New = (u32, Rc<Ticket>, Priority, Bytes);

/// The connection of a trunk.
pub(super) struct Connection<'a> {
    stream: TlsStream<BufReader<TcpStream>>,
    metered: Metered,
    calls: &'a Calls,
    input: BytesMut,
    /// Calls that were read and not begun.
    new: Vec<New>,
    /// The frames that are being sent.
    sent: Vec<u8>,
    /// How many bytes of them TLS has taken.
    at: usize,
    /// The number of the last call.
    last: u32,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        stream: TlsStream<BufReader<TcpStream>>,
        metered: Metered,
        calls: &'a Calls,
    ) -> Connection<'a> {
        Connection {
            stream,
            metered,
            calls,
            input: BytesMut::new(),
            new: Vec::new(),
            sent: Vec::new(),
            at: 0,
            last: 0,
        }
    }

    /// The calls that were read.
    pub(super) fn take_calls(&mut self) -> impl Iterator<Item = New> {
        self.new.drain(..)
    }

    /// Whether TLS has taken all that it was given.
    pub(super) fn has_sent_all(&self) -> bool {
        self.at == self.sent.len()
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Reads and takes in what was read. Returns how much it was; nothing at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ);
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        self.metered.weigh(read);
        let mut bytes = &self.input[..];
        while let Some((frame, len)) = Frame::read(bytes).map_err(io::Error::other)? {
            match frame {
                Frame::Call {
                    call,
                    priority,
                    request,
                } if call > self.last => {
                    self.last = call;
                    // A copy, as a call that lasts would keep all that was read with it.
                    let request = Bytes::copy_from_slice(request);
                    self.new
                        .push((call, self.calls.ticket(call), priority, request));
                }
                other => self.calls.take_in(other).map_err(io::Error::other)?,
            }
            bytes = &bytes[len..];
        }
        let left = bytes.len();
        self.input.advance(self.input.len() - left);
        Poll::Ready(Ok(read))
    }

    /// Writes all that waits.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.has_sent_all() {
                self.at = 0;
                self.calls.hand_over(&mut self.sent);
                if self.sent.is_empty() {
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
            }
            let rest = &self.sent[self.at..];
            self.at += ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
        }
    }
}
