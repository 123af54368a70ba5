//! The gateway of the embedded platform: which path leads where.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::header::{ALLOW, EXPECT, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{Answer, text};
use super::function::Functions;
use super::request::discard;
use super::{builtin, system};
use crate::platform::Pace;

const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
/// Marks an answer that the platform gave in place of the function.
const INTERNAL: HeaderName = HeaderName::from_static("x-openfaas-internal");

const SERVER: &str = concat!("dfaas-embedded/", env!("CARGO_PKG_VERSION"));
const METHODS: &str = "POST, PUT, PATCH, DELETE, GET, OPTIONS, HEAD";

/// Leads requests to functions, and tells of them.
#[derive(Debug)]
pub(super) struct Router {
    functions: Functions,
    pace: Arc<Pace>,
    started: SystemTime,
}

impl Router {
    pub(super) fn new(functions: Functions, pace: Arc<Pace>) -> Router {
        Router {
            functions,
            pace,
            started: SystemTime::now(),
        }
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.functions
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        if request.uri().path().starts_with("/function/") {
            return self.call(request).await;
        }
        let response = system::answer(
            request.method(),
            request.uri(),
            &self.functions,
            self.started,
        );
        discard_of(request);
        response
    }

    /// Calls a function, and adds what a gateway adds.
    async fn call(&self, request: Request<Incoming>) -> Response<Answer> {
        let start = SystemTime::now();
        let named = request.headers().contains_key(CALL_ID);
        let mut response = self.run(request).await;
        let headers = response.headers_mut();
        if !named && let Ok(id) = HeaderValue::try_from(call_id()) {
            headers.insert(CALL_ID, id);
        }
        let nanos = start.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        headers.insert(START_TIME, HeaderValue::from(nanos));
        headers.insert(SERVED_BY, HeaderValue::from_static(SERVER));
        response
    }

    async fn run(&self, request: Request<Incoming>) -> Response<Answer> {
        if !callable(request.method()) {
            discard_of(request);
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
            let methods = HeaderValue::from_static(METHODS);
            response.headers_mut().insert(ALLOW, methods);
            return response;
        }
        let name = function_text(request.uri().path());
        let Some(function) = self.functions.find(name) else {
            let error = format!("error finding function {name}: it is not deployed");
            discard_of(request);
            return text(StatusCode::NOT_FOUND, error);
        };
        let Some(slot) = function.start() else {
            discard_of(request);
            let limit = function.concurrency.get();
            let error =
                format!("Concurrent request limit exceeded. Max concurrent requests: {limit}");
            let mut response = text(StatusCode::TOO_MANY_REQUESTS, error);
            let middleware = HeaderValue::from_static("faas-middleware");
            response.headers_mut().insert(INTERNAL, middleware);
            return response;
        };
        builtin::run(function, request, slot, self.pace.times()).await
    }
}

/// What stands for the function in `/function/NAME[.NAMESPACE][/PATH]`.
fn function_text(path: &str) -> &str {
    let rest = path.strip_prefix("/function/").unwrap_or("");
    rest.split('/').next().unwrap_or("")
}

/// Whether a function can be called with a method.
fn callable(method: &Method) -> bool {
    [
        Method::POST,
        Method::GET,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::HEAD,
    ]
    .contains(method)
}

/// A random UUID, version 4.
fn call_id() -> String {
    let version = 4 << 76;
    let variant = 2 << 62;
    let id = rand::random::<u128>() & !(0xf << 76) & !(0b11 << 62) | version | variant;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 64) & 0xffff,
        (id >> 48) & 0xffff,
        id & 0xffff_ffff_ffff,
    )
}

/// Discards the body of a request that is answered without it. A client that waits for "100 Continue" will not send it.
fn discard_of(request: Request<Incoming>) {
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_is_a_random_uuid() {
        let (one, other) = (call_id(), call_id());
        assert_ne!(one, other);
        for id in [one, other] {
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}
