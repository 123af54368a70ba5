//! Keep-alive connections of one thread to the platform and to neighbours.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;

use super::connect::{Connector, Target};
use super::heard_out::HeardOut;
use super::upgrade::Neighbour;
use super::{CallBody, PeerTlsError};

/// A connection that was idle for longer is closed. Below the keep-alive time of the usual gateways, so that it is
/// rarely the other end that closes.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// Why no answer came.
#[derive(Debug, Error)]
pub enum SendError {
    /// No connection could be made: nothing was sent.
    #[error("no connection could be made: {0}")]
    NotConnected(#[source] std::io::Error),
    /// This node cannot prove who it is: nothing was sent.
    #[error(transparent)]
    Identity(#[from] PeerTlsError),
    /// The other end closed a new connection at once: nothing was sent.
    #[error("the connection was closed as soon as it was made: {0}")]
    Unsent(#[source] hyper::Error),
    /// The connection broke, or the answer was not HTTP, after something may have been sent.
    #[error("the connection broke before an answer came: {0}")]
    Broken(#[from] hyper::Error),
    /// The same of a connection to the platform that carried calls before: it may have been closed as idle just then.
    #[error("the connection broke before an answer came: {0}")]
    Stale(#[source] hyper::Error),
}

impl SendError {
    /// Whether the other end cannot have executed anything.
    pub fn nothing_sent(&self) -> bool {
        !matches!(self, SendError::Broken(_) | SendError::Stale(_))
    }

    /// Whether it speaks against the other end. A client's body that broke off does not.
    pub fn speaks_against_target(&self) -> bool {
        match self {
            SendError::NotConnected(_) => true,
            // If more is wrong than that, the next new connection shows it.
            SendError::Identity(_) | SendError::Stale(_) => false,
            SendError::Unsent(error) | SendError::Broken(error) => !error.is_user(),
        }
    }
}

/// The connections of one thread.
#[derive(Debug)]
pub struct Pool {
    connector: Rc<Connector>,
    idle: RefCell<HashMap<Target, Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<CallBody>,
    since: Instant,
}

impl Pool {
    /// A pool without connections.
    pub fn new(connector: Rc<Connector>) -> Pool {
        Pool {
            connector,
            idle: RefCell::default(),
        }
    }

    /// Sends a call and returns the head of the answer with its body to come.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        self: &Rc<Self>,
        target: Target,
        mut request: Request<CallBody>,
    ) -> Result<Response<Leased>, SendError> {
        loop {
            let (mut sender, fresh) = match self.take_idle(target) {
                Some(sender) => (sender, false),
                None => (self.connect(target).await?, true),
            };
            if !fresh && sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(mut response) => {
                    let lease = Lease {
                        sender,
                        target,
                        pool: Rc::clone(self),
                    };
                    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                    if let (true, Target::Peer(node, ..)) = (switches, target) {
                        let neighbour = Neighbour(node, self.connector.membership());
                        response.extensions_mut().insert(neighbour);
                    }
                    return Ok(response.map(|body| Leased {
                        body,
                        ended: false,
                        switches,
                        lease: Some(lease),
                    }));
                }
                Err(mut error) => match error.take_message() {
                    // It was never sent: the connection had been closed while it was idle.
                    Some(unsent) if !fresh => request = unsent,
                    Some(_) => return Err(SendError::Unsent(error.into_error())),
                    None if !fresh && target == Target::Platform => {
                        return Err(SendError::Stale(error.into_error()));
                    }
                    None => return Err(error.into_error().into()),
                },
            }
        }
    }

    /// A new connection. One with a neighbour lives for as long as that may have any.
    async fn connect(&self, target: Target) -> Result<SendRequest<CallBody>, SendError> {
        let stream = HeardOut::new(self.connector.connect(target).await?);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let membership = self.connector.membership();
        tokio::task::spawn_local(async move {
            let connection = connection.with_upgrades();
            let ended = match target {
                Target::Platform => Some(connection.await),
                Target::Peer(node, ..) => membership.while_admitted(node, connection).await,
            };
            if let Some(Err(error)) = ended {
                tracing::trace!(%error, "an upstream connection ended");
            }
        });
        Ok(sender)
    }

    /// Closes connections that were idle for too long.
    pub fn close_idle(&self) {
        self.idle.borrow_mut().retain(|_, connections| {
            connections.retain(|c| c.since.elapsed() < IDLE_LIMIT && !c.sender.is_closed());
            !connections.is_empty()
        });
    }

    fn take_idle(&self, target: Target) -> Option<SendRequest<CallBody>> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(&target)?;
        // The last one back is the least likely to have been closed by the other end. One whose answer came before the
        // end of the call's body is busy with it for as long as the client is.
        while let Some(last) = connections.iter().rposition(|c| c.sender.is_ready()) {
            let connection = connections.remove(last);
            if connection.since.elapsed() < IDLE_LIMIT {
                return Some(connection.sender);
            }
        }
        None
    }

    fn give_back(&self, target: Target, sender: SendRequest<CallBody>) {
        if sender.is_closed() {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle.borrow_mut();
        idle.entry(target).or_default().push(Idle { sender, since });
    }
}

/// A connection that a call has to itself.
#[derive(Debug)]
struct Lease {
    sender: SendRequest<CallBody>,
    target: Target,
    pool: Rc<Pool>,
}

/// The body of an answer. Its connection goes back to the pool when the body was read to its end, and is closed if it
/// was not.
#[derive(Debug)]
pub struct Leased {
    body: Incoming,
    ended: bool,
    /// The connection changes to another protocol and is no use for calls any more.
    switches: bool,
    lease: Option<Lease>,
}

impl Leased {
    /// The most that is read of a body only to keep its connection.
    const WORTH_READING: u64 = 16 * 1024;
    /// The longest that is waited for it.
    const WORTH_WAITING: Duration = Duration::from_millis(100);

    /// Reads a small body to its end if it comes soon, so that its connection can be used again.
    pub async fn discard(mut self) {
        if self
            .size_hint()
            .upper()
            .is_some_and(|n| n <= Self::WORTH_READING)
        {
            let end = async { while let Some(Ok(_)) = self.frame().await {} };
            // If it does not come the connection is closed.
            let _ = tokio::time::timeout(Self::WORTH_WAITING, end).await;
        }
    }
}

impl Body for Leased {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = polled {
            self.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let ended = self.ended || self.body.is_end_stream();
        if ended
            && !self.switches
            && let Some(lease) = self.lease.take()
        {
            lease.pool.give_back(lease.target, lease.sender);
        }
    }
}
