//! Answers to clients of HTTP/2, whose streams are taken one by one: a client may leave one untaken for as long as it
//! likes, and no socket tells. So a task of its own reads each answer that is relayed, and gives it up when the client takes
//! nothing of it for too long: then its slot and its connection to the platform are free.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::deadline;

use super::watch::CallAnswer;

/// How many pieces of an answer wait for the client, each at most as long as one read from the platform.
const WAITING: usize = 2;

/// An answer on a stream.
#[derive(Debug)]
pub(super) enum StreamAnswer {
    /// It is here already.
    Whole(CallAnswer),
    /// A task reads it.
    Pumped {
        frames: Receiver<hyper::Result<Frame<Bytes>>>,
        given_up: Rc<Cell<bool>>,
        size: SizeHint,
    },
}

/// Why an answer does not go on.
#[derive(Debug, Error)]
pub(super) enum Broken {
    /// It broke off where it came from.
    #[error("the answer broke off")]
    Upstream(#[source] hyper::Error),
    /// The client has not taken it.
    #[error("the client took nothing of the answer for too long")]
    NotTaken,
}

impl StreamAnswer {
    /// The answer, of which the client takes something at least every `idle`.
    pub(super) fn new(answer: CallAnswer, idle: Duration) -> StreamAnswer {
        if answer.is_own() || answer.is_end_stream() {
            return StreamAnswer::Whole(answer);
        }
        let size = answer.size_hint();
        let (sender, frames) = channel(WAITING);
        let given_up = Rc::new(Cell::new(false));
        let given = Rc::clone(&given_up);
        tokio::task::spawn_local(async move {
            given.set(!pump(answer, &sender, idle).await);
        });
        StreamAnswer::Pumped {
            frames,
            given_up,
            size,
        }
    }
}

/// Returns whether the client took the answer, or went away.
async fn pump(
    mut answer: CallAnswer,
    frames: &Sender<hyper::Result<Frame<Bytes>>>,
    idle: Duration,
) -> bool {
    loop {
        let place = match deadline::within(idle, pin!(frames.reserve())).await {
            Some(Ok(place)) => place,
            Some(Err(_)) => return true,
            None => return false,
        };
        let frame = tokio::select! {
            frame = answer.frame() => frame,
            () = frames.closed() => return true,
        };
        let Some(frame) = frame else { return true };
        let ends = frame.is_err();
        place.send(frame);
        if ends {
            return true;
        }
    }
}

impl Body for StreamAnswer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = match &mut *self {
            StreamAnswer::Whole(answer) => Pin::new(answer).poll_frame(cx),
            StreamAnswer::Pumped {
                frames, given_up, ..
            } => match frames.poll_recv(cx) {
                Poll::Ready(None) if given_up.get() => {
                    return Poll::Ready(Some(Err(Broken::NotTaken)));
                }
                polled => polled,
            },
        };
        frame.map_err(Broken::Upstream)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            StreamAnswer::Whole(answer) => answer.is_end_stream(),
            // Only its end tells, as there may be trailers.
            StreamAnswer::Pumped { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            StreamAnswer::Whole(answer) => answer.size_hint(),
            StreamAnswer::Pumped { size, .. } => *size,
        }
    }
}
