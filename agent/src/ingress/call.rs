//! A client's call, from its arrival to the head of its answer.

use std::net::IpAddr;
use std::sync::Arc;

use dfaas_protocol::delivery::{Decision, Rejection};
use dfaas_protocol::policy::Terms;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::datapath::headers::{self, CALL_ID, Origin, SERVER, START_TIME};
use crate::datapath::{AnswerBody, Context, Replay, Run, refuse, run_here, text};
use crate::explain::{Missed, TOO_LONG};
use crate::peer::forward;
use crate::routing::{Outcome, Served, Slot};

use super::entry::entry;
use super::in_flight::InFlight;
use super::plain::{CallId, StartTime};

/// The other end of a client's connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Its IP address.
    pub(super) ip: IpAddr,
    /// Who it is, as the platform is told it.
    pub(super) origin: Origin,
    /// The address of this node that it came to.
    pub(super) server: HeaderValue,
}

/// Delivers a call: runs it here, lets it wait, forwards it, or refuses it, as the route's strategy decides.
pub(super) async fn deliver(
    context: &Context,
    client: &Client,
    served: Arc<Served>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let name = served.route.function.display_name();
    let now = Instant::now();
    let mut entry = entry(context, client.ip, &request);
    let deadline = now + served.timeout;
    let (mut head, body) = request.into_parts();
    let own_id = !head.headers.contains_key(CALL_ID);
    let start_time = stamp(StartTime::new(context.wall.at(now)).as_bytes());
    headers::prepare(&mut head, &client.origin, start_time, || {
        stamp(CallId::new(context).as_bytes())
    });
    let replay = Replay::new(body);
    let id = head
        .headers
        .get(CALL_ID)
        .map_or(&b""[..], |id| id.as_bytes());
    if let Some(entry) = &mut entry {
        entry.names(&served.route.function, id);
    }
    let mut call = InFlight::new(context, &served, now, id, entry);

    let within = headers::deadline(&head.headers);
    let terms = served.terms(context.shared.clock.at(now.into_std()), within);
    let mut delivery = context.shared.delivery(terms);
    loop {
        let decision = {
            let rng = &mut *context.rng.borrow_mut();
            let now = context.shared.clock.now();
            let decision = delivery.next(&served.route, now, rng);
            let decision = served.displace(decision, &terms);
            call.decided(decision, &delivery, now);
            decision
        };
        let (run, outcome) = match decision {
            Decision::Run(_) | Decision::Wait(_) => {
                let slot = match slot(&served, decision, &terms, deadline).await {
                    Some(Some(slot)) => slot,
                    Some(None) => {
                        delivery.dropped_here();
                        call.missed(Missed::Dropped);
                        continue;
                    }
                    None => {
                        call.because(TOO_LONG);
                        return call.answered(Outcome::Refused, refuse(name, Rejection::Full));
                    }
                };
                call.sent_here();
                let run = run_here(context, slot, &head, &replay, deadline).await;
                match run {
                    Run::Refused(_) => delivery.refused_here(),
                    Run::Unreached => delivery.unreached_here(),
                    Run::Answered(_) | Run::Failed(..) => {}
                }
                (run, Outcome::RunHere)
            }
            Decision::Forward(index, _) => {
                let candidate = &served.route.there[index];
                let address = served.addresses[index];
                call.sent_to(candidate.node);
                let sent = (&head, &replay, &terms);
                let run = forward(context, candidate, address, sent, deadline).await;
                if let Run::Refused(_) | Run::Unreached = run {
                    served.counters.forward_refused();
                }
                let server = || headers::ascii(address.ip().to_string());
                let run = match run {
                    Run::Answered(mut response) => {
                        response.headers_mut().insert(SERVER, server());
                        Run::Answered(response)
                    }
                    other => other,
                };
                (run, Outcome::Forwarded)
            }
            Decision::Reject(rejection) => {
                return call.answered(Outcome::Refused, refuse(name, rejection));
            }
        };
        match run {
            Run::Answered(mut response) => {
                if own_id && let Some(id) = head.headers.get(CALL_ID) {
                    response.headers_mut().insert(CALL_ID, id.clone());
                }
                if !response.headers().contains_key(START_TIME)
                    && let Some(start) = head.headers.get(START_TIME)
                {
                    response.headers_mut().insert(START_TIME, start.clone());
                }
                return call.answered(outcome, response);
            }
            Run::Refused(word) => {
                call.missed(Missed::Refused(word.as_deref().unwrap_or_default()));
            }
            Run::Unreached => call.missed(Missed::Unreached),
            Run::Failed(status, why) => {
                return call.answered(Outcome::Failed, text(status, why));
            }
        }
    }
}

/// The slot of a call that the gate lets run, now or when its turn comes, or nothing where the queue drops it; nothing at
/// all if that is not before the deadline.
async fn slot(
    served: &Served,
    decision: Decision,
    terms: &Terms,
    deadline: Instant,
) -> Option<Option<Slot>> {
    let local = served.local.as_ref()?;
    match decision {
        Decision::Wait(_) => {
            let turn = local.turn(terms, served.service);
            tokio::time::timeout_at(deadline, turn).await.ok()
        }
        _ => Some(Some(local.running())),
    }
}

/// Digits, letters and hyphens, which are always a valid value.
fn stamp(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static(""))
}
