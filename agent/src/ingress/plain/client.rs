//! A client's connection, as plain calls use it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::datapath::{Buffers, READ, wake_after_sockets};

/// How much of the next requests is read while a call runs.
const MOST_AHEAD: usize = 64 * 1024;

/// The connection with its one timer.
pub(super) struct ClientStream {
    pub(super) stream: TcpStream,
    /// What came and was not taken yet.
    pub(super) input: BytesMut,
    buffers: Rc<Buffers>,
    /// When there was what was last waited for. A look at the clock takes as long as 300 instructions, so that a call takes few.
    came: Instant,
    deadline: Instant,
    /// Fires at the deadline or before it: it is set anew only when it fires too early, or would fire too late.
    timer: Pin<Box<Sleep>>,
    /// Whether the timer will wake this connection's task, so that it need not be asked before it has fired.
    timed: bool,
    /// Whether the sockets were looked at after the deadline.
    last_look: bool,
    /// Whether `stop` will wake it, so that it need not be asked before the node drains.
    told: bool,
    /// How long it may take no bytes.
    idle: Duration,
}

/// Why something was not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The client went away.
    Gone,
    /// The time is over.
    Late,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, buffers: Rc<Buffers>, idle: Duration) -> ClientStream {
        let came = Instant::now();
        let deadline = came + idle;
        ClientStream {
            stream,
            input: BytesMut::new(),
            buffers,
            came,
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            timed: false,
            last_look: false,
            told: false,
            idle,
        }
    }

    /// When there was what was last waited for: what the client sent, the answer to its call, room for more of that, or the end of
    /// the time for it.
    pub(super) fn came(&self) -> Instant {
        self.came
    }

    /// Something else that was waited for was there at that moment.
    pub(super) fn came_at(&mut self, moment: Instant) {
        self.came = moment;
    }

    /// When the time is over.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.last_look = false;
        if deadline < self.timer.deadline() {
            self.set_timer(deadline);
        }
    }

    /// Takes `len` bytes off what came. To be given back to the thread's buffers.
    pub(super) fn take(&mut self, len: usize) -> BytesMut {
        if self.input.len() == len {
            std::mem::take(&mut self.input)
        } else {
            self.input.split_to(len)
        }
    }

    fn set_timer(&mut self, deadline: Instant) {
        self.timer.as_mut().reset(deadline);
        self.timed = false;
    }

    /// Ready when the deadline has passed. What has come in time may still have to be read, here or by another task, where this
    /// thread is late itself: so the sockets are looked at once more.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timed && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            self.timed = true;
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= self.deadline {
                if std::mem::replace(&mut self.last_look, true) {
                    return Poll::Ready(());
                }
                wake_after_sockets(cx);
                return Poll::Pending;
            }
            self.set_timer(self.deadline);
        }
    }

    /// Waits until the client sent something, the deadline passes, or `stop` is done, which it is only after `drains` says that
    /// the node drains. Returns whether something came. An idle connection holds no buffer.
    pub(super) async fn wait(
        &mut self,
        mut stop: Pin<&mut impl Future>,
        drains: impl Fn() -> bool,
    ) -> bool {
        if self.input.is_empty() {
            self.buffers.give_back(std::mem::take(&mut self.input));
        }
        poll_fn(|cx| {
            if self.stream.poll_read_ready(cx).is_ready() {
                self.make_room();
                return Poll::Ready(true);
            }
            if (drains() || !self.told) && stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            self.told = true;
            self.poll_late(cx).map(|()| false)
        })
        .await
    }

    fn make_room(&mut self) {
        if self.input.capacity() == 0 {
            self.input = self.buffers.take();
        }
    }

    /// Reads more from the client until the deadline.
    pub(super) async fn read(&mut self) -> Result<(), GivenUp> {
        poll_fn(|cx| {
            if let Poll::Ready(read) = self.poll_input(cx) {
                self.came = Instant::now();
                return Poll::Ready(match read {
                    Ok(n) if n > 0 => Ok(()),
                    _ => Err(GivenUp::Gone),
                });
            }
            self.poll_late(cx).map(|()| Err(GivenUp::Late))
        })
        .await
    }

    /// Waits for something else, unless the client goes away or, where `timed`, the deadline passes first. Who waits knows best when
    /// that came, and says so.
    pub(super) async fn unless_given_up<T>(
        &mut self,
        timed: bool,
        mut other: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, GivenUp> {
        poll_fn(|cx| {
            if let Poll::Ready(done) = other.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            while self.input.len() < MOST_AHEAD {
                match self.poll_input(cx) {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Err(GivenUp::Gone)),
                    Poll::Pending => break,
                }
            }
            if timed && self.poll_late(cx).is_ready() {
                return Poll::Ready(Err(GivenUp::Late));
            }
            Poll::Pending
        })
        .await
    }

    /// Writes to the client, as long as it takes bytes now and then.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), GivenUp> {
        let mut blocked = false;
        poll_fn(|cx| {
            while !bytes.is_empty() {
                match self.stream.try_write(bytes) {
                    Ok(n) if n > 0 => {
                        bytes = &bytes[n..];
                        if std::mem::take(&mut blocked) {
                            self.came = Instant::now();
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if self.stream.poll_write_ready(cx).is_ready() {
                            continue;
                        }
                        if !blocked {
                            blocked = true;
                            self.set_deadline(Instant::now() + self.idle);
                        }
                        return self.poll_late(cx).map(|()| Err(GivenUp::Late));
                    }
                    _ => return Poll::Ready(Err(GivenUp::Gone)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            // No buffer for what has not come.
            ready!(self.stream.poll_read_ready(cx))?;
            self.make_room();
        }
        self.input.reserve(READ / 2);
        let mut read = pin!(tokio::io::AsyncReadExt::read_buf(
            &mut self.stream,
            &mut self.input
        ));
        read.as_mut().poll(cx)
    }
}
