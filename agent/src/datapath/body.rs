//! The body of an answer to a client or to a neighbour.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::routing::Slot;
use crate::telemetry::access::Entry;

use super::pool::Leased;

/// A body of the agent's own, or one that is relayed as it comes.
#[derive(Debug)]
pub enum AnswerBody {
    /// The agent's own words.
    Own(Bytes),
    /// Somebody else's answer.
    Relayed {
        /// What comes from there.
        body: Leased,
        /// The slot that the call holds until the body was sent or given up, where it runs on this node.
        slot: Option<Slot>,
    },
    /// Either, of a call that is logged when it was sent or given up.
    Logged(Box<Logged>),
}

/// See [`AnswerBody::Logged`].
#[derive(Debug)]
pub struct Logged {
    body: AnswerBody,
    entry: Entry,
}

impl AnswerBody {
    /// The same, with the entry of its call.
    pub fn logged(self, entry: Entry) -> AnswerBody {
        AnswerBody::Logged(Box::new(Logged { body: self, entry }))
    }

    /// Whether they are the agent's own words.
    pub fn is_own(&self) -> bool {
        match self {
            AnswerBody::Own(_) => true,
            AnswerBody::Relayed { .. } => false,
            AnswerBody::Logged(logged) => logged.body.is_own(),
        }
    }

    /// Whether a slot of this node comes free as soon as it is sent: one is held, and its length is known.
    pub fn frees_slot(&self) -> bool {
        match self {
            AnswerBody::Own(_) => false,
            AnswerBody::Relayed { body, slot } => {
                slot.is_some() && body.size_hint().exact().is_some()
            }
            AnswerBody::Logged(logged) => logged.body.frees_slot(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            AnswerBody::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            AnswerBody::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            AnswerBody::Relayed { body, .. } => Pin::new(body).poll_frame(cx),
            AnswerBody::Logged(logged) => {
                let polled = Pin::new(&mut logged.body).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && let Some(data) = frame.data_ref()
                {
                    logged.entry.sends(data.len());
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Own(bytes) => bytes.is_empty(),
            AnswerBody::Relayed { body, .. } => body.is_end_stream(),
            AnswerBody::Logged(logged) => logged.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Relayed { body, .. } => body.size_hint(),
            AnswerBody::Logged(logged) => logged.body.size_hint(),
        }
    }
}
