//! A client that sees bytes: one HTTP/1.1 connection, for what a well-behaved library would hide.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A raw connection.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl RawClient {
    /// Connects to `HOST:PORT`.
    ///
    /// # Panics
    /// If nobody listens there.
    pub async fn connect(address: &str) -> RawClient {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        stream.set_nodelay(true).expect("the option is known");
        RawClient {
            stream,
            seen: Vec::new(),
        }
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .await
            .expect("the connection is open");
    }

    /// Sends bytes, if the other end still takes them.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn half_close(&mut self) {
        let closed = self.stream.shutdown().await;
        closed.expect("the connection is open");
    }

    /// Reads until the bytes seen so far contain `needle`, and returns all of them as text.
    ///
    /// # Panics
    /// If the connection ends or time passes before.
    pub async fn read_until(&mut self, needle: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let text = String::from_utf8_lossy(&self.seen).into_owned();
            if text.contains(needle) {
                return text;
            }
            let mut buffer = [0u8; 4096];
            let read = tokio::time::timeout_at(deadline, self.stream.read(&mut buffer)).await;
            match read {
                Ok(Ok(n)) if n > 0 => self.seen.extend_from_slice(&buffer[..n]),
                other => panic!("{needle:?} did not come ({other:?}); seen so far:\n{text}"),
            }
        }
    }

    /// Sends bytes for as long as the other end takes them, and reads meanwhile, until what was read contains `needle`: all of it, as
    /// text.
    ///
    /// # Panics
    /// If the connection ends or time passes before.
    pub async fn read_while_sending(&mut self, mut bytes: &[u8], needle: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let (mut from, mut to) = self.stream.split();
        loop {
            let text = String::from_utf8_lossy(&self.seen).into_owned();
            if text.contains(needle) {
                return text;
            }
            tokio::select! {
                read = from.read_buf(&mut self.seen) => {
                    assert!(matches!(read, Ok(n) if n > 0), "{needle:?} did not come ({read:?}); seen so far:\n{text}");
                }
                sent = to.write(bytes), if !bytes.is_empty() => {
                    bytes = sent.map_or(&[], |n| &bytes[n..]);
                }
                () = tokio::time::sleep_until(deadline) => {
                    panic!("{needle:?} did not come in time; seen so far:\n{text}");
                }
            }
        }
    }

    /// Reads until the other end closes, and returns everything as text.
    ///
    /// # Panics
    /// If it does not close in time.
    pub async fn read_to_end(&mut self) -> String {
        self.read_to_its_end().await.0
    }

    /// Reads until the connection ends, and returns everything as text, and how it ended.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn read_to_its_end(&mut self) -> (String, std::io::Result<()>) {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut self.seen)).await;
        let text = String::from_utf8_lossy(&self.seen).into_owned();
        match read {
            Ok(end) => (text, end.map(drop)),
            Err(_) => panic!("the other end did not close the connection; seen so far:\n{text}"),
        }
    }

    /// Reads some bytes, at most so many, and forgets them. Returns how many they were.
    ///
    /// # Panics
    /// If the connection ends or time passes before any come.
    pub async fn skip(&mut self, most: usize) -> usize {
        let mut buffer = vec![0; most];
        match tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer)).await {
            Ok(Ok(n)) if n > 0 => n,
            other => panic!("nothing came: {other:?}"),
        }
    }

    /// What came so far, if anything did.
    pub fn try_read(&mut self) -> Option<String> {
        let mut buffer = [0u8; 4096];
        if let Ok(n) = self.stream.try_read(&mut buffer) {
            self.seen.extend_from_slice(&buffer[..n]);
        }
        (!self.seen.is_empty()).then(|| String::from_utf8_lossy(&self.seen).into_owned())
    }

    /// Its own address.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn local_address(&self) -> std::net::SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }

    /// Forgets what was read.
    pub fn forget(&mut self) {
        self.seen.clear();
    }
}
