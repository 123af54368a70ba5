//! One call over a connection of its own, whose answer is read to the end of the connection: exactly one must be there.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, timeout_at};

use crate::message::{Head, Messages};

/// How a call's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes, announced.
    Sized(usize),
    /// So many bytes, in chunks.
    Chunked(usize),
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// A whole answer and nothing behind it.
    Whole(Head, Vec<u8>),
    /// An answer that broke off within its body.
    Cut(Head),
    /// No answer: the connection broke or ended before it.
    Missing(String),
}

impl Answer {
    /// The status, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Answer::Whole(head, _) | Answer::Cut(head) => head.status().ok(),
            Answer::Missing(_) => None,
        }
    }

    /// The body of a whole answer, as text.
    ///
    /// # Panics
    /// If it is not whole.
    pub fn text(&self) -> String {
        match self {
            Answer::Whole(_, body) => String::from_utf8_lossy(body).into_owned(),
            other => panic!("no whole answer: {other:?}"),
        }
    }

    /// Whether it is a whole answer with 200.
    pub fn is_served(&self) -> bool {
        matches!(self, Answer::Whole(..)) && self.status() == Some(200)
    }
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    address: String,
    function: String,
    id: String,
    headers: String,
    framing: Framing,
    patience: Duration,
}

impl Call {
    /// A call without a body to a function at `HOST:PORT`.
    pub fn new(address: &str, function: &str, id: &str) -> Call {
        Call {
            address: address.into(),
            function: function.into(),
            id: id.into(),
            headers: String::new(),
            framing: Framing::None,
            patience: Duration::from_secs(20),
        }
    }

    /// Tells the gateway of that name what to do with it.
    pub fn at(mut self, gateway: &str, act: &str) -> Call {
        self.headers += &format!("X-At-{gateway}: {act}\r\n");
        self
    }

    /// With a body.
    pub fn body(mut self, framing: Framing) -> Call {
        self.framing = framing;
        self
    }

    /// How long the answer may take to its last byte.
    pub fn patience(mut self, patience: Duration) -> Call {
        self.patience = patience;
        self
    }

    /// To the ingress at another `HOST:PORT`.
    pub fn to(mut self, address: &str) -> Call {
        self.address = address.into();
        self
    }

    /// Its `X-Call-Id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its body.
    pub fn bytes(&self) -> Vec<u8> {
        match self.framing {
            Framing::None => Vec::new(),
            Framing::Sized(bytes) | Framing::Chunked(bytes) => {
                crate::scripted::pattern(&self.id, bytes)
            }
        }
    }

    /// Its bytes on the wire.
    pub fn request(&self) -> Vec<u8> {
        let (method, framing) = match self.framing {
            Framing::None => ("GET", String::new()),
            Framing::Sized(bytes) => ("POST", format!("Content-Length: {bytes}\r\n")),
            Framing::Chunked(_) => ("POST", "Transfer-Encoding: chunked\r\n".into()),
        };
        let Call {
            function,
            id,
            headers,
            ..
        } = self;
        let mut request = format!(
            "{method} /function/{function} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             X-Call-Id: {id}\r\n{headers}{framing}\r\n"
        )
        .into_bytes();
        match self.framing {
            Framing::Chunked(_) => {
                for piece in self.bytes().chunks(9_000) {
                    request.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                    request.extend(piece);
                    request.extend(b"\r\n");
                }
                request.extend(b"0\r\n\r\n");
            }
            _ => request.extend(self.bytes()),
        }
        request
    }

    /// Sends it and reads its answer.
    ///
    /// # Panics
    /// If nobody listens, or if anything follows the answer.
    pub async fn send(&self) -> Answer {
        let stream = TcpStream::connect(&self.address).await;
        let (read, mut write) = stream.expect("somebody listens").into_split();
        let request = self.request();
        let writing = tokio::spawn(async move {
            // An answer may come before the end of the body, and the rest is then not wanted.
            let _ = write.write_all(&request).await;
            write
        });
        let mut messages = Messages::new(read);
        let answer = read_answer(&mut messages, Instant::now() + self.patience).await;
        writing.abort();
        answer
    }

    /// Sends the first `sent` bytes of it, reads at most `read` bytes of what comes back, and goes away. With less than
    /// the whole sent, nothing is waited for.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn abandon(&self, sent: usize, read: usize) {
        let stream = TcpStream::connect(&self.address).await;
        let mut stream = stream.expect("somebody listens");
        let request = self.request();
        // The other end may have gone first.
        if stream.write_all(&request[..sent]).await.is_err() || sent < request.len() {
            return;
        }
        let mut left = read;
        let mut buffer = [0; 4096];
        while left > 0 {
            let most = left.min(buffer.len());
            match stream.read(&mut buffer[..most]).await {
                Ok(count) if count > 0 => left -= count,
                _ => return,
            }
        }
    }
}

async fn read_answer(messages: &mut Messages<OwnedReadHalf>, deadline: Instant) -> Answer {
    let head = match timeout_at(deadline, messages.head()).await {
        Ok(Ok(Some(head))) => head,
        other => return Answer::Missing(format!("{other:?}")),
    };
    let Ok(Ok(body)) = timeout_at(deadline, messages.answer_body(&head)).await else {
        return Answer::Cut(head);
    };
    // The connection ends here; a reset is an end as well, where the request was not read to its end.
    let end = async { while messages.more().await.is_ok_and(|count| count > 0) {} };
    let ended = timeout_at(deadline, end).await;
    assert!(
        ended.is_ok(),
        "the connection was not closed behind {head:?}"
    );
    assert!(
        messages.left_over().is_empty(),
        "behind the answer {head:?} came {:?}",
        String::from_utf8_lossy(messages.left_over())
    );
    Answer::Whole(head, body)
}
