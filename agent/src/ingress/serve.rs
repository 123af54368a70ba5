//! A client's connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::datapath::headers::{self, NODE_ID, SERVER};
use crate::datapath::{AnswerBody, Context, Replay, Target, relay, text};

use super::begun::Begun;
use super::call::{Client, deliver};
use super::in_flight::{entry, no_route};
use super::path::Asked;
use super::plain;

/// Serves one connection until it ends or `stop` says that the node drains.
pub async fn serve_connection(
    context: Rc<Context>,
    stream: TcpStream,
    address: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(local) = stream.local_addr() else {
        return; // It is gone already.
    };
    let server = local.ip().to_string();
    let plain = plain::serve(&context, stream, address, &server, &mut stop).await;
    let Some((stream, begun)) = plain else {
        return;
    };
    let client = Client {
        ip: address.ip(),
        address: headers::ascii(address.ip().to_string()),
        server: headers::ascii(server),
    };
    let header_limit = context.shared.timeouts.header;
    let service = service_fn(|request| {
        let context = Rc::clone(&context);
        let client = client.clone();
        async move { Ok::<_, Infallible>(answer(&context, &client, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_limit)
        .serve_connection(TokioIo::new(Begun::new(begun, stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, client = %address, "a client's connection ended");
    }
}

async fn answer(
    context: &Context,
    client: &Client,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let asked = Asked::of(request.uri().path());
    let mut response = match asked {
        Asked::Function(name) => {
            let served = context.shared.routes.load().find(name).cloned();
            match served {
                Some(served) => deliver(context, client, served, request).await,
                None => no_route(context, name, entry(context, client.ip, &request)),
            }
        }
        Asked::Health if context.shared.is_draining() => {
            text(StatusCode::SERVICE_UNAVAILABLE, "this node drains")
        }
        Asked::Health => text(StatusCode::OK, "OK"),
        Asked::Functions if request.method() == Method::GET => {
            pass_to_platform(context, request).await
        }
        Asked::Functions => text(
            StatusCode::METHOD_NOT_ALLOWED,
            "functions are deployed at the platform itself; here they can only be listed",
        ),
        Asked::Unknown => text(
            StatusCode::NOT_FOUND,
            "there is /function/NAME, /system/functions and /healthz",
        ),
    };
    let headers = response.headers_mut();
    headers.insert(NODE_ID, context.shared.node_header.clone());
    if !headers.contains_key(SERVER) {
        headers.insert(SERVER, client.server.clone());
    }
    response
}

/// Passes a request to the platform's gateway, its credentials and all, and the answer back.
async fn pass_to_platform(context: &Context, request: Request<Incoming>) -> Response<AnswerBody> {
    let (mut head, body) = request.into_parts();
    headers::strip_hop_by_hop(&mut head.headers);
    headers::strip_ours(&mut head.headers);
    let replay = Replay::new(body);
    let gateway = &context.shared.gateway.authority;
    let request = headers::attempt(&head, gateway, replay.attempt(None));
    let deadline = Instant::now() + context.shared.timeouts.request;
    let sent = context.pool.send(Target::Platform, request);
    match tokio::time::timeout_at(deadline, sent).await {
        Ok(Ok(response)) => relay(response, None),
        Ok(Err(error)) => text(
            StatusCode::BAD_GATEWAY,
            format!("the platform at {gateway} does not answer: {error}"),
        ),
        Err(_) => text(
            StatusCode::GATEWAY_TIMEOUT,
            format!("the platform at {gateway} did not answer in time"),
        ),
    }
}
