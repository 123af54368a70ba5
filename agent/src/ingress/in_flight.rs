//! A client's call that has not ended yet, and what is told of it when it ends.

use std::net::IpAddr;

use dfaas_protocol::NodeId;
use dfaas_protocol::delivery::Rejection;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::datapath::{AnswerBody, Context, refuse};
use crate::routing::{Arrival, Outcome, Served};
use crate::telemetry::access::Entry;

/// A call in flight. Dropping it says that the client went away.
pub(super) struct InFlight<'a> {
    arrival: Arrival<'a>,
    /// Where calls are logged.
    entry: Option<Entry>,
}

impl<'a> InFlight<'a> {
    /// A call that arrived at `since`.
    pub(super) fn new(served: &'a Served, since: Instant, entry: Option<Entry>) -> InFlight<'a> {
        InFlight {
            arrival: served.counters.arrive(since.into_std()),
            entry,
        }
    }

    /// It is sent to the local platform.
    pub(super) fn sent_here(&mut self) {
        if let Some(entry) = &mut self.entry {
            entry.sent_here();
        }
    }

    /// It is sent to a neighbour.
    pub(super) fn sent_to(&mut self, node: NodeId) {
        if let Some(entry) = &mut self.entry {
            entry.sent_to(node);
        }
    }

    /// The call ended so, with that status. The entry is to be dropped when the answer was sent.
    pub(super) fn ended(mut self, outcome: Outcome, status: u16) -> Option<Entry> {
        self.arrival.ended(outcome, status);
        if let Some(entry) = &mut self.entry {
            entry.answered(outcome, status);
        }
        self.entry
    }

    /// The call ended so, with this answer.
    pub(super) fn answered(
        self,
        outcome: Outcome,
        response: Response<AnswerBody>,
    ) -> Response<AnswerBody> {
        match self.ended(outcome, response.status().as_u16()) {
            Some(entry) => response.map(|body| body.logged(entry)),
            None => response,
        }
    }
}

/// The entry of a call that a client brought as a message, where calls are logged.
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

/// The answer to a call of a function that no route is for.
pub(super) fn no_route(
    context: &Context,
    name: &str,
    entry: Option<Entry>,
) -> Response<AnswerBody> {
    // What a platform has that does not answer, nobody knows.
    let why = if !context.shared.platform.is_up() {
        Rejection::PlatformDown
    } else if context.shared.routes.load().lapsed(name) {
        Rejection::NotTaken
    } else {
        Rejection::Unknown
    };
    let response = refuse(name, why);
    match entry {
        Some(mut entry) => {
            entry.answered(Outcome::Refused, response.status().as_u16());
            response.map(|body| body.logged(entry))
        }
        None => response,
    }
}
