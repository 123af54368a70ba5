//! A client's call that has not ended yet, and what is told of it when it ends.

use dfaas_protocol::delivery::{Decision, Delivery};
use dfaas_protocol::{NodeId, Time};
use hyper::Response;
use tokio::time::Instant;

use crate::datapath::{AnswerBody, Context};
use crate::explain::{Begun, Ending, Explained, Missed};
use crate::routing::{Arrival, Outcome, Served};
use crate::telemetry::access::Entry;

/// A call in flight. Dropping it says that the client went away.
pub(super) struct InFlight<'a> {
    arrival: Arrival<'a>,
    served: &'a Served,
    /// What explains it later.
    explained: Explained<'a>,
    /// Where calls are logged.
    entry: Option<Entry>,
}

impl<'a> InFlight<'a> {
    /// A call with that id that arrived at `since`.
    pub(super) fn new(
        context: &'a Context,
        served: &'a Served,
        since: Instant,
        id: &[u8],
        entry: Option<Entry>,
    ) -> InFlight<'a> {
        let since = since.into_std();
        let begun = Begun {
            id,
            function: served.number,
            since,
            from: None,
        };
        InFlight {
            arrival: served.counters.arrive(since),
            served,
            explained: context.explain(begun),
            entry,
        }
    }

    /// That was decided for it at that time.
    pub(super) fn decided(&mut self, decision: Decision, delivery: &Delivery, now: Time) {
        let (route, excluded) = (&self.served.route, &self.served.excluded);
        self.explained
            .decided(decision, route, excluded, delivery.tried(), now);
    }

    /// What was decided came to nothing, and it is decided anew.
    pub(super) fn missed(&mut self, missed: Missed<'_>) {
        self.explained.missed(missed);
    }

    /// It is refused for another reason than that of the last decision.
    pub(super) fn because(&mut self, reason: &'static str) {
        self.explained.because(reason);
    }

    /// It is sent to the local platform.
    pub(super) fn sent_here(&mut self) {
        self.explained.sent_here();
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

    /// The call ended so now, with that status. The entry is to be dropped when the answer was sent.
    pub(super) fn ended(self, outcome: Outcome, status: u16) -> Option<Entry> {
        self.ended_at(outcome, status, Instant::now())
    }

    /// The same at that moment.
    pub(super) fn ended_at(mut self, outcome: Outcome, status: u16, at: Instant) -> Option<Entry> {
        let took = self.arrival.ended(outcome, status, at.into_std());
        let ending = match outcome {
            Outcome::RunHere => Ending::RunHere,
            Outcome::Forwarded => Ending::Forwarded,
            Outcome::Refused => Ending::Refused,
            Outcome::Failed => Ending::Failed,
        };
        if let Some(entry) = &mut self.entry {
            entry.answered(outcome, status);
        }
        self.explained.ended(ending, status, took);
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
