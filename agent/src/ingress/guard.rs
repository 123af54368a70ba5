//! What stands between a client's socket and the HTTP/1 server: it sees that nobody could disagree about where a request
//! ends, and hands the server one request at a time.
//!
//! The server gets a head only when it is whole and was looked over. In the place of one that is refused it gets a
//! request of the guard's own, which the service answers with the reason; so answers keep their order, and nothing of the
//! client's is read as HTTP any more. Bytes behind a request stay here until its call has ended: they are the next
//! request, or those of another protocol if the call upgrades the connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::chunked::Progress;
use super::head::{Body, Found, Head};
use super::refusal::Refusal;
use super::watch::Watch;

/// The method of the request that stands for a refused one.
pub(super) const REFUSED: &str = "!";
/// That request.
const STAND_IN: &[u8] = b"! / HTTP/1.1\r\n\r\n";
/// What an HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much of the next requests is kept while a call runs.
const MOST_HELD: usize = 64 * 1024;

/// A client's bytes.
#[derive(Debug)]
pub(super) struct Guard<S> {
    io: S,
    phase: Phase,
    /// Bytes that were read and not handed on.
    held: BytesMut,
    /// How many of them may be handed on.
    passed: usize,
    /// Requests that were handed on.
    requests: u64,
    watch: Rc<Watch>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A head is awaited, or the rest of one.
    Head(Head),
    /// The body of a request that was handed on.
    Body(Body),
    /// A request was handed on whole, and its call is not known to have ended.
    Call,
    /// The body is broken.
    Broken,
    /// The stand-in takes the place of what the client sent; so much of it was handed on.
    Refused(usize),
    /// No HTTP/1: nothing is looked at.
    Open,
}

/// A body that is not chunked as it should be.
#[derive(Clone, Copy, Debug, Error)]
#[error("the chunks of the request's body are malformed")]
struct MalformedBody;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1, as far as one can tell.
    Http1,
    /// HTTP/2.
    Http2,
}

impl<S> Guard<S> {
    /// A connection of which something may have been read already, and nothing been answered.
    pub(super) fn new(io: S, read: BytesMut, watch: Rc<Watch>) -> Guard<S> {
        Guard {
            io,
            phase: Phase::Head(Head::default()),
            held: read,
            passed: 0,
            requests: 0,
            watch,
        }
    }

    /// The stream, between two requests.
    pub(super) fn into_inner(self) -> S {
        self.io
    }

    /// Lets everything through from now on.
    pub(super) fn open(&mut self) {
        self.phase = Phase::Open;
    }

    /// Whether the client may have sent more than was read, so that closing at once could destroy the answer on its way.
    pub(super) fn has_unread(&self) -> bool {
        !self.held.is_empty()
            || matches!(
                self.phase,
                Phase::Body(_) | Phase::Broken | Phase::Refused(_)
            )
    }

    /// Goes as far through new bytes as they may be handed on, and returns how far that is.
    fn sift(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if let Phase::Head(head) = &mut self.phase {
            match head.scan(bytes) {
                Found::Partial => return 0,
                Found::Refused(refusal) => {
                    self.refuse(refusal);
                    return 0;
                }
                Found::Whole(length, body) => {
                    at = length;
                    self.requests += 1;
                    self.phase = Phase::Body(body);
                }
            }
        }
        let Phase::Body(body) = &mut self.phase else {
            return at;
        };
        let rest = &bytes[at..];
        let (here, progress) = match body {
            Body::Length(left) => {
                let here = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                *left -= here as u64;
                let ended = *left == 0;
                (
                    here,
                    if ended {
                        Progress::Ended
                    } else {
                        Progress::More
                    },
                )
            }
            Body::Chunked(chunked) => chunked.advance(rest),
        };
        match progress {
            Progress::More => {}
            Progress::Ended => self.phase = Phase::Call,
            Progress::Broken => self.phase = Phase::Broken,
        }
        at + here
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.watch.refuse(refusal);
        self.phase = Phase::Refused(0);
    }

    /// Whether the client's bytes are of no use any more.
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Broken | Phase::Refused(_))
    }

    /// Looks at what is held, where there is something to find.
    fn sift_held(&mut self) {
        let sought = matches!(self.phase, Phase::Head(_) | Phase::Body(_));
        if self.passed > 0 || self.held.is_empty() || !sought {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.passed = self.sift(&held);
        self.held = held;
        match self.phase {
            Phase::Head(_) => self.watch.head_began(),
            _ => self.watch.head_ended(),
        }
        if self.is_over() {
            self.held.truncate(self.passed);
        }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.passed.min(buf.remaining());
        buf.put_slice(&self.held[..n]);
        self.held.advance(n);
        self.passed -= n;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Waits for the first bytes, as many as tell what the client speaks; none if it has closed.
    pub(super) async fn speaks(&mut self) -> io::Result<Option<Speaks>> {
        loop {
            if self.held.starts_with(PREFACE) {
                return Ok(Some(Speaks::Http2));
            }
            if !PREFACE.starts_with(&self.held) {
                return Ok(Some(Speaks::Http1));
            }
            self.held.reserve(4096);
            if self.io.read_buf(&mut self.held).await? == 0 {
                return Ok((!self.held.is_empty()).then_some(Speaks::Http1));
            }
            self.watch.head_began();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            this.sift_held();
            if this.passed > 0 {
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            match &mut this.phase {
                Phase::Open if this.held.is_empty() => {
                    return Pin::new(&mut this.io).poll_read(cx, buf);
                }
                Phase::Open => {
                    this.passed = this.held.len();
                    continue;
                }
                Phase::Broken => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        MalformedBody,
                    )));
                }
                Phase::Refused(sent) if *sent < STAND_IN.len() => {
                    let n = buf.remaining().min(STAND_IN.len() - *sent);
                    buf.put_slice(&STAND_IN[*sent..*sent + n]);
                    *sent += n;
                    return Poll::Ready(Ok(()));
                }
                // The answer is on its way, and the connection ends with it.
                Phase::Refused(_) => return Poll::Pending,
                Phase::Call if this.watch.ended() == this.requests => {
                    this.phase = Phase::Head(Head::default());
                    continue;
                }
                Phase::Call if !this.held.is_empty() => {
                    this.watch.holds();
                    if this.held.len() >= MOST_HELD {
                        return Poll::Pending;
                    }
                }
                Phase::Head(_) if this.watch.head_given_up() => {
                    this.refuse(Refusal::TooSlow);
                    continue;
                }
                Phase::Head(_) | Phase::Body(_) | Phase::Call => {}
            }
            let polled = Pin::new(&mut this.io).poll_read(cx, buf);
            // The server asks for more than a whole request only when it has read that to its end.
            let whole = matches!(this.phase, Phase::Head(_) | Phase::Call) && this.requests > 0;
            let awaits = polled.is_pending() && whole && this.held.is_empty();
            this.watch.awaits(awaits);
            ready!(polled)?;
            let new = &buf.filled()[before..];
            if new.is_empty() {
                if matches!(this.phase, Phase::Head(_)) && !this.held.is_empty() {
                    this.refuse(Refusal::Truncated);
                    continue;
                }
                return Poll::Ready(Ok(()));
            }
            // Where nothing is held, the bytes are looked at where they are, and most often handed on as they are.
            let passed = match this.phase {
                Phase::Head(_) | Phase::Body(_) if this.held.is_empty() => this.sift(new),
                _ => 0,
            };
            if !this.is_over() {
                this.held.extend_from_slice(&new[passed..]);
            }
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch.writes(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.watch.writes(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.watch.writes(polled.is_pending());
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
