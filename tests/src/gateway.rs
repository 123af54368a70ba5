//! An OpenFaaS gateway that a test plays itself, byte by byte: it sees what arrives and says what goes back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How long what should happen soon may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway with one function, `f`. It answers the questions of the control plane by itself; every call is the test's.
#[derive(Debug)]
pub struct Gateway {
    address: String,
    /// The answer to who asks for the functions.
    list: String,
    listens: Option<JoinHandle<TcpListener>>,
    stop: Arc<Notify>,
    sender: UnboundedSender<Call>,
    calls: UnboundedReceiver<Call>,
}

/// A request that arrived, and its connection.
#[derive(Debug)]
pub struct Call {
    /// The head, with the empty line at its end.
    pub head: String,
    /// What was read behind the head so far.
    pub rest: Vec<u8>,
    stream: TcpStream,
    back: UnboundedSender<Call>,
}

impl Gateway {
    /// A gateway whose function has these labels, as JSON: `{"dfaas.concurrency": "1"}`.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(labels: &str) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (sender, calls) = unbounded_channel();
        let list = format!(
            "[{{\"name\":\"f\",\"image\":\"i\",\"namespace\":\"openfaas-fn\",\"replicas\":1,\
             \"availableReplicas\":1,\"labels\":{labels}}}]"
        );
        let mut gateway = Gateway {
            address,
            list,
            listens: None,
            stop: Arc::default(),
            sender,
            calls,
        };
        gateway.take_connections(listener);
        gateway
    }

    /// Takes connections from now on, those first that wait there.
    pub fn take_connections(&mut self, listener: TcpListener) {
        let (stop, list) = (Arc::clone(&self.stop), self.list.clone());
        let sender = self.sender.clone();
        self.listens = Some(tokio::spawn(async move {
            loop {
                tokio::select! {
                    taken = listener.accept() => if let Ok((stream, _)) = taken {
                        let calls = sender.clone();
                        tokio::spawn(take(stream, Vec::new(), calls, list.clone()));
                    },
                    () = stop.notified() => return listener,
                }
            }
        }));
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next call.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn call(&mut self) -> Call {
        tokio::time::timeout(PATIENCE, self.calls.recv())
            .await
            .expect("a call comes")
            .expect("the gateway runs")
    }

    /// Lets connections pile up until the kernel makes no more: from then on they are neither made nor refused. What is
    /// returned keeps them.
    ///
    /// # Panics
    /// If it did so before.
    pub async fn stop_taking(&mut self) -> (TcpListener, Vec<TcpStream>) {
        self.stop.notify_one();
        let listens = self.listens.take().expect("it listens");
        let listener = listens.await.expect("it does not panic");
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(
            Duration::from_millis(200),
            TcpStream::connect(&self.address),
        )
        .await
        {
            waiting.push(stream);
        }
        (listener, waiting)
    }

    /// Answers every call from now on with 200 and `ok`, once it has come whole, and keeps what came.
    pub fn record(mut self) -> Recording {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let recorded = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Some(call) = self.calls.recv().await {
                tokio::spawn(call.record(Arc::clone(&recorded)));
            }
        });
        Recording(requests)
    }
}

/// What arrived at a gateway, request by request, bytes for bytes; one that broke off is marked at its end.
#[derive(Clone, Debug)]
pub struct Recording(Arc<Mutex<Vec<String>>>);

impl Recording {
    /// The mark of a request whose connection ended within it.
    pub const BROKEN_OFF: &str = "<broken off>";

    /// What arrived since the last time.
    ///
    /// # Panics
    /// If a test panicked while it looked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics with it"))
    }
}

/// Reads one request's head and hands it over, or answers it where it is the control plane's.
async fn take(
    mut stream: TcpStream,
    mut seen: Vec<u8>,
    calls: UnboundedSender<Call>,
    list: String,
) {
    loop {
        let Some(end) = find(&seen, b"\r\n\r\n") else {
            match stream.read_buf(&mut seen).await {
                Ok(n) if n > 0 => continue,
                _ => return,
            }
        };
        let rest = seen.split_off(end + 4);
        let head = String::from_utf8_lossy(&seen).into_owned();
        seen = rest;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path.split('?').next().unwrap_or_default() {
            "/system/functions" => ("200 OK", list.as_str()),
            "/healthz" => ("200 OK", ""),
            path if path.starts_with("/system/") => ("404 Not Found", ""),
            _ => {
                let (back, mut again) = unbounded_channel();
                let call = Call {
                    head,
                    rest: std::mem::take(&mut seen),
                    stream,
                    back,
                };
                if calls.send(call).is_err() {
                    return;
                }
                let Some(call) = again.recv().await else {
                    return;
                };
                (stream, seen) = (call.stream, call.rest);
                continue;
            }
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Call {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .find_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Sends bytes back.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.write_all(bytes.as_ref()).await;
        sent.expect("the connection is open");
    }

    /// Sends bytes back, if the other end still takes them.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Keeps the connection for further calls; the answer was sent, and what came behind the request belongs to the next.
    pub fn release(self) {
        let back = self.back.clone();
        let _ = back.send(self);
    }

    /// Resets the connection.
    ///
    /// # Panics
    /// If it is gone.
    pub fn reset(self) {
        self.stream
            .set_zero_linger()
            .expect("the connection is open");
    }

    /// Reads until what is behind the head contains `needle`, and returns all of it as text.
    ///
    /// # Panics
    /// If it does not come in time.
    pub async fn read_until(&mut self, needle: &str) -> String {
        let read = tokio::time::timeout(PATIENCE, async {
            while find(&self.rest, needle.as_bytes()).is_none() {
                let n = self.stream.read_buf(&mut self.rest).await;
                assert!(
                    matches!(n, Ok(n) if n > 0),
                    "the connection ended: {self:?}"
                );
            }
        });
        let read = read.await;
        assert!(read.is_ok(), "{needle:?} did not come: {self:?}");
        String::from_utf8_lossy(&self.rest).into_owned()
    }

    /// Reads so many bytes behind the head, or what comes of them before the other end closes, and forgets them. Returns how many came.
    pub async fn skip(&mut self, length: usize) -> usize {
        let mut read = self.rest.len();
        self.rest.clear();
        while read < length {
            match self.stream.read_buf(&mut self.rest).await {
                Ok(n) if n > 0 => read += n,
                _ => break,
            }
            self.rest.clear();
        }
        read
    }

    /// Reads until the other end closes, and returns what came behind the head.
    ///
    /// # Panics
    /// If it does not close in time.
    pub async fn closed(&mut self) -> String {
        let read = tokio::time::timeout(PATIENCE, async {
            while matches!(self.stream.read_buf(&mut self.rest).await, Ok(n) if n > 0) {}
        });
        assert!(read.await.is_ok(), "the other end did not close: {self:?}");
        String::from_utf8_lossy(&self.rest).into_owned()
    }

    /// Answers with a short text and keeps the connection for further calls. The request must have been read.
    pub async fn answer(mut self, status: &str, headers: &str, body: &str) {
        self.say(status, headers, body).await;
        self.release();
    }

    /// Answers with a short text and closes the connection, which resets it where a part of the request was not read.
    pub async fn answer_last(mut self, status: &str, headers: &str, body: &str) {
        self.say(status, headers, body).await;
    }

    async fn say(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await;
    }

    /// Reads the request to its end as its own headers frame it, keeps it and answers.
    async fn record(mut self, requests: Arc<Mutex<Vec<String>>>) {
        let chunked = self.header("transfer-encoding").is_some();
        let length = self.header("content-length").map(str::parse::<usize>);
        let length = length.map_or(0, |n| n.expect("a length that somebody checked"));
        let end = loop {
            let end = if chunked {
                find(&self.rest, b"0\r\n\r\n").map(|at| at + 5)
            } else {
                (self.rest.len() >= length).then_some(length)
            };
            if let Some(end) = end {
                break Some(end);
            }
            match self.stream.read_buf(&mut self.rest).await {
                Ok(n) if n > 0 => {}
                _ => break None,
            }
        };
        let rest = self.rest.split_off(end.unwrap_or(self.rest.len()));
        let body = String::from_utf8_lossy(&std::mem::replace(&mut self.rest, rest)).into_owned();
        let mark = end.map_or(Recording::BROKEN_OFF, |_| "");
        requests
            .lock()
            .expect("nobody panics with it")
            .push(format!("{}{body}{mark}", self.head));
        if end.is_some() {
            let body = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if self.stream.write_all(body.as_bytes()).await.is_ok() {
                self.release();
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}
