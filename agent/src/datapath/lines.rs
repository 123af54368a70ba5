//! Lines: keep-alive connections of one thread that carry one plain call after another, bytes in and bytes out.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::connect::{Connector, Io, Target};
use super::{Buffers, SendError};

/// A line that was idle for so many [`Lines::close_idle`] is closed. They come every few seconds, so that this is below
/// the keep-alive time of the usual gateways; and no call reads the clock for it.
const IDLE_LIMIT: u64 = 4;

/// The lines of one thread that carry nothing now.
#[derive(Debug)]
pub struct Lines {
    connector: Rc<Connector>,
    buffers: Rc<Buffers>,
    /// By target; there are few, and searching them costs less than hashing.
    idle: RefCell<Vec<(Target, Vec<Idle>)>>,
    rounds: Cell<u64>,
}

#[derive(Debug)]
struct Idle {
    io: Io,
    since: u64,
}

/// A line that a call has to itself. Dropped, it is closed.
#[derive(Debug)]
pub struct Line {
    /// The connection.
    pub io: Io,
    /// What came and was not taken yet.
    pub input: BytesMut,
    /// Whether it carried a call before.
    pub used: bool,
    target: Target,
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
    pub async fn take(&self, target: Target) -> Result<Line, SendError> {
        let line = |io, used| Line {
            io,
            input: self.buffers.take(),
            used,
            target,
        };
        while let Some(mut io) = self.pop(target) {
            if is_quiet(&mut io).await {
                return Ok(line(io, true));
            }
        }
        Ok(line(self.connector.connect(target).await?, false))
    }

    /// A new line, for a call that an idle one turned out not to carry.
    ///
    /// # Errors
    /// If no connection could be made.
    pub async fn fresh(&self, target: Target) -> Result<Line, SendError> {
        Ok(Line {
            io: self.connector.connect(target).await?,
            input: self.buffers.take(),
            used: false,
            target,
        })
    }

    /// Takes back a line whose answer was read to its end and nothing beyond it.
    pub fn give_back(&self, line: Line) {
        let since = self.rounds.get();
        self.buffers.give_back(line.input);
        let one = Idle { io: line.io, since };
        let mut idle = self.idle.borrow_mut();
        match idle.iter_mut().find(|(target, _)| *target == line.target) {
            Some((_, lines)) => lines.push(one),
            None => idle.push((line.target, vec![one])),
        }
    }

    /// Closes lines that were idle for too long. To be called every few seconds.
    pub fn close_idle(&self) {
        let round = self.rounds.get() + 1;
        self.rounds.set(round);
        self.idle.borrow_mut().retain_mut(|(_, lines)| {
            lines.retain(|line| round - line.since < IDLE_LIMIT);
            !lines.is_empty()
        });
    }

    fn pop(&self, target: Target) -> Option<Io> {
        let mut idle = self.idle.borrow_mut();
        let (_, lines) = idle.iter_mut().find(|(of, _)| *of == target)?;
        lines.pop().map(|line| line.io)
    }
}

/// Whether an idle line stands: it has neither ended nor sent what nobody asked for. Where nothing came this costs no
/// system call.
async fn is_quiet(io: &mut Io) -> bool {
    poll_fn(|cx| {
        let mut byte = [0u8; 1];
        let polled = Pin::new(&mut *io).poll_read(cx, &mut ReadBuf::new(&mut byte));
        Poll::Ready(polled.is_pending())
    })
    .await
}
