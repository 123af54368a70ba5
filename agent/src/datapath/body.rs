//! The body of an answer to a client or to a neighbour.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::routing::Slot;

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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Own(bytes) => bytes.is_empty(),
            AnswerBody::Relayed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Relayed { body, .. } => body.size_hint(),
        }
    }
}
