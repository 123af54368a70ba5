//! A client's call that has not ended yet, and what is told of it when it ends.

use dfaas_protocol::NodeId;
use hyper::Response;
use tokio::time::Instant;

use crate::datapath::AnswerBody;
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

    /// The call ended so, with this answer.
    pub(super) fn ended(
        self,
        outcome: Outcome,
        response: Response<AnswerBody>,
    ) -> Response<AnswerBody> {
        self.arrival.ended(outcome, response.status().as_u16());
        logged(self.entry, outcome, response)
    }
}

/// The answer with the entry of its call, which is logged when the answer was sent.
pub(super) fn logged(
    entry: Option<Entry>,
    outcome: Outcome,
    response: Response<AnswerBody>,
) -> Response<AnswerBody> {
    let Some(mut entry) = entry else {
        return response;
    };
    entry.answered(outcome, response.status().as_u16());
    response.map(|body| body.logged(entry))
}
