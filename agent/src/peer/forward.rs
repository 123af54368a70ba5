//! Forwarding a call to a neighbour.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use dfaas_protocol::Headroom;
use dfaas_protocol::neighbours::Candidate;
use dfaas_protocol::policy::Terms;
use hyper::header::{EXPECT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::datapath::headers::{self, FORWARDED_TO, HEADROOM, NODE_ID, REFUSED};
use crate::datapath::{
    Acceptance, Context, Replay, Run, Target, body_too_slow, failure, is_reason, relay,
};
use crate::deadline;
use crate::health::{Sent, tell};

/// Sends a call to a neighbour and waits for the head of its answer until the deadline. The neighbour's counters are
/// brought up to what the answer says.
pub async fn forward(
    context: &Context,
    candidate: &Candidate,
    address: std::net::SocketAddr,
    (head, replay, terms): (&Parts, &Replay, &Terms),
    deadline: Instant,
) -> Run {
    let held = replay.may_exceed().then(Arc::<Acceptance>::default);
    let body = replay.attempt(held.clone());
    let mut request = headers::attempt(head, &address.to_string(), body);
    let node = context.shared.node_header.clone();
    request.headers_mut().insert(NODE_ID, node);
    let round_trip = candidate.remote.round_trip().unwrap_or_default();
    let now = context.shared.clock.now();
    headers::ask(request.headers_mut(), terms.asked(now, round_trip));
    if let Some(acceptance) = held {
        request
            .headers_mut()
            .insert(EXPECT, HeaderValue::from_static("100-continue"));
        hyper::ext::on_informational(&mut request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                acceptance.accept();
            }
        });
    }
    let clock = context.shared.clock;
    let health = candidate.remote.health();
    let sent_at = clock.now();
    let promise = Sent::new(&candidate.remote, clock, sent_at);
    let sent = context.pool.send(
        Target::Peer(candidate.node, address, health.absences()),
        request,
    );
    let response = match deadline::by(deadline, pin!(sent)).await {
        Some(Ok(response)) => response,
        Some(Err(error)) => {
            tracing::debug!(neighbour = %candidate.node, %error, "a forward failed");
            if error.speaks_against_target() {
                promise.broke();
                tell(candidate.node, health.call_failed(sent_at, clock.now()));
            } else {
                promise.void();
            }
            let failed = failure(&error, replay);
            if let Run::Unreached = failed {
                candidate.remote.unreached();
            }
            return failed;
        }
        None if replay.awaits_client() => {
            promise.void();
            return body_too_slow();
        }
        None => {
            // While the client still sends, it is the one that is slow.
            if replay.has_ended() {
                drop(promise);
                health.call_stalled(sent_at);
            } else {
                promise.void();
            }
            return Run::Failed(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the neighbour {} did not answer in time", candidate.node),
            );
        }
    };
    tell(candidate.node, health.call_succeeded(|| clock.now()));
    let headroom = headroom(response.headers());
    let refused = response.headers().get(REFUSED).map(|word| {
        let word = word.to_str().ok();
        word.filter(|word| is_reason(word)).map(Rc::<str>::from)
    });
    match &refused {
        Some(word) => promise.refused(word.as_deref(), headroom),
        None => promise.answered(clock.now()),
    }
    if let Some(headroom) = headroom {
        candidate.remote.report(headroom);
    }
    if let Some(word) = refused {
        candidate.remote.refused(clock.now());
        if replay.is_whole() {
            response.into_body().discard().await;
            replay.give_up();
            return Run::Refused(word);
        }
        return Run::Failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "a neighbour refused the call after its body had begun to stream; try again".into(),
        );
    }
    candidate.remote.took();
    let mut answer = relay(response, None);
    let node = headers::ascii(candidate.node.to_string());
    answer.headers_mut().insert(FORWARDED_TO, node);
    Run::Answered(answer)
}

fn headroom(headers: &HeaderMap) -> Option<Headroom> {
    headers.get(HEADROOM)?.to_str().ok()?.parse().ok()
}
