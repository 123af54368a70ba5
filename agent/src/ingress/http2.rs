//! Clients that speak HTTP/2. Their calls go on as HTTP/1.1, so each request is first brought into the form that it has
//! there.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch::Receiver;

use crate::datapath::plain::is_host;

use super::connection::drive;
use super::guard::Guard;
use super::head::MAX_HEAD;
use super::pump::StreamAnswer;
use super::refusal::Refusal;
use super::serve::{Session, answer};
use super::watch::{Patience, Watch};

/// The most calls of one connection at one time.
const MAX_STREAMS: u32 = 128;
/// The most streams that a client may have reset before they were looked at (CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// The most streams that this node resets because of a client's mistakes, before it ends the connection.
const MAX_MISTAKES: usize = 128;
/// How much of an answer waits for one stream to take it, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How long a client may take to answer a ping.
const PING: Duration = Duration::from_secs(20);

/// Runs streams on the connection's own thread.
#[derive(Clone, Copy, Debug)]
struct SameThread;

impl<F: Future + 'static> Executor<F> for SameThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(async move {
            stream.await;
        });
    }
}

/// Serves a connection whose client speaks HTTP/2.
pub(super) async fn serve_http2<S>(
    session: Rc<Session>,
    mut guard: Guard<S>,
    watch: &Rc<Watch>,
    patience: Patience,
    stop: &mut Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    guard.open();
    watch.head_ended();
    let service = {
        let (session, watch) = (Rc::clone(&session), Rc::clone(watch));
        service_fn(move |mut request: Request<Incoming>| {
            let (session, call) = (Rc::clone(&session), watch.call());
            async move {
                let refusal = bring_into_form(&mut request).err();
                let answer = answer(&session, call, refusal, request).await;
                let answer = answer.map(|body| StreamAnswer::new(body, patience.idle));
                Ok::<_, Infallible>(answer)
            }
        })
    };
    let connection = hyper::server::conn::http2::Builder::new(SameThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_MISTAKES)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(patience.idle)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(guard), service);
    let shared = &session.context.shared;
    let graceful = hyper::server::conn::http2::Connection::graceful_shutdown;
    drive(pin!(connection), graceful, watch, patience, shared, stop).await;
}

/// Makes of the head what it is in HTTP/1.1 (RFC 9113, 8.2.3 and 8.3.1): `Host` says the authority, and there is one
/// `Cookie`.
fn bring_into_form<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    if request.method() == Method::CONNECT || !request.uri().path().starts_with('/') {
        return Err(Refusal::Target);
    }
    let authority = request.uri().authority();
    let authority = authority.and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    let headers = request.headers_mut();
    let host = one(headers, HOST).map_err(|()| Refusal::Host)?;
    let host = match (authority, host) {
        (Some(authority), Some(host)) if authority != host => return Err(Refusal::Host),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => return Err(Refusal::Host),
    };
    if !is_host(host.as_bytes()) {
        return Err(Refusal::Host);
    }
    headers.insert(HOST, host);
    one(headers, CONTENT_LENGTH).map_err(|()| Refusal::ContentLength)?;
    let cookies = headers.get_all(COOKIE);
    if cookies.iter().nth(1).is_some() {
        let crumbs: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
        // What was valid in parts is valid as a whole.
        if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            headers.insert(COOKIE, cookie);
        }
    }
    Ok(())
}

/// The value of a field that may be there once.
fn one(headers: &HeaderMap, name: hyper::header::HeaderName) -> Result<Option<HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.cloned()),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(uri: &str, fields: &[(&str, &str)]) -> Result<HeaderMap, Refusal> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        bring_into_form(&mut request)?;
        Ok(request.into_parts().0.headers)
    }

    #[test]
    fn a_request_has_the_form_of_the_older_protocol() {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("x", "1")];
        let headers = form("https://h:1/function/f", &crumbs).unwrap();
        assert_eq!(headers[HOST], "h:1");
        assert_eq!(headers.get_all(COOKIE).iter().count(), 1);
        assert_eq!(headers[COOKIE], "a=1; b=2; c=3");
        let headers = form("/function/f", &[("host", "h")]).unwrap();
        assert_eq!(headers[HOST], "h");
        assert!(form("http://h/f", &[("host", "h")]).is_ok());
    }

    #[test]
    fn what_would_be_in_doubt_there_is_refused_here() {
        for (uri, fields, refusal) in [
            ("/f", &[][..], Refusal::Host),
            ("http://h/f", &[("host", "other")], Refusal::Host),
            ("http://u@h/f", &[], Refusal::Host),
            ("/f", &[("host", "h"), ("host", "h")], Refusal::Host),
            ("/f", &[("host", "a, b")], Refusal::Host),
            (
                "http://h/f",
                &[("content-length", "1"), ("content-length", "1")],
                Refusal::ContentLength,
            ),
            ("*", &[("host", "h")], Refusal::Target),
        ] {
            assert_eq!(form(uri, fields), Err(refusal), "{uri} {fields:?}");
        }
    }
}
