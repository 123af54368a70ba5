//! One connection of the load: it sends a request and checks the answer.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::backend::ANSWER;
use crate::engine::CALLERS;
use crate::wire::{self, Framing};

/// Room for an answer.
const ROOM: usize = 16 * 1024;

/// A connection with at most one call on it.
pub(crate) struct Caller {
    token: Token,
    target: SocketAddr,
    stream: TcpStream,
    connected: bool,
    request: Vec<u8>,
    /// Since when a call is under way.
    since: Option<Instant>,
    sent: usize,
    room: Vec<u8>,
    filled: usize,
}

/// A call that was answered as it should.
pub(crate) struct Ended {
    /// When it was due.
    pub(crate) since: Instant,
    /// Whether the other end closes the connection.
    pub(crate) close: bool,
}

impl Caller {
    pub(crate) fn connect(
        index: usize,
        target: SocketAddr,
        request: Vec<u8>,
        registry: &Registry,
    ) -> Result<Caller> {
        let token = Token(CALLERS + index);
        Ok(Caller {
            token,
            target,
            stream: connect(target, token, registry)?,
            connected: false,
            request,
            since: None,
            sent: 0,
            room: vec![0; ROOM],
            filled: 0,
        })
    }

    /// Begins anew with a fresh connection; a call that was under way is forgotten.
    pub(crate) fn reconnect(&mut self, registry: &Registry) -> Result<()> {
        self.stream = connect(self.target, self.token, registry)?;
        self.connected = false;
        self.since = None;
        self.filled = 0;
        Ok(())
    }

    /// Whether a call is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.since.is_some()
    }

    /// Sends a call that is due since then. What goes wrong shows at the next event.
    pub(crate) fn call(&mut self, since: Instant) {
        self.since = Some(since);
        self.sent = 0;
        if self.connected {
            let _ = self.write();
        }
    }

    /// Goes on after an event; the call, if it was answered by that.
    ///
    /// # Errors
    /// If the connection failed or the answer is not the right one.
    pub(crate) fn ready(&mut self, event: &Event) -> Result<Option<Ended>> {
        if event.is_writable() {
            if !self.connected {
                if let Some(error) = self.stream.take_error()? {
                    return Err(error).context("the connection was not made");
                }
                self.connected = true;
            }
            self.write()?;
        }
        if event.is_readable() || event.is_read_closed() {
            return self.read(event.is_read_closed());
        }
        Ok(None)
    }

    fn write(&mut self) -> Result<()> {
        while self.since.is_some() && self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the request could not be sent"),
            }
        }
        Ok(())
    }

    fn read(&mut self, to_end: bool) -> Result<Option<Ended>> {
        loop {
            let room = &mut self.room[self.filled..];
            let asked = room.len();
            ensure!(asked > 0, "the answer is too long");
            match self.stream.read(room) {
                Ok(0) => bail!("the connection was closed"),
                Ok(read) => {
                    self.filled += read;
                    if let Some(mut ended) = self.answered()? {
                        ended.close |= to_end;
                        return Ok(Some(ended));
                    }
                    // Less than asked for: the socket is empty, and a new event tells when it is not.
                    if read < asked && !to_end {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the answer could not be read"),
            }
        }
    }

    /// Checks the answer; nothing as long as it is not whole.
    fn answered(&mut self) -> Result<Option<Ended>> {
        let bytes = &self.room[..self.filled];
        let Some(head) = wire::head(bytes)? else {
            return Ok(None);
        };
        let (body, data) = match head.framing {
            Framing::Length(length) => (length, length),
            Framing::Chunked => match wire::chunked(&bytes[head.bytes..])? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let whole = head.bytes + body;
        if self.filled < whole {
            return Ok(None);
        }
        let text = || String::from_utf8_lossy(&bytes[..self.filled.min(300)]).into_owned();
        ensure!(
            self.filled == whole,
            "more came than the answer: {}",
            text()
        );
        ensure!(
            bytes.starts_with(b"HTTP/1.1 200 ") && data == ANSWER.len(),
            "the answer is not the right one: {}",
            text()
        );
        let since = self.since.take().context("an answer came unasked")?;
        self.filled = 0;
        Ok(Some(Ended {
            since,
            close: head.close,
        }))
    }
}

fn connect(target: SocketAddr, token: Token, registry: &Registry) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(target)
        .with_context(|| format!("no connection to {target} can be made"))?;
    stream.set_nodelay(true)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut stream, token, interest)?;
    Ok(stream)
}
