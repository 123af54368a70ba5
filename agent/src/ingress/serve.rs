//! A client's connection.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout};
use tokio_rustls::Accept;

use crate::datapath::headers::{self, NODE_ID, Origin, SERVER};
use crate::datapath::{AnswerBody, Asked, Context, Replay, Target, Tunnel, hang_up, relay, text};
use crate::deadline;
use crate::telemetry::turned_away::TurnedAway;
use crate::tls::H2;

use super::call::{Client, deliver};
use super::connection::{End, drive};
use super::entry::{entry, unread};
use super::front::Front;
use super::guard::{Guard, REFUSED, Speaks};
use super::http2::serve_http2;
use super::limits::Admitted;
use super::plain;
use super::refusal::Refusal;
use super::turned_away::{no_route, turn_away};
use super::watch::{Call, CallAnswer, Patience, Watch};

/// So much of an answer waits in a client's socket at most. The kernel says that a client takes bytes when a third of what may wait is gone,
/// and by itself it lets megabytes wait, which a slow client needs longer for than it may take nothing.
const MOST_UNSENT: u32 = 128 * 1024;

/// Serves one connection until it ends or `stop` says that the node drains.
pub async fn serve_connection(
    front: Arc<Front>,
    context: Rc<Context>,
    mut stream: TcpStream,
    address: SocketAddr,
    mut stop: Receiver<bool>,
) {
    let Ok(local) = stream.local_addr() else {
        return; // It is gone already.
    };
    let Some(admitted) = front.limits.admit(address.ip()) else {
        let why = TurnedAway::TooManyConnections;
        if front.tls.is_some() {
            context.shared.turned_away.count(why);
            return; // A handshake would cost more than the client is worth.
        }
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let words = "this client has too many connections here";
        return dismiss(&context, &mut stream, address.ip(), why, status, words).await;
    };
    let timeouts = &context.shared.timeouts;
    let patience = Patience {
        header: timeouts.header,
        idle: timeouts.idle,
    };
    // A client that is gone without a word ends its call, even where it sends nothing for hours.
    let keepalive = TcpKeepalive::new().with_time(patience.idle.max(Duration::from_secs(1)));
    let socket = SockRef::from(&stream);
    if let Err(error) = socket.set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "a connection is not kept alive");
    }
    if let Err(error) = socket.set_tcp_notsent_lowat(MOST_UNSENT) {
        tracing::debug!(%error, "a slow client may be taken for one that takes nothing");
    }
    let server = local.ip().to_string();
    let session = |scheme| {
        Rc::new(Session {
            context,
            admitted,
            client: Client {
                ip: address.ip(),
                origin: Origin {
                    address: headers::ascii(address.to_string()),
                    scheme: HeaderValue::from_static(scheme),
                },
                server: headers::ascii(server.clone()),
            },
        })
    };
    if let Some(tls) = &front.tls {
        let session = session("https");
        let secure = serve_secure(session, tls.accept(stream), address, patience, &mut stop);
        return Box::pin(secure).await;
    }
    let session = session("http");
    loop {
        let plain = plain::serve(
            &session.context,
            stream,
            address,
            &server,
            &session.admitted,
            patience,
            &mut stop,
        )
        .await;
        let (begun, read) = match plain {
            plain::End::Closed => return,
            plain::End::Other(stream, read) => (stream, read),
            plain::End::Late(mut stream) => {
                let status = StatusCode::REQUEST_TIMEOUT;
                let words = "the request did not come in time";
                let (context, ip) = (&session.context, address.ip());
                let why = TurnedAway::TooSlow;
                return dismiss(context, &mut stream, ip, why, status, words).await;
            }
        };
        // Boxed, so that a connection of plain calls has no room for it.
        let other = serve(&session, begun, read, false, patience, &mut stop);
        match Box::pin(other).await {
            Some(idle) => stream = idle,
            None => return,
        }
    }
}

/// Serves a connection whose handshake is still to come.
async fn serve_secure(
    session: Rc<Session>,
    handshake: Accept<TcpStream>,
    address: SocketAddr,
    patience: Patience,
    stop: &mut Receiver<bool>,
) {
    let turned_away = &session.context.shared.turned_away;
    let mut stream = match deadline::within(patience.header, pin!(handshake)).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            turned_away.count(TurnedAway::Handshake);
            return tracing::debug!(%error, client = %address, "a handshake failed");
        }
        None => {
            turned_away.count(TurnedAway::TooSlow);
            return tracing::debug!(client = %address, "a handshake took too long");
        }
    };
    let agreed = stream.get_ref().1.alpn_protocol() == Some(H2);
    loop {
        let served = serve(&session, stream, BytesMut::new(), agreed, patience, stop);
        match Box::pin(served).await {
            Some(idle) => stream = idle,
            None => return,
        }
    }
}

/// One connection, for its calls.
pub(super) struct Session {
    pub(super) context: Rc<Context>,
    admitted: Admitted,
    client: Client,
}

/// Finds out what a client speaks, unless HTTP/2 is `agreed`, and speaks it. Between two requests of HTTP/1 the stream is
/// returned, as the server and its buffers cost an idle connection three times what the rest does.
async fn serve<S>(
    session: &Rc<Session>,
    stream: S,
    read: BytesMut,
    agreed: bool,
    patience: Patience,
    stop: &mut Receiver<bool>,
) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = Rc::clone(session);
    let watch = Watch::new();
    let mut guard = Guard::new(stream, read, Rc::clone(&watch));
    if agreed {
        serve_http2(session, guard, &watch, patience, stop).await;
        return None;
    }
    let speaks = tokio::select! {
        speaks = timeout(patience.idle, guard.speaks()) => speaks,
        _ = stop.wait_for(|stop| *stop) => return None,
    };
    match speaks {
        Ok(Ok(Some(Speaks::Http1))) => serve_http1(session, guard, &watch, patience, stop).await,
        Ok(Ok(Some(Speaks::Http2))) => {
            serve_http2(session, guard, &watch, patience, stop).await;
            None
        }
        Ok(Ok(None) | Err(_)) | Err(_) => None,
    }
}

async fn serve_http1<S>(
    session: Rc<Session>,
    guard: Guard<S>,
    watch: &Rc<Watch>,
    patience: Patience,
    stop: &mut Receiver<bool>,
) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let (session, call) = (Rc::clone(&session), watch.call());
        let refusal = watch
            .refusal()
            .filter(|_| Request::method(&request).as_str() == REFUSED);
        async move { Ok::<_, Infallible>(answer(&session, call, refusal, request).await) }
    });
    let mut io = TokioIo::new(guard);
    let end = {
        let connection = hyper::server::conn::http1::Builder::new()
            // The guard and the watch see to it, and without a timer for each request.
            .header_read_timeout(None)
            .serve_connection(&mut io, service);
        let shared = &session.context.shared;
        let graceful = hyper::server::conn::http1::Connection::graceful_shutdown;
        drive(pin!(connection), graceful, watch, patience, shared, stop).await
    };
    let mut guard = io.into_inner();
    if let Some(tunnel) = watch.take_tunnel() {
        guard.open();
        tunnel.join(&mut guard).await;
        return None;
    }
    match end {
        End::Idle => return Some(guard.into_inner()),
        End::Served if guard.has_unread() => {
            guard.open();
            hang_up(&mut guard).await;
        }
        End::Served | End::Cut => {}
    }
    None
}

/// Ends a connection on which nothing is under way with an answer of the node's own.
async fn dismiss(
    context: &Context,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    client: IpAddr,
    why: TurnedAway,
    status: StatusCode,
    words: &str,
) {
    context.shared.turned_away.count(why);
    if let Some(mut entry) = unread(context, client) {
        entry.turned_away(why, status.as_u16());
        entry.sends(words.len() + 1);
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\ndfaas-node-id: {}\r\nretry-after: 1\r\nconnection: close\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{words}\n",
        context.shared.node,
        words.len() + 1,
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        hang_up(stream).await;
    }
}

/// Answers a request, or says why it is refused.
pub(super) async fn answer(
    session: &Session,
    call: Call,
    refusal: Option<Refusal>,
    request: Request<Incoming>,
) -> Response<CallAnswer> {
    let Session {
        context, client, ..
    } = session;
    let version = request.version();
    let asked = headers::asks_to_upgrade(version, request.headers()).is_some();
    let expects = request.headers().contains_key(EXPECT);
    let mut response = match refusal {
        Some(refusal) => {
            let unread = unread(context, client.ip);
            turn_away(context, refusal.reason(), unread, refusal.answer())
        }
        _ if !session.admitted.request() => {
            let entry = entry(context, client.ip, &request);
            let why = TurnedAway::TooManyRequests;
            turn_away(context, why, entry, too_many_requests())
        }
        _ => serve_request(context, client, request).await,
    };
    if let Some(tunnel) = Tunnel::opened_by(&mut response, asked) {
        call.connection().leave_to(tunnel);
    }
    let close = is_last(&response, expects);
    let headers = response.headers_mut();
    if close && version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(NODE_ID, context.shared.node_header.clone());
    if !headers.contains_key(SERVER) {
        headers.insert(SERVER, client.server.clone());
    }
    response.map(|body| call.body(body))
}

async fn serve_request(
    context: &Context,
    client: &Client,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let turned_away = |why, status, words: &str| {
        let entry = entry(context, client.ip, &request);
        turn_away(context, why, entry, text(status, words))
    };
    match Asked::of(request.uri().path()) {
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
        Asked::Functions => turned_away(
            TurnedAway::NoSuchPath,
            StatusCode::METHOD_NOT_ALLOWED,
            "functions are deployed at the platform itself; here they can only be listed",
        ),
        Asked::Unknown => turned_away(
            TurnedAway::NoSuchPath,
            StatusCode::NOT_FOUND,
            "there is /function/NAME, /system/functions and /healthz",
        ),
        Asked::Malformed => turned_away(
            TurnedAway::Malformed,
            StatusCode::BAD_REQUEST,
            "a function's name has letters, digits, -, _ and . only, and its path does not lead out of it",
        ),
    }
}

/// Whether the connection ends with an answer of the node's own: where the request was wrong, so that its end is not
/// certain, and where the client waits whether to send its body, which then nobody reads.
fn is_last(response: &Response<AnswerBody>, expects: bool) -> bool {
    let wrong = matches!(
        response.status(),
        StatusCode::BAD_REQUEST
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    (wrong || expects) && response.body().is_own()
}

fn too_many_requests() -> Response<AnswerBody> {
    let mut response = text(
        StatusCode::TOO_MANY_REQUESTS,
        "this client sends too many requests; try again",
    );
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Passes a request to the platform's gateway, its credentials and all, and the answer back.
async fn pass_to_platform(context: &Context, request: Request<Incoming>) -> Response<AnswerBody> {
    let (mut head, body) = request.into_parts();
    headers::strip_request(&mut head);
    let replay = Replay::new(body);
    let gateway = &context.shared.gateway.authority;
    let request = headers::attempt(&head, gateway, replay.attempt(None));
    let sent = context.pool.send(Target::Platform, request);
    let deadline = Instant::now() + context.shared.timeouts.request;
    match deadline::by(deadline, pin!(sent)).await {
        Some(Ok(response)) => relay(response, None),
        Some(Err(error)) => text(
            StatusCode::BAD_GATEWAY,
            format!("the platform at {gateway} does not answer: {error}"),
        ),
        None => text(
            StatusCode::GATEWAY_TIMEOUT,
            format!("the platform at {gateway} did not answer in time"),
        ),
    }
}
