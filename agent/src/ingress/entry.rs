//! Entries in the access log.

use std::net::IpAddr;

use hyper::Request;
use hyper::body::{Body, Incoming};

use crate::datapath::Context;
use crate::telemetry::access::Entry;

/// What is logged of a request that nothing reads: neither its method nor its path are known for certain.
const UNREAD: &str = "-";

/// The entry of a request that a client brought as a message, where calls are logged.
pub(super) fn entry(
    context: &Context,
    client: IpAddr,
    request: &Request<Incoming>,
) -> Option<Entry> {
    let log = context.shared.access.as_ref()?;
    let method = request.method().as_str();
    let length = request.body().size_hint().exact();
    Some(Entry::new(
        log,
        client,
        method,
        request.uri().path(),
        length,
    ))
}

/// The entry of a request that was not read as HTTP.
pub(super) fn unread(context: &Context, client: IpAddr) -> Option<Entry> {
    let log = context.shared.access.as_ref()?;
    Some(Entry::new(log, client, UNREAD, UNREAD, None))
}
