//! A plain call, from its head to the end of its answer.

use std::rc::Rc;
use std::sync::Arc;

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Rejection};
use hyper::StatusCode;
use tokio::time::Instant;

use crate::datapath::{Context, Target, refuse, text};
use crate::routing::{Outcome, Served, Slot};

use super::client::{ClientStream, GivenUp};
use super::exchange::{Answer, Failed, exchange};
use super::head::{Added, Head};
use super::relay::{Signature, discard, relay, say};
use super::stamp::{CallId, StartTime};

/// What a connection is known by.
#[derive(Debug)]
pub(super) struct Names {
    /// The client's address and port.
    pub(super) client: Box<str>,
    /// The address of this node that the client came to.
    pub(super) server: Box<str>,
}

/// What became of one attempt.
#[expect(
    clippy::large_enum_variant,
    reason = "answers are the rule; a box would cost each of them an allocation"
)]
enum Attempt {
    Answered(Answer, Option<Slot>, Target),
    Refused,
    Failed(StatusCode, String),
}

/// Delivers a call whose head and body are whole in `request`, and answers it. Returns whether the connection can take
/// another request.
pub(super) async fn deliver(
    context: &Rc<Context>,
    names: &Names,
    client: &mut ClientStream,
    served: &Arc<Served>,
    head: &Head,
    request: &[u8],
    now: Instant,
) -> Result<bool, GivenUp> {
    let arrival = served.counters.arrive();
    let deadline = now + served.timeout;
    client.set_deadline(deadline);
    let id = head.call_id.is_none().then(|| CallId::new(context));
    let start_time = StartTime::now();
    let mut out = Vec::with_capacity(1024);
    let added = Added {
        forwarded_for: names.client.as_bytes(),
        forwarded_proto: b"http",
        call_id: id.as_ref().map_or(b"", CallId::as_bytes),
        start_time: start_time.as_bytes(),
    };
    head.write(request, &added, &mut out);
    let body = &request[head.len..head.len + head.body];
    let mut signature = Signature {
        node: context.shared.node_header.as_bytes(),
        server: names.server.as_bytes(),
        forwarded_to: None,
        call_id: id.as_ref().map(CallId::as_bytes),
        start_time: Some(start_time.as_bytes()),
        close: head.close || context.shared.is_draining(),
    };
    let common = out.len();
    let mut delivery = Delivery::new();
    let mut time = context.shared.clock.at(now.into_std());
    loop {
        let decision = {
            let rng = &mut *context.rng.borrow_mut();
            delivery.next(&served.route, time, rng)
        };
        out.truncate(common);
        let (attempt, outcome) = match decision {
            Decision::Run(_) | Decision::Wait(..) => {
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(body);
                let slot = match slot(context, client, served, decision, time).await {
                    Ok(slot) => slot,
                    Err(GivenUp::Gone) => return Err(GivenUp::Gone),
                    Err(GivenUp::Late) => None,
                };
                let Some(slot) = slot else {
                    arrival.ended(Outcome::Refused);
                    let answer = refuse(served.route.function.display_name(), Rejection::Full);
                    return say(client, answer, signature, head.head_only, &mut out).await;
                };
                let target = Target::Platform;
                let tried = attempt(context, client, target, &out, head.head_only, Some(slot));
                let tried = tried.await?;
                if let Attempt::Refused = tried {
                    delivery.refused_here();
                }
                (tried, Outcome::RunHere)
            }
            Decision::Forward(index, _) => {
                let candidate = &served.route.there[index];
                let target = Target::Peer(candidate.node, served.addresses[index]);
                out.extend_from_slice(b"dfaas-node-id: ");
                out.extend_from_slice(signature.node);
                out.extend_from_slice(b"\r\n\r\n");
                out.extend_from_slice(body);
                let tried = attempt(context, client, target, &out, head.head_only, None).await?;
                match &tried {
                    Attempt::Answered(answer, ..) => {
                        if let Some(headroom) = answer.headroom() {
                            candidate.remote.report(headroom);
                        }
                    }
                    Attempt::Refused => served.counters.forward_refused(),
                    // A function that takes too long says nothing of its node.
                    Attempt::Failed(StatusCode::GATEWAY_TIMEOUT, _) => {}
                    Attempt::Failed(..) => candidate.remote.unreachable(),
                }
                (tried, Outcome::Forwarded)
            }
            Decision::Reject(rejection) => {
                arrival.ended(Outcome::Refused);
                let answer = refuse(served.route.function.display_name(), rejection);
                return say(client, answer, signature, head.head_only, &mut out).await;
            }
        };
        match attempt {
            Attempt::Answered(answer, slot, target) => {
                arrival.ended(outcome);
                let (node, address);
                if let Target::Peer(peer, at) = target {
                    node = peer.to_string();
                    address = at.ip().to_string();
                    signature.forwarded_to = Some(node.as_bytes());
                    signature.server = address.as_bytes();
                }
                return relay(client, &context.lines, answer, slot, signature, &mut out).await;
            }
            Attempt::Refused => time = context.shared.clock.now(),
            Attempt::Failed(status, why) => {
                arrival.ended(Outcome::Failed);
                let answer = text(status, why);
                return say(client, answer, signature, head.head_only, &mut out).await;
            }
        }
    }
}

/// Sends the call somewhere.
async fn attempt(
    context: &Context,
    client: &mut ClientStream,
    target: Target,
    request: &[u8],
    head_only: bool,
    slot: Option<Slot>,
) -> Result<Attempt, GivenUp> {
    let exchanged = exchange(&context.lines, target, request, head_only);
    match client.unless_given_up(true, exchanged).await {
        Ok(Ok(answer)) if answer.is_refusal(target) => {
            let soon = Instant::now() + context.shared.timeouts.connect;
            discard(&context.lines, answer, soon).await;
            Ok(Attempt::Refused)
        }
        Ok(Ok(answer)) => Ok(Attempt::Answered(answer, slot, target)),
        Ok(Err(Failed::Unsent(error))) => {
            tracing::debug!(?target, %error, "a call could not be sent");
            Ok(Attempt::Refused)
        }
        Ok(Err(Failed::Broken(why))) => Ok(Attempt::Failed(StatusCode::BAD_GATEWAY, why)),
        Err(GivenUp::Gone) => Err(GivenUp::Gone),
        Err(GivenUp::Late) => Ok(Attempt::Failed(
            StatusCode::GATEWAY_TIMEOUT,
            "the function did not answer in time; raise its label dfaas.timeout_ms if it needs longer"
                .into(),
        )),
    }
}

/// The slot of a call that the gate lets run, now or when its turn comes; nothing if the time is over before.
async fn slot(
    context: &Context,
    client: &mut ClientStream,
    served: &Served,
    decision: Decision,
    time: Time,
) -> Result<Option<Slot>, GivenUp> {
    let Some(local) = served.local.as_ref() else {
        return Ok(None);
    };
    match decision {
        Decision::Wait(turn, _) => {
            let turn = local.turn(turn, context.shared.clock);
            client.unless_given_up(true, turn).await.map(Some)
        }
        _ => Ok(Some(
            local.running_since(context.shared.clock.instant(time)),
        )),
    }
}
