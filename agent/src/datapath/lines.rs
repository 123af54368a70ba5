//! Lines: keep-alive connections of one thread to the platform that carry one plain call after another, bytes in and bytes
//! out.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::connect::Connector;
use super::{Buffers, Line};

/// A line that was idle for so many [`Lines::close_idle`] is closed. They come every few seconds, so that this is below
/// the keep-alive time of the usual gateways; and no call reads the clock for it.
const IDLE_LIMIT: u64 = 4;

/// The lines of one thread that carry nothing now.
#[derive(Debug)]
pub struct Lines {
    connector: Rc<Connector>,
    buffers: Rc<Buffers>,
    idle: RefCell<Vec<Idle>>,
    rounds: Cell<u64>,
}

#[derive(Debug)]
struct Idle {
    io: TcpStream,
    since: u64,
}

impl Lines {
    /// No lines yet.
    pub fn new(connector: Rc<Connector>, buffers: Rc<Buffers>) -> Lines {
        Lines {
            connector,
            buffers,
            idle: RefCell::default(),
            rounds: Cell::default(),
        }
    }

    /// An idle line that still stands, or a new one.
    ///
    /// # Errors
    /// If no connection could be made.
    pub async fn take(&self) -> io::Result<Line> {
        while let Some(io) = self.pop() {
            if is_quiet(&io) {
                return Ok(Line::new(io, true));
            }
        }
        self.fresh().await
    }

    /// A new line, for a call that an idle one turned out not to carry.
    ///
    /// # Errors
    /// If no connection could be made.
    pub async fn fresh(&self) -> io::Result<Line> {
        let io = self.connector.to_platform().await?;
        Ok(Line::new(io, false))
    }

    /// An empty buffer for what a line brings.
    pub fn buffer(&self) -> BytesMut {
        self.buffers.take()
    }

    /// Takes back a line whose answer was read to its end and nothing beyond it, with its buffer.
    pub fn give_back(&self, line: Line, buffer: BytesMut) {
        self.buffers.give_back(buffer);
        let since = self.rounds.get();
        let mut idle = self.idle.borrow_mut();
        idle.push(Idle { io: line.io, since });
    }

    /// Closes lines that were idle for too long. To be called every few seconds.
    pub fn close_idle(&self) {
        let round = self.rounds.get() + 1;
        self.rounds.set(round);
        let mut idle = self.idle.borrow_mut();
        idle.retain(|line| round - line.since < IDLE_LIMIT);
    }

    fn pop(&self) -> Option<TcpStream> {
        self.idle.borrow_mut().pop().map(|line| line.io)
    }
}

/// Whether an idle line stands: it has neither ended nor sent what nobody asked for. Where nothing came this costs no
/// system call.
fn is_quiet(io: &TcpStream) -> bool {
    let read = io.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
