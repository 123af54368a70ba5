//! Headers: those of this project, those that end at each hop, and those that a proxy adds.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Version};

use super::CallBody;

/// On answers to clients: the node that took the call in. For people to read; it is never believed.
pub const NODE_ID: HeaderName = HeaderName::from_static("dfaas-node-id");
/// On answers to clients: the node that ran the call, when another one did.
pub const FORWARDED_TO: HeaderName = HeaderName::from_static("dfaas-forwarded-to");
/// On answers to clients: the address of the node that ran the call.
pub const SERVER: HeaderName = HeaderName::from_static("x-server");
/// On the peer channel: the headroom of the function at the answering node, `FREE/SIZE`.
pub const HEADROOM: HeaderName = HeaderName::from_static("dfaas-headroom");
/// On the peer channel: the call was refused and nothing was executed; the value says why.
pub const REFUSED: HeaderName = HeaderName::from_static("dfaas-refused");
/// An id for each call, given where the caller gives none (OpenFaaS contract, part 4).
pub const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// Set by the platform, not by the function, on its own errors (OpenFaaS contract, part 4).
pub const OPENFAAS_INTERNAL: HeaderName = HeaderName::from_static("x-openfaas-internal");
/// The value of [`OPENFAAS_INTERNAL`] on a refusal by the concurrency limit: nothing was executed.
pub const OPENFAAS_LIMITER: &str = "faas-middleware";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that end at each hop (RFC 9110, 7.6.1), besides those that `Connection` names. `Expect` is among them as each
/// hop asks for its own.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Headers that mean something between nodes, and nothing from outside.
const OURS: [HeaderName; 4] = [NODE_ID, FORWARDED_TO, HEADROOM, REFUSED];

/// Removes the headers that end at this hop.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes the headers that only nodes may set.
pub fn strip_ours(headers: &mut HeaderMap) {
    for name in OURS {
        headers.remove(name);
    }
}

/// Makes the head that a client sent ready to be sent on, once, before any attempt.
pub fn prepare(head: &mut Parts, client: &HeaderValue, call_id: impl FnOnce() -> HeaderValue) {
    strip_hop_by_hop(&mut head.headers);
    strip_ours(&mut head.headers);
    let headers = &mut head.headers;
    if !headers.contains_key(FORWARDED_FOR) {
        headers.insert(FORWARDED_FOR, client.clone());
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
    if !headers.contains_key(CALL_ID) {
        headers.insert(CALL_ID, call_id());
    }
}

/// The request for one attempt. The path and the query are sent on as they came.
pub fn attempt(head: &Parts, authority: &str, body: CallBody) -> Request<CallBody> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.version_mut() = Version::HTTP_11;
    if let Some(path) = head.uri.path_and_query() {
        *request.uri_mut() = path.clone().into();
    }
    *request.headers_mut() = head.headers.clone();
    if !head.headers.contains_key(header::HOST) {
        request
            .headers_mut()
            .insert(header::HOST, ascii(authority.to_owned()));
    }
    request
}

/// A header value from text that is known to be printable ASCII; empty if it is not.
pub fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_a_hop_is_not_sent_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("authorization", "Basic Zm9v"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        // A function's own Authorization is not ours to remove.
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["authorization"]);
    }

    #[test]
    fn a_client_cannot_speak_as_a_node() {
        let request = Request::builder()
            .uri("/function/echo?x=1")
            .header("DFaaS-Node-ID", "12D3KooW")
            .header("DFaaS-Refused", "full")
            .header("X-Call-Id", "mine")
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        let client = HeaderValue::from_static("192.0.2.1");
        prepare(&mut head, &client, || unreachable!());
        assert!(!head.headers.contains_key(NODE_ID) && !head.headers.contains_key(REFUSED));
        assert_eq!(head.headers[CALL_ID], "mine");
        assert_eq!(head.headers[FORWARDED_FOR], "192.0.2.1");
        let request = attempt(&head, "gateway:8080", CallBody::empty());
        assert_eq!(request.uri(), "/function/echo?x=1");
        assert_eq!(request.headers()[header::HOST], "gateway:8080");
    }
}
