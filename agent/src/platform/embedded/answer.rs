//! What the embedded gateway answers with.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::function::Slot;

/// The body of an answer. It holds the slot of its call until it has been handed over in full, or is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    content: Content,
    _slot: Option<Slot>,
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Stream {
        first: Option<Frame<Bytes>>,
        rest: Incoming,
    },
}

impl Answer {
    /// What comes in, as it comes in; `first` goes before it.
    pub(super) fn stream(first: Option<Frame<Bytes>>, rest: Incoming, slot: Slot) -> Answer {
        Answer {
            content: Content::Stream { first, rest },
            _slot: Some(slot),
        }
    }

    /// The answer, holding the slot of its call.
    pub(super) fn holding(mut self, slot: Slot) -> Answer {
        self._slot = Some(slot);
        self
    }
}

/// A plain text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Answer> {
    whole(status, "text/plain; charset=utf-8", text.into())
}

/// A value in JSON, with status 200.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Response<Answer> {
    match serde_json::to_vec(value) {
        Ok(json) => whole(StatusCode::OK, "application/json", json.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn whole(status: StatusCode, content_type: &'static str, content: Bytes) -> Response<Answer> {
    let content = Some(content).filter(|content| !content.is_empty());
    let mut response = Response::new(Answer {
        content: Content::Whole(content),
        _slot: None,
    });
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().content {
            Content::Whole(content) => Poll::Ready(content.take().map(|all| Ok(Frame::data(all)))),
            Content::Stream { first, rest } => match first.take() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(rest).poll_frame(context),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(content) => content.is_none(),
            Content::Stream { first, rest } => first.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |bytes: &Bytes| bytes.len() as u64;
        match &self.content {
            Content::Whole(content) => SizeHint::with_exact(content.as_ref().map_or(0, length)),
            Content::Stream { first, rest } => {
                let before = first.as_ref().and_then(Frame::data_ref).map_or(0, length);
                match rest.size_hint().exact() {
                    Some(after) => SizeHint::with_exact(before + after),
                    None => SizeHint::default(),
                }
            }
        }
    }
}
