//! The body of a call, so that it can be sent a second time where nothing was executed the first time.
//!
//! Bodies stream. What was read from the client is kept, up to [`KEEP`], until the call is accepted somewhere. Beyond
//! that a body is held back where the other end says when it accepts (a neighbour, by `100 Continue`), and can no longer
//! be sent again where it does not (a platform). So memory is constant and no byte is lost.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::task::AtomicWaker;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;

/// How much of a body is kept for a second attempt, in bytes.
const KEEP: u64 = 64 * 1024;

/// The body that a client sends, shared by the attempts to send it on.
#[derive(Debug)]
pub struct Replay(Option<Rc<RefCell<Source>>>);

#[derive(Debug)]
struct Source {
    incoming: Incoming,
    /// What was read, from the first byte on, unless `lost`.
    kept: Vec<Bytes>,
    kept_bytes: u64,
    trailers: Option<HeaderMap>,
    /// The client's body has ended.
    ended: bool,
    /// Something was read that is not kept: no second attempt.
    lost: bool,
    /// The client's body broke off, or is malformed.
    broken: bool,
    /// The client is to send more of its body.
    awaited: bool,
    /// Which attempt may read.
    attempt: u32,
    /// Wakes that attempt, which waits for more of the body, when it is superseded.
    waiting: Option<Waker>,
}

/// Tells a held body that the other end accepts the call.
#[derive(Debug, Default)]
pub struct Acceptance {
    accepted: AtomicBool,
    waker: AtomicWaker,
}

impl Acceptance {
    /// The other end accepts.
    pub fn accept(&self) {
        self.accepted.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn is_accepted(&self, cx: &Context<'_>) -> bool {
        if self.accepted.load(Ordering::Acquire) {
            return true;
        }
        self.waker.register(cx.waker());
        self.accepted.load(Ordering::Acquire)
    }
}

impl Replay {
    /// The body of a call that just arrived.
    pub fn new(incoming: Incoming) -> Replay {
        if incoming.is_end_stream() {
            return Replay(None);
        }
        Replay(Some(Rc::new(RefCell::new(Source {
            incoming,
            kept: Vec::new(),
            kept_bytes: 0,
            trailers: None,
            ended: false,
            lost: false,
            broken: false,
            awaited: false,
            attempt: 0,
            waiting: None,
        }))))
    }

    /// Whether the whole body can still be sent.
    pub fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|source| !source.borrow().lost)
    }

    /// Whether the client's body broke off or is malformed: then nobody else is to blame for a call that failed.
    pub fn is_broken(&self) -> bool {
        self.0.as_ref().is_some_and(|source| source.borrow().broken)
    }

    /// Whether the call waits for the client to send more of its body.
    pub fn awaits_client(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|source| source.borrow().awaited)
    }

    /// Whether the client's body was read to its end.
    pub fn has_ended(&self) -> bool {
        self.0.as_ref().is_none_or(|source| {
            let source = source.borrow();
            source.ended || source.incoming.is_end_stream()
        })
    }

    /// Whether the body may exceed what is kept, so that it should be held back until the call is accepted.
    pub fn may_exceed(&self) -> bool {
        self.0.as_ref().is_some_and(|source| {
            let upper = source.borrow().incoming.size_hint().upper();
            upper.is_none_or(|bytes| bytes > KEEP)
        })
    }

    /// The other end refused the attempt. If it still reads, it ends and its connection is closed.
    pub fn give_up(&self) {
        if let Some(source) = &self.0 {
            source.borrow_mut().supersede();
        }
    }

    /// The body for the next attempt, from its first byte. An attempt before it reads no more. With `held`, what exceeds
    /// [`KEEP`] waits for the acceptance.
    pub fn attempt(&self, held: Option<Arc<Acceptance>>) -> CallBody {
        CallBody(self.0.as_ref().map(|source| {
            let mut state = source.borrow_mut();
            state.supersede();
            Reader {
                attempt: state.attempt,
                source: Rc::clone(source),
                next: 0,
                trailers_sent: false,
                held,
            }
        }))
    }
}

/// The body of one attempt.
#[derive(Debug)]
pub struct CallBody(Option<Reader>);

#[derive(Debug)]
struct Reader {
    source: Rc<RefCell<Source>>,
    attempt: u32,
    /// The next kept piece to send.
    next: usize,
    trailers_sent: bool,
    held: Option<Arc<Acceptance>>,
}

impl CallBody {
    /// No body.
    pub const fn empty() -> CallBody {
        CallBody(None)
    }
}

/// Why a body cannot be read on.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The client's connection broke.
    #[error("the client's body broke off: {0}")]
    Client(#[from] hyper::Error),
    /// Another attempt reads it now.
    #[error("the call was given up here and is tried elsewhere")]
    Superseded,
}

impl Reader {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.poll_source(cx);
        if polled.is_pending() {
            self.source.borrow_mut().waiting = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let source = &mut *self.source.borrow_mut();
        if source.attempt != self.attempt {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if let Some(piece) = source.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if source.ended {
            return match &source.trailers {
                Some(trailers) if !self.trailers_sent => {
                    self.trailers_sent = true;
                    Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))))
                }
                _ => Poll::Ready(None),
            };
        }
        let accepted = match &self.held {
            Some(held) if source.kept_bytes >= KEEP => {
                if !held.is_accepted(cx) {
                    return Poll::Pending;
                }
                true
            }
            _ => false,
        };
        let polled = Pin::new(&mut source.incoming).poll_frame(cx);
        source.awaited = polled.is_pending();
        match std::task::ready!(polled) {
            None => {
                source.ended = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                source.broken = true;
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(frame)) => {
                let frame = match frame.into_data() {
                    Ok(data) => {
                        let held = self.held.is_some() && !accepted;
                        if source.keep(&data, held) {
                            self.next += 1;
                        }
                        Frame::data(data)
                    }
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => {
                            source.ended = true;
                            source.trailers = Some(trailers.clone());
                            self.trailers_sent = true;
                            Frame::trailers(trailers)
                        }
                        Err(frame) => frame,
                    },
                };
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Source {
    /// No attempt before now may read any more. One that waits would never learn of it by itself, as the client's body
    /// wakes only the last that asked.
    fn supersede(&mut self) {
        self.attempt += 1;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Keeps a piece that was read, if there is room or the body is held back behind it. Returns whether it did.
    fn keep(&mut self, piece: &Bytes, held: bool) -> bool {
        let fits = self.kept_bytes + piece.len() as u64 <= KEEP;
        if self.lost || !(fits || held) {
            self.lost = true;
            self.kept.clear();
            return false;
        }
        self.kept_bytes += piece.len() as u64;
        self.kept.push(piece.clone());
        true
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Some(reader) => reader.poll(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|reader| {
            let source = reader.source.borrow();
            let read = reader.next >= source.kept.len();
            let trailers_left = source.trailers.is_some() && !reader.trailers_sent;
            read && !trailers_left && (source.ended || source.incoming.is_end_stream())
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(reader) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let source = reader.source.borrow();
        let kept: u64 = source
            .kept
            .iter()
            .skip(reader.next)
            .map(|piece| piece.len() as u64)
            .sum();
        let rest = source.incoming.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept + upper);
        }
        hint.set_lower(kept + rest.lower());
        hint
    }
}
