//! The trunks of one thread to its neighbours, and the task of each connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::policy::Asked;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::time::Instant;

use super::calls::{Calls, There, TrunkCall};
use super::gathering::Gathering;
use super::reading::Reading;
use super::sending::Sending;
use crate::datapath::connect::{Connector, TrunkStream};

/// A trunk without a call for so many [`Trunks::close_idle`] is closed. They come every few seconds.
const IDLE_LIMIT: u64 = 12;
/// How long the end of a connection may take to be told.
const FAREWELL: Duration = Duration::from_secs(1);

/// The trunks of one thread, one to each neighbour that calls were sent to not long ago.
#[derive(Debug)]
pub struct Trunks {
    connector: Rc<Connector>,
    /// A few: it takes less to look through them than to hash.
    open: RefCell<Vec<Open>>,
    rounds: Cell<u64>,
}

#[derive(Debug)]
struct Open {
    to: (NodeId, SocketAddr, u32),
    calls: Rc<Calls>,
    used: u64,
}

impl Trunks {
    /// No trunks yet.
    pub(crate) fn new(connector: Rc<Connector>) -> Trunks {
        Trunks {
            connector,
            open: RefCell::default(),
            rounds: Cell::default(),
        }
    }

    /// Sends a plain call, head and body, to a neighbour that was away so often, on a trunk that is there since or on a new one.
    pub(crate) fn call(
        &self,
        node: NodeId,
        address: SocketAddr,
        absences: u32,
        asked: Asked,
        request: [&[u8]; 2],
    ) -> TrunkCall {
        let mut open = self.open.borrow_mut();
        let used = self.rounds.get();
        let to = (node, address, absences);
        let known = open.iter_mut().find(|trunk| trunk.to == to);
        if let Some(trunk) = known
            && let Some(call) = trunk.calls.call(asked, request)
        {
            trunk.used = used;
            return call;
        }
        let there = There {
            node: node.to_string().into(),
            ip: address.ip().to_string().into(),
        };
        let (calls, call) = Calls::with(there, asked, request);
        let connector = Rc::clone(&self.connector);
        tokio::task::spawn_local(run(connector, node, address, Rc::clone(&calls)));
        // One that takes no more calls makes room for it.
        open.retain(|trunk| trunk.to != to);
        open.push(Open { to, calls, used });
        call
    }

    /// Closes trunks that carried nothing for too long. To be called every few seconds.
    pub fn close_idle(&self) {
        let round = self.rounds.get() + 1;
        self.rounds.set(round);
        self.open.borrow_mut().retain_mut(|trunk| {
            if !trunk.calls.is_empty() {
                trunk.used = round;
            }
            if round - trunk.used >= IDLE_LIMIT {
                trunk.calls.close();
            }
            trunk.calls.takes()
        });
    }
}

/// The life of a trunk.
async fn run(connector: Rc<Connector>, node: NodeId, address: SocketAddr, calls: Rc<Calls>) {
    let stream = match connector.trunk(node, address).await {
        Ok(stream) => stream,
        Err(error) => {
            let against = error.speaks_against_target();
            return calls.end(0, against, &error.to_string());
        }
    };
    let mut connection = Connection {
        calls: &calls,
        reading: Reading::default(),
        sending: Sending::default(),
        batch: calls.handed(),
        taken_before: stream.get_ref().0.get_ref().taken(),
        stream,
        gathering: Gathering::default(),
    };
    let membership = connector.membership();
    let work = poll_fn(|cx| connection.poll(cx));
    let ended = membership.while_admitted(node, work).await;
    let why = match ended {
        Some(Ok(())) => "the neighbour closed the connection".to_owned(),
        Some(Err(error)) => format!("the connection broke before an answer came: {error}"),
        None => "the neighbour is no member any more".to_owned(),
    };
    tracing::debug!(neighbour = %node, why, "a trunk ended");
    let unsent = connection.first_unsent();
    let holds_unsent = unsent < calls.handed();
    calls.end(unsent, true, &why);
    if holds_unsent {
        return; // They may be tried elsewhere: TLS must not be made to send what it still has of them.
    }
    // A courtesy to the other end, which otherwise hears of it by a reset.
    let goodbye = poll_fn(|cx| Pin::new(&mut connection.stream).poll_shutdown(cx));
    let _ = tokio::time::timeout(FAREWELL, goodbye).await;
}

/// A trunk's connection.
struct Connection<'a> {
    stream: TrunkStream,
    calls: &'a Calls,
    reading: Reading,
    sending: Sending,
    /// The first call that may be among the frames that were handed over last.
    batch: u32,
    /// What the socket had taken when they were.
    taken_before: u64,
    gathering: Gathering,
}

impl Connection<'_> {
    /// Reads and writes until the connection ends.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Reading first: an end that has come already is not written to.
        while let Poll::Ready(read) = self.poll_read(cx) {
            if read? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        if self.sending.has_sent_all() && self.gathering.goes_on(self.calls.waiting(), cx) {
            return Poll::Pending;
        }
        if self.poll_write(cx)?.is_ready() && !self.calls.takes() && self.calls.is_empty() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let piece = ready!(Pin::new(&mut self.stream).poll_fill_buf(cx))?;
        let read = piece.len();
        let came = Instant::now();
        self.reading
            .follow(piece, |frame| self.calls.take_in(frame, came))
            .map_err(io::Error::other)?;
        Pin::new(&mut self.stream).consume(read);
        Poll::Ready(Ok(read))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.has_sent_all() {
                let batch = self.calls.handed();
                if !self.calls.hand_over(self.sending.next(), cx) {
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
                self.batch = batch;
                self.taken_before = self.taken();
            }
            ready!(self.sending.poll(&mut self.stream, cx))?;
        }
    }

    /// Bytes that the socket took.
    fn taken(&self) -> u64 {
        self.stream.get_ref().0.get_ref().taken()
    }

    /// The first call of which nothing was sent.
    fn first_unsent(&self) -> u32 {
        if self.taken() == self.taken_before {
            self.batch
        } else {
            self.calls.handed()
        }
    }
}
