//! How much of a body is left.

use super::answer::Body;
use super::chunks::Chunks;

/// How much of a body is left.
#[derive(Debug)]
pub(crate) enum Left {
    /// So many bytes.
    Bytes(u64),
    /// It says so itself.
    Chunks(Chunks),
    /// All until the connection ends.
    UntilClose,
}

impl Left {
    /// All of the body that a head announces.
    pub(crate) fn of(body: Body) -> Left {
        match body {
            Body::Sized(bytes) => Left::Bytes(bytes),
            Body::Chunked => Left::Chunks(Chunks::START),
            Body::UntilClose => Left::UntilClose,
        }
    }

    /// How many of these bytes belong to the body; none if its framing is broken.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Left::Bytes(left) => {
                let here = (*left).min(bytes.len() as u64);
                *left -= here;
                Some(here as usize)
            }
            Left::Chunks(chunks) => chunks.follow(bytes).ok(),
            Left::UntilClose => Some(bytes.len()),
        }
    }

    /// Whether nothing is left.
    pub(crate) fn ended(&self) -> bool {
        matches!(self, Left::Bytes(0) | Left::Chunks(Chunks::Ended))
    }
}
