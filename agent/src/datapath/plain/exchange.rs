//! One attempt of a plain call: its bytes go out, to the platform on a line or to a neighbour on a trunk, and the head of the
//! answer comes back.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use dfaas_protocol::Headroom;
use tokio::time::Instant;

use crate::datapath::{Line, Lines, TrunkCall};

use super::answer::{Body, Found, Head};
use super::left::Left;

/// An answer whose body is still to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// What came and was not taken yet, from the head on.
    pub(crate) input: BytesMut,
    pub(crate) source: Source,
    /// When its head was there.
    pub(crate) came: Instant,
}

/// Where an answer comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// From the platform.
    Line(Line),
    /// From a neighbour.
    Trunk(TrunkCall),
}

impl Source {
    /// Whether its end says something of where it comes from.
    fn speaks_for_its_end(&self) -> bool {
        match self {
            Source::Line(line) => line.speaks_for_platform(),
            Source::Trunk(_) => true,
        }
    }

    /// Whether the other end took the whole request.
    fn has_sent_all(&self) -> bool {
        match self {
            Source::Line(line) => line.has_sent_all(),
            Source::Trunk(_) => true,
        }
    }

    /// When there was what came last.
    fn came(&self) -> Instant {
        match self {
            Source::Line(_) => Instant::now(),
            Source::Trunk(call) => call.came(),
        }
    }

    /// Reads on. Returns whether anything came; if not, the answer has ended.
    pub(crate) async fn more(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        match self {
            Source::Line(line) => Ok(line.read(input).await? > 0),
            Source::Trunk(call) => call.more(input).await.map_err(io::Error::other),
        }
    }
}

/// Why an attempt had no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing was sent. Whether that speaks against the other end, and why it was not.
    Unsent { against: bool, why: String },
    /// The neighbour refused it, and nothing was executed. It says what is left there, and why.
    Refused(Option<Headroom>, Rc<str>),
    /// Something may have been sent. Whether that speaks against the other end, and what happened.
    Broken { against: bool, why: String },
}

impl Failed {
    fn malformed(why: &str) -> Failed {
        Failed::Broken {
            against: true,
            why: why.to_owned(),
        }
    }
}

/// Sends a whole request to the platform and waits for the head of its answer.
pub(crate) async fn exchange(
    lines: &Lines,
    request: &[u8],
    head_only: bool,
) -> Result<Answer, Failed> {
    let unsent = |error: io::Error| Failed::Unsent {
        against: true,
        why: error.to_string(),
    };
    let mut line = lines.take().await.map_err(unsent)?;
    let mut sent = line.send(request).await;
    // It ended while it was idle.
    if sent == 0 && line.used {
        line = lines.fresh().await.map_err(unsent)?;
        sent = line.send(request).await;
    }
    match answer(Source::Line(line), lines.buffer(), head_only).await {
        Err(Failed::Broken { against, why }) if sent == 0 => Err(Failed::Unsent { against, why }),
        failed => failed,
    }
}

/// Waits for the head of the answer to a call that was sent to a neighbour.
pub(crate) async fn exchange_over(mut call: TrunkCall, head_only: bool) -> Result<Answer, Failed> {
    call.begins().await?;
    answer(Source::Trunk(call), BytesMut::new(), head_only).await
}

async fn answer(
    mut source: Source,
    mut input: BytesMut,
    head_only: bool,
) -> Result<Answer, Failed> {
    loop {
        match Head::find(&input, head_only) {
            // Nothing of it was passed on yet.
            Found::Answer(head) if Left::of(head.body).follow(&input[head.len..]).is_none() => {
                return Err(Failed::malformed("the answer's chunks are malformed"));
            }
            Found::Answer(mut head) => {
                head.reusable &= source.has_sent_all();
                return Ok(Answer {
                    head,
                    input,
                    came: source.came(),
                    source,
                });
            }
            Found::Interim(len) => drop(input.split_to(len)),
            Found::Broken => {
                return Err(Failed::malformed(
                    "the answer is not HTTP/1.1 as it should be",
                ));
            }
            Found::Part => match source.more(&mut input).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Failed::Broken {
                        against: source.speaks_for_its_end(),
                        why: "the connection was closed before an answer came".into(),
                    });
                }
                Err(error) => {
                    return Err(Failed::Broken {
                        against: source.speaks_for_its_end(),
                        why: error.to_string(),
                    });
                }
            },
        }
    }
}

impl Answer {
    /// Reads a refusal to its end, where that is near, so that its line can be used again.
    pub(crate) async fn discard(self, lines: &Lines) {
        /// The most that is read of a body only to keep its line.
        const WORTH_READING: u64 = 16 * 1024;
        /// And the longest that is waited for it: the call may have to go elsewhere.
        const WORTH_WAITING: Duration = Duration::from_millis(10);
        let Answer {
            head,
            mut input,
            mut source,
            ..
        } = self;
        let Body::Sized(bytes) = head.body else {
            return;
        };
        if !head.reusable || bytes > WORTH_READING {
            return;
        }
        let deadline = Instant::now() + WORTH_WAITING;
        input.advance(head.len);
        while (input.len() as u64) < bytes {
            let more = tokio::time::timeout_at(deadline, source.more(&mut input)).await;
            if !matches!(more, Ok(Ok(true))) {
                return;
            }
        }
        if input.len() as u64 == bytes
            && let Source::Line(line) = source
        {
            lines.give_back(line, input);
        }
    }

    /// Whether the platform's own limit refused the call: then nothing was executed. A bare 429 is the function's own.
    pub(crate) fn is_limiter_refusal(&self) -> bool {
        self.head.status == 429 && self.head.limiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const FULL: &[u8] = b"HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nfull";
    /// More than the sockets hold.
    static LONG: [u8; 1 << 20] = [b'b'; 1 << 20];

    /// A new line, and its other end.
    async fn line() -> (Line, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let io = TcpStream::connect(listener.local_addr().unwrap());
        let io = io.await.unwrap();
        SockRef::from(&io).set_send_buffer_size(4096).unwrap();
        (Line::new(io, false), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_that_came_before_a_reset_is_read() {
        let (mut line, mut other) = line().await;
        other.write_all(FULL).await.unwrap();
        other.set_zero_linger().unwrap();
        drop(other);
        // As this is loopback, the reset has come.
        assert_eq!(line.send(b"GET /function/f HTTP/1.1\r\n").await, 0);
        let read = answer(Source::Line(line), BytesMut::new(), false).await;
        let read = read.unwrap();
        assert_eq!((read.head.status, &read.input[..]), (503, FULL));
    }

    #[tokio::test]
    async fn who_refuses_a_request_need_not_take_it() {
        let (mut line, mut other) = line().await;
        other.write_all(FULL).await.unwrap();
        let sent = line.send(&LONG).await;
        assert!((1..LONG.len()).contains(&sent), "{sent}");
        let read = answer(Source::Line(line), BytesMut::new(), false).await;
        let read = read.unwrap();
        assert_eq!((read.head.status, &read.input[..]), (503, FULL));
        assert!(!read.head.reusable);
    }

    /// It sends back what it has read before it reads on.
    #[tokio::test]
    async fn who_answers_in_the_midst_of_a_request_gets_the_rest() {
        let (mut line, mut other) = line().await;
        let echoes = tokio::spawn(async move {
            let length = LONG.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            other.write_all(head.as_bytes()).await.unwrap();
            let (mut piece, mut left) = (vec![0; 4096], length);
            while left > 0 {
                let read = other.read(&mut piece).await.unwrap();
                assert!(read > 0, "{left} bytes did not come");
                other.write_all(&piece[..read]).await.unwrap();
                left -= read;
            }
        });
        line.send(&LONG).await;
        let Answer {
            head,
            mut input,
            mut source,
            ..
        } = answer(Source::Line(line), BytesMut::new(), false)
            .await
            .unwrap();
        while source.more(&mut input).await.unwrap() {}
        assert!(input[head.len..] == LONG);
        assert!(source.has_sent_all());
        echoes.await.unwrap();
    }
}
