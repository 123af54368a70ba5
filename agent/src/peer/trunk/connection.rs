//! The connection of a trunk.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::datapath::trunk::frame::Frame;
use crate::datapath::trunk::{Reading, Sending, Wire};
use crate::datapath::{Metered, TRUNK_WRITE};

use super::calls::{Calls, Ticket};

/// The connection of a trunk.
pub(super) struct Connection<'a> {
    stream: TlsStream<BufReader<Wire>>,
    metered: Metered,
    calls: &'a Calls,
    reading: Reading,
    /// Tickets of calls that were read and have no runner.
    new: Vec<Rc<Ticket>>,
    sending: Sending,
    /// The number of the last call.
    last: u32,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        mut stream: TlsStream<BufReader<Wire>>,
        metered: Metered,
        calls: &'a Calls,
    ) -> Connection<'a> {
        stream.get_mut().1.set_buffer_limit(Some(TRUNK_WRITE));
        Connection {
            stream,
            metered,
            calls,
            reading: Reading::default(),
            new: Vec::new(),
            sending: Sending::default(),
            last: 0,
        }
    }

    /// The tickets of calls that were read and need a runner.
    pub(super) fn take_new(&mut self) -> impl Iterator<Item = Rc<Ticket>> {
        self.new.drain(..)
    }

    /// Whether TLS has taken all that it was given.
    pub(super) fn has_sent_all(&self) -> bool {
        self.sending.has_sent_all()
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Reads and takes in what was read. Returns how much it was; nothing at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let piece = ready!(Pin::new(&mut self.stream).poll_fill_buf(cx))?;
        let read = piece.len();
        self.metered.weigh(read);
        let (calls, new, last) = (self.calls, &mut self.new, &mut self.last);
        let came = Instant::now();
        self.reading
            .follow(piece, |frame| match frame {
                Frame::Call {
                    call,
                    asked,
                    request,
                } if call > *last => {
                    *last = call;
                    new.extend(calls.begin(call, asked, request, came));
                    Ok(())
                }
                other => calls.take_in(other),
            })
            .map_err(io::Error::other)?;
        Pin::new(&mut self.stream).consume(read);
        Poll::Ready(Ok(read))
    }

    /// Writes all that waits.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.has_sent_all() {
                self.calls.hand_over(self.sending.next());
                if self.has_sent_all() {
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
            }
            ready!(self.sending.poll(&mut self.stream, cx))?;
        }
    }
}
