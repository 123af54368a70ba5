//! Headers: those of this project, those that end at each hop, and those that a proxy adds.

use std::time::Duration;

use dfaas_protocol::policy::{Asked, Priority};
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::{Request, StatusCode, Version};

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
/// On calls: within how many milliseconds the answer is of use. Between nodes, what is left of that.
pub const DEADLINE: HeaderName = HeaderName::from_static("dfaas-deadline-ms");
/// On the peer channel: the priority of the call.
pub const PRIORITY: HeaderName = HeaderName::from_static("dfaas-priority");
/// An id for each call, given where the caller gives none (OpenFaaS contract, part 4).
pub const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// When a call arrived, in nanoseconds of Unix time (OpenFaaS contract, part 4).
pub const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
/// Set by the platform, not by the function, on its own errors (OpenFaaS contract, part 4).
pub const OPENFAAS_INTERNAL: HeaderName = HeaderName::from_static("x-openfaas-internal");
/// The value of [`OPENFAAS_INTERNAL`] on a refusal by the concurrency limit: nothing was executed.
pub const OPENFAAS_LIMITER: &str = "faas-middleware";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that end at each hop (RFC 9110, 7.6.1), besides those that `Connection` names. `Expect` is among them as each
/// hop asks for its own. `Trailer` is not: it says which trailers follow, and they go from end to end.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Headers that mean something between nodes, and nothing from outside.
const OURS: [HeaderName; 5] = [NODE_ID, FORWARDED_TO, HEADROOM, REFUSED, PRIORITY];

/// Where a call came from, as the headers say it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address and port.
    pub address: HeaderValue,
    /// `http` or `https`.
    pub scheme: HeaderValue,
}

/// Removes the headers that end at this hop.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, header::CONNECTION)
            .filter_map(|name| name.parse().ok())
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
fn strip_ours(headers: &mut HeaderMap) {
    for name in OURS {
        headers.remove(name);
    }
}

/// Removes what must not be sent on from the head of a request, and says again to the next hop what the client asked of
/// this one: trailers, and another protocol.
pub fn strip_request(head: &mut Parts) {
    let upgrade = asks_to_upgrade(head.version, &head.headers);
    let trailers = tokens(&head.headers, header::TE).any(|t| t.eq_ignore_ascii_case("trailers"));
    let headers = &mut head.headers;
    strip_hop_by_hop(headers);
    strip_ours(headers);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol);
        headers.append(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Removes what must not be sent on from the head of a response.
pub fn strip_response(head: &mut response::Parts) {
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = switches.then(|| head.headers.get(header::UPGRADE).cloned());
    let headers = &mut head.headers;
    strip_hop_by_hop(headers);
    strip_ours(headers);
    if let Some(Some(protocol)) = protocol {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // An intermediary speaks its own version, whatever the one behind it speaks.
    head.version = Version::HTTP_11;
}

/// The protocol that a request asks to change to. Another version of HTTP is not passed on: the one behind this node would
/// take requests that nobody here has looked at.
pub fn asks_to_upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(header::UPGRADE)?;
    let asked = version == Version::HTTP_11
        && tokens(headers, header::CONNECTION).any(|t| t.eq_ignore_ascii_case("upgrade"));
    let http = tokens(headers, header::UPGRADE).any(|name| {
        let name = name.split('/').next().unwrap_or(name);
        ["h2c", "h2", "http", "tls"]
            .iter()
            .any(|p| name.eq_ignore_ascii_case(p))
    });
    (asked && !http).then(|| protocol.clone())
}

/// The elements of a header that is a list.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Makes the head that a client sent ready to be sent on, once, before any attempt.
pub fn prepare(
    head: &mut Parts,
    origin: &Origin,
    start_time: HeaderValue,
    call_id: impl FnOnce() -> HeaderValue,
) {
    strip_request(head);
    let headers = &mut head.headers;
    if !headers.contains_key(FORWARDED_FOR) {
        headers.insert(FORWARDED_FOR, origin.address.clone());
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, origin.scheme.clone());
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
    if !headers.contains_key(CALL_ID) {
        headers.insert(CALL_ID, call_id());
    }
    headers.insert(START_TIME, start_time);
}

/// The request for one attempt. The path and the query are sent on as they came.
pub fn attempt(head: &Parts, authority: &str, body: CallBody) -> Request<CallBody> {
    let chunked = !body.is_end_stream() && !head.headers.contains_key(header::CONTENT_LENGTH);
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.version_mut() = Version::HTTP_11;
    if let Some(path) = head.uri.path_and_query() {
        *request.uri_mut() = path.clone().into();
    }
    *request.headers_mut() = head.headers.clone();
    if chunked {
        // Without it a GET with a body would be sent without its body.
        let chunked = HeaderValue::from_static("chunked");
        request
            .headers_mut()
            .insert(header::TRANSFER_ENCODING, chunked);
    }
    if !head.headers.contains_key(header::HOST) {
        request
            .headers_mut()
            .insert(header::HOST, ascii(authority.to_owned()));
    }
    request
}

/// Within what time the answer to a call is of use, if the call says so.
pub fn deadline(headers: &HeaderMap) -> Option<Duration> {
    millis(headers.get(DEADLINE)?.as_bytes())
}

/// The time that the value of a header [`DEADLINE`] says.
pub(crate) fn millis(value: &[u8]) -> Option<Duration> {
    let millis = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// The priority that a neighbour gives a call, if it gives one.
pub fn priority(headers: &HeaderMap) -> Option<Priority> {
    let priority = headers.get(PRIORITY)?.to_str().ok()?.parse().ok()?;
    Priority::new(priority)
}

/// Tells a neighbour what the call asks for.
pub fn ask(headers: &mut HeaderMap, asked: Asked) {
    headers.insert(PRIORITY, u64::from(asked.priority.get()).into());
    if let Some(within) = asked.within {
        let left = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        headers.insert(DEADLINE, left.into());
    }
}

/// A header value from text that is known to be printable ASCII; empty if it is not.
pub fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::builder().uri("/function/echo?x=1");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn what_ends_at_a_hop_is_not_sent_on() {
        let mut head = head(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("authorization", "Basic Zm9v"),
            ("trailer", "x-sum"),
            ("traceparent", "00-1-2-3"),
        ]);
        strip_request(&mut head);
        // A function's own Authorization is not ours to remove.
        let mut left: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "traceparent", "trailer"]);
    }

    #[test]
    fn a_client_cannot_speak_as_a_node() {
        let mut head = head(&[
            ("DFaaS-Node-ID", "12D3KooW"),
            ("DFaaS-Refused", "full"),
            ("X-Call-Id", "mine"),
            ("X-Start-Time", "1"),
        ]);
        let origin = Origin {
            address: HeaderValue::from_static("192.0.2.1:5"),
            scheme: HeaderValue::from_static("http"),
        };
        let start_time = HeaderValue::from_static("5");
        prepare(&mut head, &origin, start_time, || unreachable!());
        assert!(!head.headers.contains_key(NODE_ID) && !head.headers.contains_key(REFUSED));
        assert_eq!(head.headers[CALL_ID], "mine");
        assert_eq!(head.headers[FORWARDED_FOR], "192.0.2.1:5");
        assert_eq!(head.headers[FORWARDED_PROTO], "http");
        assert_eq!(head.headers[START_TIME], "5");
        let request = attempt(&head, "gateway:8080", CallBody::empty());
        assert_eq!(request.uri(), "/function/echo?x=1");
        assert_eq!(request.headers()[header::HOST], "gateway:8080");
    }

    #[test]
    fn the_next_hop_is_asked_for_what_the_client_asked() {
        let mut head = head(&[("te", "gzip;q=0.5, Trailers"), ("connection", "TE")]);
        strip_request(&mut head);
        assert_eq!(head.headers[header::TE], "trailers");
        assert_eq!(head.headers[header::CONNECTION], "te");
    }

    #[test]
    fn only_other_protocols_than_http_are_changed_to() {
        for (connection, protocol, asked) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, upgrade", "WebSocket", true),
            ("keep-alive", "websocket", false),
            ("Upgrade, HTTP2-Settings", "h2c", false),
            ("Upgrade", "websocket, H2C", false),
            ("Upgrade", "HTTP/2.0", false),
        ] {
            let mut head = head(&[("connection", connection), ("upgrade", protocol)]);
            strip_request(&mut head);
            assert_eq!(
                head.headers.contains_key(header::UPGRADE),
                asked,
                "{protocol}"
            );
            assert_eq!(
                head.headers.contains_key(header::CONNECTION),
                asked,
                "{protocol}"
            );
        }
    }
}
