//! What a client's connection is doing, for those who must end it when the client does nothing: cells that the guard below
//! the HTTP server and the calls above it write, and that nobody locks.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::datapath::{AnswerBody, Tunnel};

use super::refusal::Refusal;

/// How many calls more than were answered a client may give up. Each costs the platform as much as an answered one, and the
/// client next to nothing.
const MOST_GIVEN_UP: u64 = 100;

/// One connection.
#[derive(Debug)]
pub(super) struct Watch {
    started: Cell<u64>,
    ended: Cell<u64>,
    answered: Cell<u64>,
    /// When it was made, or the last call ended.
    quiet_since: Cell<Instant>,
    /// When the head began that is not whole yet.
    head_since: Cell<Option<Instant>>,
    /// Since when the client takes no more bytes.
    blocked_since: Cell<Option<Instant>>,
    /// Something has become due earlier than before.
    hurried: Cell<bool>,
    overdue: Cell<bool>,
    /// The guard has bytes for the server when the call has ended.
    holds: Cell<bool>,
    resumes: Cell<bool>,
    /// The server has read the last request to its end, and nothing of another has come.
    awaits: Cell<bool>,
    refusal: Cell<Option<Refusal>>,
    tunnel: RefCell<Option<Tunnel>>,
}

/// How long a client may take for its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a whole head, from its first byte on.
    pub(super) header: Duration,
    /// For anything else.
    pub(super) idle: Duration,
}

/// What a client has not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Sent the rest of a head.
    Head,
    /// Sent another request.
    Request,
    /// Taken its answer.
    Answer,
}

impl Watch {
    /// A connection that was just made.
    pub(super) fn new() -> Rc<Watch> {
        Rc::new(Watch {
            started: Cell::new(0),
            ended: Cell::new(0),
            answered: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            head_since: Cell::new(None),
            blocked_since: Cell::new(None),
            hurried: Cell::new(false),
            overdue: Cell::new(false),
            holds: Cell::new(false),
            resumes: Cell::new(false),
            awaits: Cell::new(false),
            refusal: Cell::new(None),
            tunnel: RefCell::new(None),
        })
    }

    /// A request arrived; its call ends when the returned value is dropped.
    pub(super) fn call(self: &Rc<Self>) -> Call {
        self.started.set(self.started.get() + 1);
        Call(Rc::clone(self))
    }

    /// How many calls have ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// A part of a head has come.
    pub(super) fn head_began(&self) {
        if self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
            self.hurried.set(true);
        }
    }

    /// The head has come whole.
    pub(super) fn head_ended(&self) {
        self.head_since.set(None);
    }

    /// Whether the client takes bytes.
    pub(super) fn writes(&self, blocked: bool) {
        match (self.blocked_since.get(), blocked) {
            (None, true) => {
                self.blocked_since.set(Some(Instant::now()));
                self.hurried.set(true);
            }
            (Some(_), false) => self.blocked_since.set(None),
            _ => {}
        }
    }

    /// Whether something may have become due earlier since the last time this was asked.
    pub(super) fn take_hurried(&self) -> bool {
        self.hurried.replace(false)
    }

    /// The guard has bytes for the server when the call has ended.
    pub(super) fn holds(&self) {
        self.holds.set(true);
    }

    /// Whether the guard has bytes for the server now, of which no socket will tell it.
    pub(super) fn take_resumes(&self) -> bool {
        self.resumes.replace(false)
    }

    /// Whether the server has read the last request to its end, and nothing of another has come.
    pub(super) fn awaits(&self, awaits: bool) {
        self.awaits.set(awaits);
    }

    /// Whether nothing is under way: the last call was answered, and its answer was sent.
    pub(super) fn is_idle(&self) -> bool {
        self.awaits.get()
            && self.started.get() == self.ended.get()
            && self.blocked_since.get().is_none()
    }

    /// What will be due next if the client does nothing, and when.
    pub(super) fn due(&self, patience: Patience) -> Option<(Instant, Due)> {
        if self.given_up_too_often() {
            return Some((self.quiet_since.get(), Due::Answer));
        }
        if let Some(since) = self.blocked_since.get() {
            return Some((since + patience.idle, Due::Answer));
        }
        if self.started.get() != self.ended.get() {
            return None;
        }
        let quiet = self.quiet_since.get();
        Some(match self.head_since.get() {
            Some(since) => (since.max(quiet) + patience.header, Due::Head),
            None => (quiet + patience.idle, Due::Request),
        })
    }

    fn given_up_too_often(&self) -> bool {
        self.ended.get() > 2 * self.answered.get() + MOST_GIVEN_UP
    }

    /// Has the guard refuse the head that it waits for.
    pub(super) fn give_up_head(&self) {
        self.head_since.set(None);
        self.overdue.set(true);
    }

    /// Whether the guard is to refuse the head that it waits for.
    pub(super) fn head_given_up(&self) -> bool {
        self.overdue.get()
    }

    /// The guard refuses the request that follows.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
    }

    /// Why the last request of the connection is refused, if it is.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get()
    }

    /// After its answer, the connection belongs to this.
    pub(super) fn leave_to(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// What the connection belongs to now that HTTP has ended on it.
    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }
}

/// A call that runs, until its answer was sent or given up.
#[derive(Debug)]
pub(super) struct Call(Rc<Watch>);

impl Call {
    /// Its connection.
    pub(super) fn connection(&self) -> &Rc<Watch> {
        &self.0
    }

    /// The body of its answer.
    pub(super) fn body(self, body: AnswerBody) -> CallAnswer {
        self.0.answered.set(self.0.answered.get() + 1);
        CallAnswer { body, _call: self }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.ended.set(self.0.ended.get() + 1);
        self.0.quiet_since.set(Instant::now());
        if self.0.given_up_too_often() {
            self.0.hurried.set(true);
        }
        if self.0.holds.replace(false) {
            self.0.resumes.set(true);
        }
    }
}

/// The body of an answer, with its call.
#[derive(Debug)]
pub(super) struct CallAnswer {
    body: AnswerBody,
    _call: Call,
}

impl CallAnswer {
    /// Whether it is the agent's own words.
    pub(super) fn is_own(&self) -> bool {
        self.body.is_own()
    }
}

impl Body for CallAnswer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
