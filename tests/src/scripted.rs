//! An OpenFaaS gateway that does what a test says, down to the byte and the reset, and counts what it executed.
//!
//! Each call says by a header `X-At-NAME` what the gateway of that name does with it; see [`Act`].

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::message::{Head, Messages};

/// What a gateway does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `answer`: 200 with the call's id, the gateway's name, and the body's length and checksum.
    Answer,
    /// `delay=MS`: the same after a time.
    Delay(u64),
    /// `big=BYTES`: 200 with a sized body that repeats the call's id.
    Big(usize),
    /// `bigchunks=BYTES`: the same in chunks.
    BigChunks(usize),
    /// A status from 400 on: the function's own, bare.
    Status(u16),
    /// `limit`: the platform's limiter refuses after the head, before the body.
    Limit,
    /// `limit-late`: it refuses after the whole body.
    LimitLate,
    /// `limit-after=BYTES`: it refuses after so many bytes of the body.
    LimitAfter(usize),
    /// `limit-stuck`: it refuses, and the body of the refusal never ends.
    LimitStuck,
    /// `early`: 200 before the body, which is read afterwards.
    Early,
    /// `reset`: the connection is reset with the request unread.
    Reset,
    /// `reset-head`: it is reset after the request's head.
    ResetHead,
    /// `reset-byte`: it is reset after the first bytes of the answer.
    ResetByte,
    /// `reset-body`: it is reset in the body of the answer.
    ResetBody,
    /// `stall`: no answer ever.
    Stall,
    /// `stall-body`: an answer that never ends.
    StallBody,
    /// `then-close`: 200, and the connection is closed.
    ThenClose,
    /// `then-reset`: 200, and the connection is reset.
    ThenReset,
    /// `extra`: 200 with a second answer behind it for which nobody asked.
    Extra,
}

impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Act, String> {
        let unknown = || format!("no gateway knows how to {text:?}");
        let (word, number) = match text.split_once('=') {
            Some((word, number)) => (word, number.parse().map_err(|_| unknown())?),
            None => (text, 0),
        };
        Ok(match word {
            "answer" => Act::Answer,
            "delay" => Act::Delay(number),
            "big" => Act::Big(number as usize),
            "bigchunks" => Act::BigChunks(number as usize),
            "limit" => Act::Limit,
            "limit-late" => Act::LimitLate,
            "limit-after" => Act::LimitAfter(number as usize),
            "limit-stuck" => Act::LimitStuck,
            "early" => Act::Early,
            "reset" => Act::Reset,
            "reset-head" => Act::ResetHead,
            "reset-byte" => Act::ResetByte,
            "reset-body" => Act::ResetBody,
            "stall" => Act::Stall,
            "stall-body" => Act::StallBody,
            "then-close" => Act::ThenClose,
            "then-reset" => Act::ThenReset,
            "extra" => Act::Extra,
            status => Act::Status(status.parse().map_err(|_| unknown())?),
        })
    }
}

impl Act {
    /// Whether the function runs: it is past all that could refuse the call.
    fn executes(self) -> bool {
        !matches!(
            self,
            Act::Limit | Act::LimitLate | Act::LimitAfter(_) | Act::LimitStuck | Act::Reset
        )
    }
}

/// What became of one call, over all gateways of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// How often a gateway saw it.
    pub seen: u32,
    /// How often it was executed: the head was read, and nothing refused it any more.
    pub executed: u32,
    /// How often an answer with 200 was written to its end.
    pub served: u32,
}

/// The book that the gateways of a test keep together, by `X-Call-Id`.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<HashMap<String, Fate>>>);

impl Ledger {
    /// What became of a call.
    pub fn fate(&self, id: &str) -> Fate {
        self.lock().get(id).copied().unwrap_or_default()
    }

    /// What became of all calls.
    pub fn all(&self) -> HashMap<String, Fate> {
        self.lock().clone()
    }

    fn note(&self, id: &str, change: impl FnOnce(&mut Fate)) {
        change(self.lock().entry(id.to_owned()).or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Fate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running gateway; it ends when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    accepting: AbortHandle,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    script: String,
    listing: String,
    ledger: Ledger,
    closed: AtomicU64,
    broken: AtomicU64,
}

impl Gateway {
    /// Starts a gateway of that name with functions and their labels.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(
        name: &str,
        ledger: &Ledger,
        functions: &[(&str, &[(&str, &str)])],
    ) -> Gateway {
        let listing: Vec<serde_json::Value> = functions
            .iter()
            .map(|(function, labels)| {
                let labels: BTreeMap<_, _> = labels.iter().copied().collect();
                serde_json::json!({ "name": function, "labels": labels, "replicas": 1 })
            })
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let inner = Arc::new(Inner {
            script: format!("x-at-{name}"),
            listing: serde_json::Value::from(listing).to_string(),
            ledger: ledger.clone(),
            closed: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        });
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let accepting = tokio::spawn(accept(listener, Arc::clone(&inner))).abort_handle();
        Gateway {
            address,
            accepting,
            inner,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections that it closed after an answer. The other end's kernel knows, as this is loopback.
    pub fn closed(&self) -> u64 {
        self.inner.closed.load(Relaxed)
    }

    /// Connections that broke or ended at the other end within a request.
    pub fn broken(&self) -> u64 {
        self.inner.broken.load(Relaxed)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let inner = Arc::clone(&inner);
                connections.spawn(async move {
                    if Connection::new(stream, &inner).serve().await.is_err() {
                        inner.broken.fetch_add(1, Relaxed);
                    }
                });
            }
            Some(ended) = connections.join_next() => ended.expect("a gateway does not panic"),
        }
    }
}

struct Connection<'a> {
    messages: Messages<TcpStream>,
    inner: &'a Inner,
}

impl Connection<'_> {
    fn new(stream: TcpStream, inner: &Inner) -> Connection<'_> {
        let _ = stream.set_nodelay(true);
        Connection {
            messages: Messages::new(stream),
            inner,
        }
    }

    async fn serve(mut self) -> io::Result<()> {
        loop {
            if self.resets_unread().await? {
                return self.reset();
            }
            let Some(head) = self.messages.head().await? else {
                return Ok(());
            };
            let path = head.line.split(' ').nth(1).unwrap_or_default();
            if path.starts_with("/function/") {
                if !self.call(&head).await? {
                    return Ok(());
                }
            } else {
                let (status, body) = match path {
                    "/healthz" => (200, "OK"),
                    "/system/functions" => (200, self.inner.listing.as_str()),
                    _ => (404, "not found"),
                };
                self.write(&sized(status, "", body.as_bytes())).await?;
            }
        }
    }

    /// Looks at the next request without reading it. Returns whether its call is to be reset so.
    async fn resets_unread(&mut self) -> io::Result<bool> {
        if !self.messages.left_over().is_empty() {
            return Ok(false);
        }
        let mut peeked = vec![0; 16 * 1024];
        loop {
            let count = self.messages.stream().peek(&mut peeked).await?;
            let text = String::from_utf8_lossy(&peeked[..count]).to_ascii_lowercase();
            if count == 0 || text.contains("\r\n\r\n") {
                let wanted = format!("\r\n{}: reset\r\n", self.inner.script);
                if text.contains(&wanted) {
                    let id = text.split("x-call-id: ").nth(1).unwrap_or_default();
                    let id = id.split("\r\n").next().unwrap_or_default();
                    self.inner.ledger.note(id, |fate| fate.seen += 1);
                    return Ok(true);
                }
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Does with one call what its header says. Returns whether the connection can take another.
    async fn call(&mut self, head: &Head) -> io::Result<bool> {
        let act = match head.header(&self.inner.script).map(str::parse) {
            None => Act::Answer,
            Some(act) => act.expect("a test knows what a gateway can do"),
        };
        let id = head.header("x-call-id").unwrap_or_default().to_owned();
        self.inner.ledger.note(&id, |fate| {
            fate.seen += 1;
            fate.executed += u32::from(act.executes());
        });
        match act {
            Act::Limit => {
                self.write(&refusal()).await?;
                self.messages.request_body(head).await?;
            }
            Act::LimitLate => {
                self.messages.request_body(head).await?;
                self.write(&refusal()).await?;
            }
            Act::LimitAfter(bytes) => {
                while self.messages.left_over().len() < bytes {
                    if self.messages.more().await? == 0 {
                        return Ok(false);
                    }
                }
                self.write(&refusal()).await?;
                self.messages.request_body(head).await?;
            }
            Act::LimitStuck => {
                self.messages.request_body(head).await?;
                let whole = refusal();
                self.write(&whole[..whole.len() - 2]).await?;
                std::future::pending::<()>().await;
            }
            Act::Early => {
                self.served(&id, &sized(200, "", id.as_bytes())).await?;
                self.messages.request_body(head).await?;
            }
            // It was reset before its head was read, unless it came in the same packet as the body before it.
            Act::Reset | Act::ResetHead => return self.reset().map(|()| false),
            _ => {
                let body = self.messages.request_body(head).await?;
                return self.execute(act, &id, &body).await;
            }
        }
        Ok(true)
    }

    async fn execute(&mut self, act: Act, id: &str, body: &[u8]) -> io::Result<bool> {
        let receipt = format!(
            "{id} {} {} {}",
            self.inner.script,
            body.len(),
            checksum(body)
        );
        let answer = sized(200, "", receipt.as_bytes());
        match act {
            Act::Delay(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                self.served(id, &answer).await?;
            }
            Act::Big(bytes) => {
                self.served(id, &sized(200, "", &pattern(id, bytes)))
                    .await?
            }
            Act::BigChunks(bytes) => self.served(id, &chunked(&pattern(id, bytes))).await?,
            Act::Status(status) => {
                let text = format!("the function says {status} to {id}");
                self.write(&sized(status, "", text.as_bytes())).await?;
            }
            Act::ResetByte => {
                self.write(&answer[..3]).await?;
                return self.reset().map(|()| false);
            }
            Act::ResetBody => {
                self.write(&answer[..answer.len() - 3]).await?;
                // What is in flight when a connection is reset is lost; the agent reads it first.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return self.reset().map(|()| false);
            }
            Act::Stall => std::future::pending().await,
            Act::StallBody => {
                self.write(&answer[..answer.len() - 3]).await?;
                std::future::pending().await
            }
            Act::ThenClose => {
                self.served(id, &answer).await?;
                self.messages.stream().shutdown().await?;
                self.inner.closed.fetch_add(1, Relaxed);
                return Ok(false);
            }
            Act::ThenReset => {
                self.served(id, &answer).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
                return self.reset().map(|()| false);
            }
            Act::Extra => {
                let forged = sized(200, "X-Forged: yes\r\n", b"not yours");
                self.served(id, &[answer, forged].concat()).await?;
            }
            _ => self.served(id, &answer).await?,
        }
        Ok(true)
    }

    /// Writes an answer with 200.
    async fn served(&mut self, id: &str, answer: &[u8]) -> io::Result<()> {
        self.inner.ledger.note(id, |fate| fate.served += 1);
        self.write(answer).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.messages.stream().write_all(bytes).await
    }

    /// Resets the connection when it is dropped, which is at once.
    fn reset(&mut self) -> io::Result<()> {
        self.messages.stream().set_zero_linger()
    }
}

/// The call's id again and again, up to so many bytes: two calls' bodies differ everywhere.
pub fn pattern(id: &str, bytes: usize) -> Vec<u8> {
    id.bytes().cycle().take(bytes).collect()
}

/// FNV-1a, 64 bit.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn sized(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(10_000) {
        bytes.extend(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// The platform's own refusal: the limiter's header tells it from a function's 429.
fn refusal() -> Vec<u8> {
    let marker = "X-OpenFaaS-Internal: faas-middleware\r\n";
    sized(429, marker, b"Concurrent request limit exceeded.")
}
