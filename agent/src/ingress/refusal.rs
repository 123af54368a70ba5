//! Requests that are refused before anything reads them as HTTP: what is wrong, and what the client is told.

use hyper::{Response, StatusCode};

use crate::datapath::{AnswerBody, text};
use crate::telemetry::turned_away::TurnedAway;

/// Why a request is refused. Its framing is in doubt, so the connection is closed behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The head is longer than [`MAX_HEAD`](super::head::MAX_HEAD).
    TooLarge,
    /// The head has more than [`MAX_FIELDS`](super::head::MAX_FIELDS) fields.
    TooManyFields,
    /// The head did not come in time.
    TooSlow,
    /// The connection ended within the head.
    Truncated,
    /// A line ends without a carriage return.
    LineEnd,
    /// The first line is not `METHOD TARGET HTTP/1.1`.
    RequestLine,
    /// The target is a URL, an authority or `*`, or has characters that no path has.
    Target,
    /// The version is none that is spoken here.
    Version,
    /// Content-Length is not one number, or is there twice.
    ContentLength,
    /// Transfer-Encoding is not exactly `chunked`, is there twice, or comes from an HTTP/1.0 client.
    TransferEncoding,
    /// Both Content-Length and Transfer-Encoding.
    BothLengths,
    /// No Host, more than one, or one that is none.
    Host,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Refusal::TooLarge | Refusal::TooManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Refusal::TooLarge => "the head of the request is too large; at most 32 KiB are taken",
            Refusal::TooManyFields => "the request has too many headers; at most 100 are taken",
            Refusal::TooSlow => "the head of the request did not come in time",
            Refusal::Truncated => "the connection ended within the head of a request",
            Refusal::LineEnd => "each line of a request's head must end with CR LF",
            Refusal::RequestLine => "the request does not begin with METHOD /PATH HTTP/1.1",
            Refusal::Target => "the target of a request must be a path, such as /function/NAME",
            Refusal::Version => "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
            Refusal::ContentLength => "Content-Length must be one decimal number, and there once",
            Refusal::TransferEncoding => {
                "Transfer-Encoding must be chunked and nothing else, once, and in HTTP/1.1"
            }
            Refusal::BothLengths => "a request has Content-Length or Transfer-Encoding, not both",
            Refusal::Host => "a request must name one Host",
        }
    }

    /// As what it is counted.
    pub(super) fn reason(self) -> TurnedAway {
        match self {
            Refusal::TooSlow => TurnedAway::TooSlow,
            _ => TurnedAway::Malformed,
        }
    }

    /// What the client is told.
    pub(super) fn answer(self) -> Response<AnswerBody> {
        text(self.status(), self.words())
    }
}
