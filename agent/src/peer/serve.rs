//! Taking calls that neighbours forward.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use dfaas_protocol::NodeId;
use dfaas_protocol::delivery::{Admission, Rejection, admit};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::datapath::headers::{self, HEADROOM, REFUSED};
use crate::datapath::{AnswerBody, Context, PeerTls, Replay, Run, run_here, text};
use crate::health;
use crate::ingress::function_in;
use crate::routing::Served;

/// Serves one connection until it ends or `stop` says that the node drains.
pub async fn serve_connection(
    context: Rc<Context>,
    stream: TcpStream,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(context.shared.tls.server());
    let limit = context.shared.timeouts.header;
    let stream = match tokio::time::timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a peer's handshake failed"),
        Err(_) => return tracing::debug!("a peer's handshake took too long"),
    };
    let from = match PeerTls::node_of(stream.get_ref().1.peer_certificates()) {
        Ok(node) => node,
        Err(error) => return tracing::debug!(%error, "a peer was not recognised"),
    };
    let service = service_fn(|request| {
        let context = Rc::clone(&context);
        async move { Ok::<_, Infallible>(take(&context, from, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, neighbour = %from, "a peer's connection ended");
    }
}

async fn take(context: &Context, from: NodeId, request: Request<Incoming>) -> Response<AnswerBody> {
    let shared = &context.shared;
    if request.uri().path() == health::PATH {
        return if shared.is_draining() {
            refuse("draining")
        } else if !shared.routes.load().has_neighbour(from) {
            refuse("not-a-neighbour")
        } else {
            text(StatusCode::OK, "OK")
        };
    }
    let Some(name) = function_in(request.uri().path()) else {
        return refuse("not-a-function");
    };
    let Some(served) = shared.routes.load().find(name).cloned() else {
        return refuse("not-here");
    };
    let mut response = if shared.is_draining() {
        refuse("draining")
    } else {
        match served.neighbours.get(&from) {
            Some(ran) => {
                let response = run_for(context, from, &served, request).await;
                if !response.headers().contains_key(REFUSED) {
                    ran.fetch_add(1, Relaxed);
                }
                response
            }
            None => refuse("not-a-neighbour"),
        }
    };
    if response.headers().contains_key(REFUSED) {
        served.counters.refused_to_peer();
    } else {
        served.counters.ran_for_peer();
    }
    if let Some(gate) = &served.route.here {
        let headroom = gate.headroom(shared.clock.now());
        let value = headers::ascii(headroom.to_string());
        response.headers_mut().insert(HEADROOM, value);
    }
    response
}

async fn run_for(
    context: &Context,
    from: NodeId,
    served: &Served,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let Some(local) = &served.local else {
        return refuse("not-here");
    };
    let deadline = Instant::now() + served.timeout;
    let clock = context.shared.clock;
    let slot = match admit(&served.route, from, clock.now()) {
        Admission::Run => local.running(),
        Admission::Wait(turn) => {
            match tokio::time::timeout_at(deadline, local.turn(turn, clock)).await {
                Ok(slot) => slot,
                Err(_) => return refuse("waited-too-long"),
            }
        }
        Admission::Refuse(rejection) => return refuse(rejection.as_str()),
    };
    let (mut head, body) = request.into_parts();
    headers::strip_hop_by_hop(&mut head.headers);
    headers::strip_ours(&mut head.headers);
    let replay = Replay::new(body);
    match run_here(context, slot, &head, &replay, deadline).await {
        Run::Answered(response) => response,
        Run::Refused => refuse(Rejection::PlatformRefused.as_str()),
        Run::Unreached => refuse(Rejection::PlatformDown.as_str()),
        Run::Failed(status, why) => text(status, why),
    }
}

/// Nothing was executed.
fn refuse(why: &'static str) -> Response<AnswerBody> {
    let mut response = text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("refused, nothing was executed: {why}"),
    );
    response
        .headers_mut()
        .insert(REFUSED, HeaderValue::from_static(why));
    response
}
