use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Intruder, client_hello};

/// How a connection falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// As soon as it is open.
    Opened,
    /// In the middle of the first message of a handshake.
    HalfHello,
    /// In the middle of the head of a request.
    HalfHead,
    /// When a handshake has agreed on speaking that.
    Shaken(&'static str),
}

/// Connections on which nothing comes any more.
#[derive(Debug)]
pub struct Held {
    reading: JoinSet<()>,
    all: usize,
}

/// Opens so many of them, as that member or stranger where there is a handshake, and falls silent. One that the other end refuses
/// counts as one that it ended.
pub async fn hold(who: &Intruder, address: &str, silence: Silence, count: usize) -> Held {
    let mut reading = JoinSet::new();
    for _ in 0..count {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        let begun: &[u8] = match silence {
            Silence::Opened => b"",
            Silence::HalfHello => &client_hello(b"dfaas-peer/1")[..60],
            Silence::HalfHead => b"POST /function/work HTTP/1.1\r\nHost: x\r\nX-",
            Silence::Shaken(speaks) => {
                drop(stream);
                if let Ok(stream) = who.connect(address, speaks).await {
                    reading.spawn(to_end(stream));
                }
                continue;
            }
        };
        if stream.write_all(begun).await.is_ok() {
            reading.spawn(to_end(stream));
        }
    }
    Held {
        reading,
        all: count,
    }
}

async fn to_end(mut stream: impl AsyncRead + Unpin) {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
}

impl Held {
    /// How many of them the other end has ended by now.
    pub fn ended(&mut self) -> usize {
        while self.reading.try_join_next().is_some() {}
        self.all - self.reading.len()
    }

    /// Waits until the other end has ended all of them. Returns whether it did.
    pub async fn all_end_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while !self.reading.is_empty() {
            if timeout_at(deadline, self.reading.join_next())
                .await
                .is_err()
            {
                return false;
            }
        }
        true
    }
}
