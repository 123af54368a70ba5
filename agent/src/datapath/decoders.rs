//! What the decoders of the data path make of bytes, in terms that are public: for tests that feed them what no node and no
//! platform would send.

use super::plain::{AnswerFound, AnswerHead, Chunks, Found, Head, Limits};
use super::trunk::Reading;
use super::trunk::frame::{self, Frame};

/// What is found at the beginning of the bytes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The head is not whole yet.
    Part,
    /// What is no answer.
    Broken,
    /// An interim answer of so many bytes.
    Interim(usize),
    /// An answer.
    Whole {
        /// The bytes of its head, with the empty line.
        len: usize,
        /// Its status.
        status: u16,
        /// Its head as the client gets it, without the empty line.
        written: Vec<u8>,
    },
}

/// A plain request that a neighbour may send on a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The bytes of its head, with the empty line.
    pub len: usize,
    /// The bytes of its body.
    pub body: usize,
    /// The function's name, as the path writes it.
    pub function: Vec<u8>,
}

/// Reads the frames of a trunk out of pieces, and writes each again that is whole; nothing if one is malformed.
pub fn trunk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let (mut reading, mut out) = (Reading::default(), Vec::new());
    for piece in pieces {
        let followed = reading.follow(piece, |frame| {
            write(&frame, &mut out);
            Ok(())
        });
        followed.ok()?;
    }
    Some(out)
}

fn write(frame: &Frame<'_>, out: &mut Vec<u8>) {
    match *frame {
        Frame::Call {
            call,
            asked,
            request,
        } => frame::write_call(out, call, asked, [request, b""]),
        Frame::Answer {
            call,
            headroom,
            bytes,
            last,
        } => frame::write_answer(out, call, headroom, bytes, last),
        Frame::Data { call, bytes, last } => frame::write_data(out, call, bytes, last),
        Frame::Refused {
            call,
            headroom,
            why,
        } => frame::write_refused(out, call, headroom, why),
        Frame::Reset { call } => frame::write_reset(out, call),
        Frame::More { call, bytes } => frame::write_more(out, call, bytes),
        Frame::Closing => frame::write_closing(out),
    }
}

/// Looks for a plain request at the beginning of the bytes of a call on a trunk.
pub fn request(bytes: &[u8]) -> Option<Request> {
    match Head::find(bytes, Limits::NEIGHBOUR) {
        Found::Plain(head) => Some(Request {
            len: head.len,
            body: head.body,
            function: head.function.of(bytes).to_vec(),
        }),
        Found::Part | Found::Other => None,
    }
}

/// Looks for an answer at the beginning of bytes. `head_only`: it is one without a body, whatever it says.
pub fn answer(bytes: &[u8], head_only: bool) -> Answer {
    match AnswerHead::find(bytes, head_only) {
        AnswerFound::Part => Answer::Part,
        AnswerFound::Broken => Answer::Broken,
        AnswerFound::Interim(len) => Answer::Interim(len),
        AnswerFound::Answer(head) => {
            let mut written = Vec::new();
            head.write(bytes, &mut written);
            Answer::Whole {
                len: head.len,
                status: head.status,
                written,
            }
        }
    }
}

/// Follows a chunked body in pieces: how many bytes belong to it, and whether it ended; nothing if it is malformed.
pub fn chunks<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(usize, bool)> {
    let (mut chunks, mut followed) = (Chunks::START, 0);
    for piece in pieces {
        followed += chunks.follow(piece).ok()?;
    }
    Some((followed, chunks == Chunks::Ended))
}
