//! Relaying an answer to the client as it comes.

use bytes::Buf;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::datapath::{AnswerBody, Dates, Lines, READ};
use crate::routing::Slot;
use crate::telemetry::access::Entry;

use super::answer::Body;
use super::chunks::Chunks;
use super::client::{ClientStream, GivenUp};
use super::exchange::Answer;

/// What this node says on every answer to a client.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    /// For answers that are not dated.
    pub(super) dates: &'a Dates,
    pub(super) node: &'a [u8],
    pub(super) server: &'a [u8],
    pub(super) forwarded_to: Option<&'a [u8]>,
    /// The id of the call, if this node gave it.
    pub(super) call_id: Option<&'a [u8]>,
    /// When the call began, unless the answer says it.
    pub(super) start_time: Option<&'a [u8]>,
    /// Whether the connection ends with this answer.
    pub(super) close: bool,
}

impl Signature<'_> {
    fn write(&self, out: &mut Vec<u8>, dated: bool) {
        if !dated {
            out.extend_from_slice(b"date: ");
            self.dates.write(std::time::SystemTime::now(), out);
            out.extend_from_slice(b"\r\n");
        }
        let mut line = |name: &[u8], value: &[u8]| {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        };
        line(b"dfaas-node-id: ", self.node);
        line(b"x-server: ", self.server);
        if let Some(node) = self.forwarded_to {
            line(b"dfaas-forwarded-to: ", node);
        }
        if let Some(id) = self.call_id {
            line(b"x-call-id: ", id);
        }
        if let Some(time) = self.start_time {
            line(b"x-start-time: ", time);
        }
        if self.close {
            line(b"connection: ", b"close");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// How much of a body is left.
enum Left {
    Bytes(u64),
    Chunks(Chunks),
    UntilClose,
}

impl Left {
    /// How many of these bytes belong to the body.
    fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
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

    fn ended(&self) -> bool {
        matches!(self, Left::Bytes(0) | Left::Chunks(Chunks::Ended))
    }
}

/// Relays an answer. The slot is free when the other end has sent the whole. Returns whether the client's connection can
/// take another request.
pub(super) async fn relay(
    client: &mut ClientStream,
    lines: &Lines,
    answer: Answer,
    mut slot: Option<Slot>,
    mut signature: Signature<'_>,
    out: &mut Vec<u8>,
    entry: &mut Option<Entry>,
) -> Result<bool, GivenUp> {
    let Answer { head, mut line } = answer;
    signature.close |= head.body == Body::UntilClose;
    let keep = !signature.close;
    if head.has_call_id() {
        signature.call_id = None;
    }
    if head.has_start_time() {
        signature.start_time = None;
    }
    out.clear();
    head.write(&line.input, out);
    signature.write(out, head.is_dated());
    line.input.advance(head.len);
    let mut left = match head.body {
        Body::Sized(bytes) => Left::Bytes(bytes),
        Body::Chunked => Left::Chunks(Chunks::START),
        Body::UntilClose => Left::UntilClose,
    };
    loop {
        let Some(here) = left.follow(&line.input) else {
            return Err(GivenUp::Gone); // The client sees that the answer breaks off.
        };
        out.extend_from_slice(&line.input[..here]);
        if let Some(entry) = entry {
            entry.sends(here);
        }
        line.input.advance(here);
        if left.ended() {
            drop(slot.take());
            if head.reusable && line.input.is_empty() {
                lines.give_back(line);
            }
            client.write(out).await?;
            return Ok(keep);
        }
        if !out.is_empty() {
            client.write(out).await?;
            out.clear();
        }
        line.input.reserve(READ);
        let read = line.io.read_buf(&mut line.input);
        match client.unless_given_up(false, read).await? {
            Ok(n) if n > 0 => {}
            Ok(_) if matches!(left, Left::UntilClose) => return Ok(false),
            _ => return Err(GivenUp::Gone),
        }
    }
}

/// Sends an answer of the agent's own.
pub(super) async fn say(
    client: &mut ClientStream,
    answer: hyper::Response<AnswerBody>,
    signature: Signature<'_>,
    head_only: bool,
    out: &mut Vec<u8>,
    entry: &mut Option<Entry>,
) -> Result<bool, GivenUp> {
    let (head, body) = answer.into_parts();
    let AnswerBody::Own(text) = body else {
        return Err(GivenUp::Gone);
    };
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    let reason = head.status.canonical_reason().unwrap_or("");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &head.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("content-length: {}\r\n", text.len()).as_bytes());
    signature.write(out, false);
    if !head_only {
        out.extend_from_slice(&text);
        if let Some(entry) = entry {
            entry.sends(text.len());
        }
    }
    client.write(out).await?;
    Ok(!signature.close)
}

/// Reads a refusal to its end, where that is near, so that its line can be used again.
pub(super) async fn discard(lines: &Lines, answer: Answer, deadline: Instant) {
    /// The most that is read of a body only to keep its line.
    const WORTH_READING: u64 = 16 * 1024;
    let Answer { head, mut line } = answer;
    let Body::Sized(bytes) = head.body else {
        return;
    };
    if !head.reusable || bytes > WORTH_READING {
        return;
    }
    line.input.advance(head.len);
    while (line.input.len() as u64) < bytes {
        line.input.reserve(READ);
        let read = tokio::time::timeout_at(deadline, line.io.read_buf(&mut line.input)).await;
        if !matches!(read, Ok(Ok(n)) if n > 0) {
            return;
        }
    }
    if line.input.len() as u64 == bytes {
        lines.give_back(line);
    }
}
