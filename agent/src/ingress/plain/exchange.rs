//! One attempt of a plain call: its bytes go out on a line, and the head of the answer comes back.

use dfaas_protocol::Headroom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::datapath::{Line, Lines, READ, SendError, Target};

use super::answer::{Found, Head};

/// The most that TLS sends in one record. A write of more may fail although the other end has whole records of it.
const ONE_RECORD: usize = 16 * 1024;

/// An answer whose body is still to be read from its line.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) line: Line,
}

/// Why an attempt had no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing was sent.
    Unsent(SendError),
    /// Something may have been sent.
    Broken(String),
}

/// Sends a whole request and waits for the head of its answer.
pub(super) async fn exchange(
    lines: &Lines,
    target: Target,
    request: &[u8],
    head_only: bool,
) -> Result<Answer, Failed> {
    let mut line = lines.take(target).await.map_err(Failed::Unsent)?;
    // One write that takes nothing at all has sent nothing: the line ended while it was idle.
    let first = &request[..request.len().min(ONE_RECORD)];
    let mut sent = match line.io.write(first).await {
        Ok(sent) if sent > 0 => sent,
        _ if line.used => {
            line = lines.fresh(target).await.map_err(Failed::Unsent)?;
            0
        }
        Ok(_) => return Err(Failed::Broken("the connection takes no bytes".to_owned())),
        Err(error) => return Err(Failed::Broken(error.to_string())),
    };
    while sent < request.len() {
        match line.io.write(&request[sent..]).await {
            Ok(0) => return Err(Failed::Broken("the connection takes no bytes".to_owned())),
            Ok(n) => sent += n,
            // The other end may have answered before it read everything.
            Err(_) => break,
        }
    }
    if line.io.flush().await.is_err() {
        return Err(Failed::Broken("the connection broke".to_owned()));
    }
    loop {
        match Head::find(&line.input, head_only) {
            Found::Answer(head) => {
                let mut answer = Answer { head, line };
                answer.head.reusable &= sent == request.len();
                return Ok(answer);
            }
            Found::Interim(len) => drop(line.input.split_to(len)),
            Found::Broken => {
                return Err(Failed::Broken(
                    "the answer is not HTTP/1.1 as it should be".into(),
                ));
            }
            Found::Part => {
                line.input.reserve(READ);
                match line.io.read_buf(&mut line.input).await {
                    Ok(n) if n > 0 => {}
                    Ok(_) => {
                        return Err(Failed::Broken(
                            "the connection was closed before an answer came".into(),
                        ));
                    }
                    Err(error) => return Err(Failed::Broken(error.to_string())),
                }
            }
        }
    }
}

impl Answer {
    /// Whether the other end refused the call and executed nothing.
    pub(super) fn is_refusal(&self, target: Target) -> bool {
        match target {
            Target::Platform => self.head.status == 429 && self.head.limiter,
            Target::Peer(..) => self.head.refused,
        }
    }

    /// The headroom that the other end reports.
    pub(super) fn headroom(&self) -> Option<Headroom> {
        self.head.headroom
    }
}
