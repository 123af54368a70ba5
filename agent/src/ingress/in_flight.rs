//! A client's call that has not ended yet, and what is told of it when it ends.

use hyper::Response;
use tokio::time::Instant;

use crate::datapath::AnswerBody;
use crate::routing::{Arrival, Outcome, Served};

/// A call in flight. Dropping it says that the client went away.
pub(super) struct InFlight<'a> {
    arrival: Arrival<'a>,
}

impl<'a> InFlight<'a> {
    /// A call that arrived at `since`.
    pub(super) fn new(served: &'a Served, since: Instant) -> InFlight<'a> {
        InFlight {
            arrival: served.counters.arrive(since.into_std()),
        }
    }

    /// The call ended so, with this answer.
    pub(super) fn ended(
        self,
        outcome: Outcome,
        response: Response<AnswerBody>,
    ) -> Response<AnswerBody> {
        self.arrival.ended(outcome, response.status().as_u16());
        response
    }
}
