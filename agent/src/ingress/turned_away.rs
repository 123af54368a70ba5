//! Requests that never become calls: they are answered, counted and logged here.

use dfaas_protocol::delivery::Rejection;
use hyper::Response;

use crate::datapath::{AnswerBody, Context, refuse};
use crate::telemetry::access::Entry;
use crate::telemetry::turned_away::TurnedAway;

/// Counts a request that is turned away, and logs it when its answer was sent.
pub(super) fn turn_away(
    context: &Context,
    why: TurnedAway,
    entry: Option<Entry>,
    answer: Response<AnswerBody>,
) -> Response<AnswerBody> {
    context.shared.turned_away.count(why);
    match entry {
        Some(mut entry) => {
            entry.turned_away(why, answer.status().as_u16());
            answer.map(|body| body.logged(entry))
        }
        None => answer,
    }
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
    turn_away(context, TurnedAway::NoFunction, entry, refuse(name, why))
}
