//! Running a call on the local platform.

use std::pin::pin;
use std::rc::Rc;

use hyper::Response;
use hyper::StatusCode;
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::deadline;
use crate::routing::Slot;

use super::headers::{self, OPENFAAS_INTERNAL, OPENFAAS_LIMITER};
use super::pool::Leased;
use super::{AnswerBody, Context, Replay, SendError, Target};

/// What became of a call that was sent somewhere.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "answers are the rule; a box would cost each of them an allocation"
)]
pub enum Run {
    /// An answer, which is to be passed on whatever it says.
    Answered(Response<AnswerBody>),
    /// Nothing was executed, and the call can be tried elsewhere. A neighbour says why.
    Refused(Option<Rc<str>>),
    /// No connection could be made, so that nothing was executed, and the call can be tried elsewhere.
    Unreached,
    /// It may have been executed and must not be tried again.
    Failed(StatusCode, String),
}

/// Sends a call to the local platform's gateway and waits for the head of its answer until the deadline. The slot is held
/// until the answer has been passed on.
pub async fn run_here(
    context: &Context,
    slot: Slot,
    head: &Parts,
    replay: &Replay,
    deadline: Instant,
) -> Run {
    let gateway = &context.shared.gateway.authority;
    let health = &context.shared.platform;
    let since = context.shared.clock.at(slot.since());
    let request = headers::attempt(head, gateway, replay.attempt(None));
    let sent = context.pool.send(Target::Platform, request);
    let response = match deadline::by(deadline, pin!(sent)).await {
        Some(Ok(response)) => response,
        Some(Err(error)) => {
            slot.unanswered();
            if error.speaks_against_target() {
                health.call_failed(since);
            }
            return failure(&error, replay);
        }
        None if replay.awaits_client() => {
            slot.unanswered();
            return body_too_slow();
        }
        None => {
            return Run::Failed(
                StatusCode::GATEWAY_TIMEOUT,
                "the function did not answer in time; raise its label dfaas.timeout_ms if it \
                 needs longer"
                    .into(),
            );
        }
    };
    health.call_succeeded();
    if is_limiter_refusal(&response) && replay.is_whole() {
        slot.refused();
        response.into_body().discard().await;
        replay.give_up();
        return Run::Refused(None);
    }
    Run::Answered(relay(response, Some(slot)))
}

/// A response to pass on.
pub(crate) fn relay(response: Response<Leased>, slot: Option<Slot>) -> Response<AnswerBody> {
    let (mut head, body) = response.into_parts();
    headers::strip_response(&mut head);
    Response::from_parts(head, AnswerBody::Relayed { body, slot })
}

/// What an error in sending means for the call.
pub(crate) fn failure(error: &SendError, replay: &Replay) -> Run {
    if replay.is_broken() {
        return Run::Failed(
            StatusCode::BAD_REQUEST,
            "the body of the request is malformed, or broke off".into(),
        );
    }
    if error.nothing_sent() && replay.is_whole() {
        return Run::Unreached;
    }
    Run::Failed(StatusCode::BAD_GATEWAY, error.to_string())
}

/// What a call becomes whose client does not send its body before the deadline.
pub(crate) fn body_too_slow() -> Run {
    Run::Failed(
        StatusCode::REQUEST_TIMEOUT,
        "the body of the request did not come in time".into(),
    )
}

/// Whether the platform's concurrency limit refused the call: then nothing was executed. A bare 429 is the function's own.
fn is_limiter_refusal(response: &Response<Leased>) -> bool {
    response.status() == StatusCode::TOO_MANY_REQUESTS
        && response
            .headers()
            .get(OPENFAAS_INTERNAL)
            .is_some_and(|value| value == OPENFAAS_LIMITER)
}
