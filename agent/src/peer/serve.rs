//! Taking calls that neighbours forward.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dfaas_protocol::delivery::Rejection;
use dfaas_protocol::{Capacity, NodeId};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::datapath::headers::{self, CALL_ID, HEADROOM, REFUSED};
use crate::datapath::trunk::Wire;
use crate::datapath::{
    AnswerBody, Context, Metered, PeerTls, Replay, Run, Shared, Speaks, Tunnel, Weighed, buffered,
    end_in_silence, function_in, hang_up, notice_dead_end, run_here, text,
};
use crate::deadline;
use crate::explain::{Begun, Ending, Explained, Missed};
use crate::health;
use crate::joining::{self, Issuing};
use crate::routing::Served;

use super::admit::{Admitted, Forwarded, admit};
use super::trunk::serve_trunk;

/// How long the body of a call that is refused may take to come.
const BODY_PATIENCE: Duration = Duration::from_millis(100);

type PeerStream = TlsStream<BufReader<Wire>>;

/// Serves one connection until it ends, its node is no member any more, or `stop` says that the node drains.
pub async fn serve_connection(
    context: Rc<Context>,
    stream: TcpStream,
    address: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let limit = context.shared.timeouts.header;
    let place = context.shared.unproved.enter(address.ip());
    notice_dead_end(&stream);
    // In a box, as a connection outlives its handshake by far.
    let handshake = Box::pin(async {
        let accepted = pin!(accept(&context.shared, stream));
        deadline::within(limit, accepted).await
    });
    let stream = match place.hold(handshake).await {
        Some(Some(Ok(Some(stream)))) => stream,
        Some(Some(Ok(None))) => return,
        Some(Some(Err(error))) => return tracing::debug!(%error, "a peer's handshake failed"),
        Some(None) => return tracing::debug!("a peer's handshake took too long"),
        None => return tracing::debug!(%address, "a peer's handshake gave way to newer ones"),
    };
    let from = match PeerTls::node_of(stream.get_ref().1.peer_certificates()) {
        Ok(node) => node,
        Err(error) => return tracing::debug!(%error, "a peer was not recognised"),
    };
    let membership = context.shared.tls.membership().clone();
    let served = serve(context, stream, from, stop);
    // If it is cut, it is cut in the middle of whatever it does.
    membership.while_admitted(from, served).await;
}

/// Shakes hands with a peer. Whoever wants a certificate of this node gets it in passing; then there is no connection left.
async fn accept(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<Option<PeerStream>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), buffered(stream)).await?;
    let wants_to_join = |_: &&Issuing| Speaks::Join.is_all_that(&start.client_hello());
    let Some(issuing) = shared.issuing.as_ref().filter(wants_to_join) else {
        return start.into_stream(shared.tls.server()).await.map(Some);
    };
    let Some(_turn) = issuing.turn() else {
        tracing::debug!("too many ask for certificates at one time");
        return Ok(None);
    };
    let asked = async {
        let stream = start.into_stream(shared.tls.joining_server()).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let node = PeerTls::node_of(certificates).map_err(io::Error::other)?;
        let shown = PeerTls::membership_of(certificates);
        issuing.serve(stream, node, shown).await
    };
    match deadline::within(joining::LIMIT, pin!(asked)).await {
        Some(served) => served.map(|()| None),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn serve(
    context: Rc<Context>,
    stream: PeerStream,
    from: NodeId,
    mut stop: watch::Receiver<bool>,
) {
    let Some(metered) = context.shared.allowances.connection(from) else {
        return tracing::debug!(%from, "a neighbour has too many connections here");
    };
    let (socket, tls) = stream.get_ref();
    if Speaks::agreed(tls.alpn_protocol()) == Speaks::Trunk {
        end_in_silence(socket.get_ref().socket());
        return serve_trunk(context, stream, from, metered, stop).await;
    }
    let stream = Weighed::new(stream, metered.again());
    let tunnel = RefCell::new(None);
    let service = service_fn(|request| {
        let (context, tunnel, metered) = (Rc::clone(&context), &tunnel, &metered);
        async move {
            let asked = headers::asks_to_upgrade(request.version(), request.headers()).is_some();
            let mut response = take(&context, from, metered, request).await;
            *tunnel.borrow_mut() = Tunnel::opened_by(&mut response, asked);
            Ok::<_, Infallible>(response)
        }
    });
    let mut stream = TokioIo::new(stream);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(&mut stream, service);
    let ended = {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stop.wait_for(|stop| *stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    match (ended, tunnel.take()) {
        (_, Some(tunnel)) => tunnel.join(stream.inner_mut()).await,
        // It may still send the body of a call that was answered before its end.
        (Ok(()), None) => hang_up(stream.inner_mut()).await,
        (Err(error), None) => {
            tracing::trace!(%error, neighbour = %from, "a peer's connection ended");
        }
    }
}

async fn take(
    context: &Context,
    from: NodeId,
    metered: &Metered,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let shared = &context.shared;
    if request.uri().path() == health::PATH {
        return if shared.is_draining() {
            refuse(request, "draining").await
        } else if !shared.routes.load().has_neighbour(from) {
            refuse(request, "not-a-neighbour").await
        } else {
            text(StatusCode::OK, "OK")
        };
    }
    let may_come = metered.take(shared.clock.now());
    let Some(name) = function_in(request.uri().path()) else {
        return refuse(request, "not-a-function").await;
    };
    let Some(served) = shared.routes.load().find(name).cloned() else {
        return refuse(request, "not-here").await;
    };
    let id = request.headers().get(CALL_ID);
    let explained = context.explain(Begun {
        id: id.map_or(b"", |id| id.as_bytes()),
        function: served.number,
        since: Instant::now().into_std(),
        from: Some(from),
    });
    let mut response = run_for(context, (from, may_come), &served, request, explained).await;
    if response.headers().contains_key(REFUSED) {
        served.counters.refused_to_peer();
    } else {
        served.counters.ran_for_peer();
    }
    if let Some(gate) = &served.route.here {
        let mut headroom = shared.says(gate, shared.clock.now());
        // When the neighbour reads this, the call that it answers is over.
        if response.body().frees_slot() && matches!(gate.capacity(), Capacity::Slots(_)) {
            let size = i32::try_from(headroom.size).unwrap_or(i32::MAX);
            headroom.free = headroom.free.saturating_add(1).min(size);
        }
        let value = headers::ascii(headroom.to_string());
        response.headers_mut().insert(HEADROOM, value);
    }
    response
}

async fn run_for(
    context: &Context,
    (from, may_come): (NodeId, bool),
    served: &Served,
    request: Request<Incoming>,
    mut explained: Explained<'_>,
) -> Response<AnswerBody> {
    let arrived = Instant::now();
    let call = Forwarded {
        from,
        served,
        may_come,
        priority: headers::priority(request.headers()),
        within: headers::deadline(request.headers()),
        arrived,
    };
    let Admitted { slot, ran } = match admit(&context.shared, call, &mut explained).await {
        Ok(admitted) => admitted,
        Err(why) => {
            explained.refused_to_peer(why);
            return refuse(request, why).await;
        }
    };
    let (mut head, body) = request.into_parts();
    headers::strip_request(&mut head);
    let replay = Replay::new(body);
    match run_here(context, slot, &head, &replay, arrived + served.timeout).await {
        Run::Answered(response) => {
            ran.fetch_add(1, Relaxed);
            explained.ended_now(Ending::RunForPeer, response.status().as_u16());
            response
        }
        Run::Refused(_) => {
            let why = Rejection::PlatformRefused.as_str();
            explained.missed(Missed::Refused(""));
            explained.refused_to_peer(why);
            refused(why, replay.has_ended())
        }
        Run::Unreached => {
            let why = Rejection::PlatformDown.as_str();
            explained.missed(Missed::Unreached);
            explained.refused_to_peer(why);
            refused(why, replay.has_ended())
        }
        Run::Failed(status, why) => {
            ran.fetch_add(1, Relaxed);
            explained.ended_now(Ending::Failed, status.as_u16());
            text(status, why)
        }
    }
}

/// Nothing was executed. What of the body comes unasked is read, so that the connection can be used again.
async fn refuse(request: Request<Incoming>, why: &'static str) -> Response<AnswerBody> {
    let waits = request.headers().contains_key(EXPECT);
    let mut body = request.into_body();
    let ended = body.is_end_stream()
        || !waits && {
            let end = async { while let Some(Ok(_)) = body.frame().await {} };
            tokio::time::timeout(BODY_PATIENCE, end).await.is_ok()
        };
    refused(why, ended)
}

/// Nothing was executed. Without the end of the body the connection ends too, and the neighbour must be told so: it would
/// send its next call on a connection that is just being closed, and that call could not be tried again.
fn refused(why: &'static str, ended: bool) -> Response<AnswerBody> {
    let mut response = text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("refused, nothing was executed: {why}"),
    );
    let headers = response.headers_mut();
    headers.insert(REFUSED, HeaderValue::from_static(why));
    if !ended {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
