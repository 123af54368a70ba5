//! The backend: it looks like an OpenFaaS gateway, and answers as cheaply as can be.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::Result;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::wire::{self, Framing};

/// What a function answers with.
pub(crate) const ANSWER: &str = "sixteen bytes :)";
/// Room for a request with its body; a longer body goes through it in pieces.
const ROOM: usize = 16 * 1024;

/// All listeners and connections of the backend. The token of one is its index.
#[derive(Default)]
pub(crate) struct Backend {
    ends: Vec<Option<End>>,
}

enum End {
    Listener(TcpListener, usize),
    Connection(Box<Connection>),
}

/// A connection, which only the other end closes: whoever closes first keeps the port busy for a minute (`TIME_WAIT`), and a
/// proxy that takes a new connection for each call would use up all ports within a second.
struct Connection {
    stream: TcpStream,
    functions: usize,
    room: Vec<u8>,
    filled: usize,
    /// Bytes of a body that are still to come and to be thrown away.
    skip: usize,
    out: Vec<u8>,
}

impl Backend {
    /// A gateway with so many functions, on a free port of loopback.
    pub(crate) fn listen(&mut self, functions: usize, registry: &Registry) -> Result<SocketAddr> {
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        registry.register(&mut listener, Token(self.ends.len()), Interest::READABLE)?;
        self.ends.push(Some(End::Listener(listener, functions)));
        Ok(address)
    }

    /// Something happened at one of the ends.
    pub(crate) fn ready(&mut self, token: usize, event: &Event, registry: &Registry) {
        match self.ends.get_mut(token) {
            Some(Some(End::Listener(listener, functions))) => {
                let functions = *functions;
                let mut taken = Vec::new();
                while let Ok((stream, _)) = listener.accept() {
                    taken.push(stream);
                }
                for stream in taken {
                    // A connection that is gone again by now needs nothing.
                    let _ = self.take(stream, functions, registry);
                }
            }
            Some(Some(End::Connection(connection))) => {
                let served = connection.serve(event);
                if served.is_err() {
                    self.ends[token] = None;
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, mut stream: TcpStream, functions: usize, registry: &Registry) -> Result<()> {
        stream.set_nodelay(true)?;
        let token = self.ends.iter().position(Option::is_none);
        let token = token.unwrap_or_else(|| {
            self.ends.push(None);
            self.ends.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(token), interest)?;
        self.ends[token] = Some(End::Connection(Box::new(Connection {
            stream,
            functions,
            room: vec![0; ROOM],
            filled: 0,
            skip: 0,
            out: Vec::new(),
        })));
        Ok(())
    }
}

impl Connection {
    /// Answers what has come.
    ///
    /// # Errors
    /// If the connection has ended, in whichever way.
    fn serve(&mut self, event: &Event) -> Result<()> {
        if event.is_writable() {
            self.write()?;
        }
        if !event.is_readable() && !event.is_read_closed() {
            return Ok(());
        }
        loop {
            let room = &mut self.room[self.filled..];
            let asked = room.len();
            match self.stream.read(room) {
                Ok(0) => anyhow::bail!("the other end closed"),
                Ok(read) => {
                    self.filled += read;
                    self.answer_all()?;
                    self.write()?;
                    // Less than asked for: the socket is empty, and a new event tells when it is not.
                    if read < asked && !event.is_read_closed() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn answer_all(&mut self) -> Result<()> {
        let mut at = self.filled.min(self.skip);
        self.skip -= at;
        while at < self.filled && self.skip == 0 {
            let bytes = &self.room[at..self.filled];
            let Some(head) = wire::head(bytes)? else {
                anyhow::ensure!(at > 0 || self.filled < ROOM, "a head that is too long");
                break;
            };
            let body = match head.framing {
                Framing::Length(length) => length,
                Framing::Chunked => match wire::chunked(&bytes[head.bytes..])? {
                    Some((taken, _)) => taken,
                    None => break,
                },
            };
            answer(self.functions, bytes, &mut self.out);
            let whole = head.bytes + body;
            let here = whole.min(bytes.len());
            self.skip = whole - here;
            at += here;
        }
        self.room.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn answer(functions: usize, request: &[u8], out: &mut Vec<u8>) {
    let path = wire::path(request);
    if path.starts_with(b"/function/f") {
        write_answer(out, "200 OK", "text/plain", ANSWER);
    } else if path == b"/system/functions" {
        write_answer(out, "200 OK", "application/json", &listing(functions));
    } else if path == b"/healthz" || path == b"/" {
        write_answer(out, "200 OK", "text/plain", "OK");
    } else {
        write_answer(out, "404 Not Found", "text/plain", "no such path");
    }
}

fn write_answer(out: &mut Vec<u8>, status: &str, kind: &str, body: &str) {
    for part in [
        "HTTP/1.1 ",
        status,
        "\r\nContent-Type: ",
        kind,
        "\r\nX-Duration-Seconds: 0.000010\r\nContent-Length: ",
        &body.len().to_string(),
        "\r\n\r\n",
        body,
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The functions as a gateway lists them. No limit of theirs is ever reached.
fn listing(functions: usize) -> String {
    let mut list = String::from("[");
    for index in 0..functions {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(
            list,
            r#"{comma}{{"name":"f{index}","namespace":"openfaas-fn","image":"example/f{index}:1","replicas":1,"availableReplicas":1,"labels":{{"dfaas.concurrency":"100000"}}}}"#
        );
    }
    list.push(']');
    list
}
