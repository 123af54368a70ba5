//! Relaying an answer to the client as it comes.

use crate::datapath::plain::{Answer, AnswerEnd, Left, Source};
use crate::datapath::{AnswerBody, Lines, There, WallClock, others_first};
use crate::routing::Slot;
use crate::telemetry::access::Entry;
use bytes::Buf;
use std::pin::pin;
use tokio::time::Instant;

use super::client::{ClientStream, GivenUp};

/// What this node says on every answer to a client, as lines.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    /// For answers that are not dated.
    pub(super) wall: &'a WallClock,
    pub(super) node: &'a [u8],
    pub(super) server: &'a [u8],
    /// The neighbour that the answer came from; then it names that one's address, not this node's.
    pub(super) there: Option<&'a There>,
    /// The id of the call, if this node gave it.
    pub(super) call_id: &'a [u8],
    /// When the call began, unless the answer says it.
    pub(super) start_time: &'a [u8],
    /// Whether the connection ends with this answer.
    pub(super) close: bool,
}

impl Signature<'_> {
    fn write(&self, out: &mut Vec<u8>, dated: bool, came: Instant) {
        let mut line = |name: &[u8], value: &[u8]| {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        };
        if let Some(there) = self.there {
            line(b"x-server: ", there.ip.as_bytes());
            line(b"dfaas-forwarded-to: ", there.node.as_bytes());
        } else {
            out.extend_from_slice(self.server);
        }
        if !dated {
            out.extend_from_slice(b"date: ");
            self.wall.write_date(came, out);
            out.extend_from_slice(b"\r\n");
        }
        for line in [self.node, self.call_id, self.start_time] {
            out.extend_from_slice(line);
        }
        if self.close {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
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
    let Answer {
        head,
        mut input,
        mut source,
        ..
    } = answer;
    let keep = !signature.close;
    // The client could not tell an end from a break.
    let in_chunks = head.body == AnswerEnd::UntilClose;
    if head.has_call_id() {
        signature.call_id = b"";
    }
    if head.has_start_time() {
        signature.start_time = b"";
    }
    out.clear();
    head.write(&input, out);
    if in_chunks {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let Source::Trunk(call) = &source {
        signature.there = Some(call.there());
    }
    signature.write(out, head.is_dated(), client.came());
    input.advance(head.len);
    let mut left = Left::of(head.body);
    loop {
        let Some(here) = left.follow(&input) else {
            return Err(GivenUp::Gone); // The client sees that the answer breaks off.
        };
        if in_chunks && here > 0 {
            out.extend_from_slice(format!("{here:x}\r\n").as_bytes());
            out.extend_from_slice(&input[..here]);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(&input[..here]);
        }
        if let Some(entry) = entry {
            entry.sends(here);
        }
        input.advance(here);
        if left.ended() {
            if let Some(slot) = slot.take() {
                slot.ended_at(client.came().into_std());
            }
            if let Source::Line(line) = source {
                if head.reusable && input.is_empty() {
                    lines.give_back(line, input);
                }
                others_first().await;
            }
            client.write(out).await?;
            return Ok(keep);
        }
        if !out.is_empty() {
            client.write(out).await?;
            out.clear();
        }
        let more = source.more(&mut input);
        let more = client.unless_given_up(false, pin!(more)).await?;
        client.came_at(Instant::now());
        match more {
            Ok(true) => {}
            Ok(false) if in_chunks => {
                drop(slot.take());
                client.write(b"0\r\n\r\n").await?;
                return Ok(keep);
            }
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
    signature.write(out, false, client.came());
    if !head_only {
        out.extend_from_slice(&text);
        if let Some(entry) = entry {
            entry.sends(text.len());
        }
    }
    client.write(out).await?;
    Ok(!signature.close)
}
