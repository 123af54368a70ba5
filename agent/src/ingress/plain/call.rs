//! A plain call, from its head to the end of its answer.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use dfaas_protocol::delivery::{Decision, Rejection};
use dfaas_protocol::policy::{Asked, Terms};
use dfaas_protocol::{Headroom, Time};
use hyper::StatusCode;
use tokio::time::Instant;

use crate::datapath::plain::{Added, Answer, Failed, Head, Source, Span, exchange, exchange_over};
use crate::datapath::{Context, Target, others_first, refuse, text};
use crate::explain::{Missed, TOO_LONG};
use crate::health::{Sent, tell};
use crate::routing::{Outcome, Served, Slot};
use crate::telemetry::access::Entry;

use super::super::in_flight::InFlight;
use super::client::{ClientStream, GivenUp};
use super::relay::{Signature, relay, say};
use super::stamp::{CallId, StartTime};

/// As much as is usually added to a request, and to the head of its answer, in bytes.
const ADDED: usize = 1024;

/// What a connection is known by, as lines of heads, which are the same for all its calls.
#[derive(Debug)]
pub(super) struct Names {
    /// The client's IP address.
    pub(super) ip: IpAddr,
    /// The client's address and port, for the platform.
    forwarded_for: Box<[u8]>,
    /// This node, for the client.
    node: Box<[u8]>,
    /// The address of this node that the client came to, for the client.
    server: Box<[u8]>,
}

impl Names {
    /// Of a connection that came from `client` to this node's address `server`.
    pub(super) fn new(context: &Context, client: SocketAddr, server: &str) -> Names {
        let boxed = |line: String| line.into_bytes().into_boxed_slice();
        Names {
            ip: client.ip(),
            forwarded_for: boxed(format!("x-forwarded-for: {client}\r\n")),
            node: boxed(format!("dfaas-node-id: {}\r\n", context.shared.node)),
            server: boxed(format!("x-server: {server}\r\n")),
        }
    }
}

/// What became of one attempt.
#[expect(
    clippy::large_enum_variant,
    reason = "answers are the rule; a box would cost each of them an allocation"
)]
enum Attempt {
    Answered(Answer, Option<Slot>),
    /// A neighbour tells its headroom then too, and why.
    Refused(Option<Headroom>, Option<Rc<str>>),
    Unreached,
    Failed(StatusCode, String),
}

/// What became of one attempt, and what that tells of the other end's health, if anything.
struct Attempted {
    attempt: Attempt,
    told: Option<Told>,
}

/// What an attempt tells of the other end's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It answers, whatever it says.
    Answers,
    /// It cannot be connected to, or breaks off.
    Breaks,
    /// It does not answer in time.
    Stalls,
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
    let mut entry = entry(context, names, head, request);
    let deadline = now + served.timeout;
    client.set_deadline(deadline);
    let id = head.call_id.is_none().then(|| CallId::new(context));
    let given = head.call_id.map(|place| place.of(request));
    let known_by = given.or(id.as_ref().map(CallId::as_bytes));
    let known_by = known_by.unwrap_or_default();
    if let Some(entry) = &mut entry {
        entry.names(&served.route.function, known_by);
    }
    let mut call = InFlight::new(context, served, now, known_by, entry);
    let start_time = StartTime::new(context.wall.at(now));
    let mut out = Vec::with_capacity(request.len() + ADDED);
    let added = Added {
        forwarded_for: &names.forwarded_for,
        forwarded_proto: b"x-forwarded-proto: http\r\n",
        call_id: id.as_ref().map_or(b"", CallId::line),
        start_time: start_time.line(),
    };
    head.write(request, &added, &mut out);
    let body = &request[head.len..head.len + head.body];
    let signature = Signature {
        wall: &context.wall,
        node: &names.node,
        server: &names.server,
        there: None,
        call_id: id.as_ref().map_or(b"", CallId::line),
        start_time: start_time.line(),
        close: head.close || context.shared.is_draining(),
    };
    let common = out.len();
    let mut time = context.shared.clock.at(client.came().into_std());
    let terms = served.terms(time, head.within);
    let mut delivery = context.shared.delivery(terms);
    loop {
        let decision = {
            let rng = &mut *context.rng.borrow_mut();
            let decision = delivery.next(&served.route, time, rng);
            served.displace(decision, &terms)
        };
        call.decided(decision, &delivery, time);
        out.truncate(common);
        let tried;
        let outcome;
        match decision {
            Decision::Run(_) | Decision::Wait(_) => {
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(body);
                let slot = match slot(context, client, served, decision, &terms, time).await {
                    Ok(None) => {
                        delivery.dropped_here();
                        call.missed(Missed::Dropped);
                        time = context.shared.clock.now();
                        continue;
                    }
                    Ok(slot) => slot,
                    Err(GivenUp::Gone) => return Err(GivenUp::Gone),
                    Err(GivenUp::Late) => None,
                };
                let Some(slot) = slot else {
                    call.because(TOO_LONG);
                    let answer = refuse(served.route.function.display_name(), Rejection::Full);
                    let mut entry = call.ended(Outcome::Refused, answer.status().as_u16());
                    let (only, entry) = (head.head_only, &mut entry);
                    return say(client, answer, signature, only, &mut out, entry).await;
                };
                let target = Target::Platform;
                call.sent_here();
                others_first().await;
                let since = context.shared.clock.at(slot.since());
                let sent = pin!(attempt(
                    context,
                    client,
                    target,
                    Asked::default(),
                    [&out, b""],
                    head.head_only,
                    Some(slot),
                ));
                tried = sent.await?;
                match tried.told {
                    Some(Told::Answers) => context.shared.platform.call_succeeded(),
                    Some(Told::Breaks) => context.shared.platform.call_failed(since),
                    // The function may be slow by itself.
                    Some(Told::Stalls) | None => {}
                }
                match tried.attempt {
                    Attempt::Refused(..) => delivery.refused_here(),
                    Attempt::Unreached => delivery.unreached_here(),
                    Attempt::Answered(..) | Attempt::Failed(..) => {}
                }
                outcome = Outcome::RunHere;
            }
            Decision::Forward(index, _) => {
                let candidate = &served.route.there[index];
                let absences = candidate.remote.health().absences();
                let target = Target::Peer(candidate.node, served.addresses[index], absences);
                out.extend_from_slice(b"\r\n");
                call.sent_to(candidate.node);
                let round_trip = candidate.remote.round_trip().unwrap_or_default();
                let promise = Sent::new(&candidate.remote, context.shared.clock, time);
                let sent = pin!(attempt(
                    context,
                    client,
                    target,
                    terms.asked(time, round_trip),
                    [&out, body],
                    head.head_only,
                    None,
                ));
                tried = sent.await?;
                let Attempted { attempt, told } = &tried;
                let (health, clock) = (candidate.remote.health(), context.shared.clock);
                let change = match told {
                    Some(Told::Answers) => health.call_succeeded(|| clock.now()),
                    Some(Told::Breaks) => health.call_failed(time, clock.now()),
                    Some(Told::Stalls) => {
                        health.call_stalled(time);
                        None
                    }
                    None => None,
                };
                tell(candidate.node, change);
                let headroom = match attempt {
                    Attempt::Answered(answer, ..) => match &answer.source {
                        Source::Trunk(call) => call.headroom(),
                        Source::Line(_) => None,
                    },
                    Attempt::Refused(headroom, _) => *headroom,
                    Attempt::Unreached | Attempt::Failed(..) => None,
                };
                match (attempt, told) {
                    (Attempt::Answered(answer, _), _) => {
                        promise.answered(clock.at(answer.came.into_std()));
                    }
                    (Attempt::Refused(_, word), _) => promise.refused(word.as_deref(), headroom),
                    (_, Some(Told::Breaks)) => promise.broke(),
                    (_, Some(Told::Stalls)) => drop(promise),
                    _ => promise.void(),
                }
                if let Some(headroom) = headroom {
                    candidate.remote.report(headroom);
                }
                match attempt {
                    Attempt::Answered(..) => candidate.remote.took(),
                    Attempt::Refused(..) => {
                        candidate.remote.refused(clock.now());
                        served.counters.forward_refused();
                    }
                    Attempt::Unreached => {
                        candidate.remote.unreached();
                        served.counters.forward_refused();
                    }
                    Attempt::Failed(..) => {}
                }
                outcome = Outcome::Forwarded;
            }
            Decision::Reject(rejection) => {
                let answer = refuse(served.route.function.display_name(), rejection);
                let mut entry = call.ended(Outcome::Refused, answer.status().as_u16());
                let (only, entry) = (head.head_only, &mut entry);
                return say(client, answer, signature, only, &mut out, entry).await;
            }
        }
        match tried.attempt {
            Attempt::Answered(answer, slot) => {
                let mut entry = call.ended_at(outcome, answer.head.status, answer.came);
                let (lines, entry) = (&context.lines, &mut entry);
                let relayed = pin!(relay(
                    client, lines, answer, slot, signature, &mut out, entry
                ));
                return relayed.await;
            }
            Attempt::Refused(_, word) => {
                call.missed(Missed::Refused(word.as_deref().unwrap_or_default()));
                time = context.shared.clock.now();
            }
            Attempt::Unreached => {
                call.missed(Missed::Unreached);
                time = context.shared.clock.now();
            }
            Attempt::Failed(status, why) => {
                let answer = text(status, why);
                let mut entry = call.ended(Outcome::Failed, status.as_u16());
                let (only, entry) = (head.head_only, &mut entry);
                return say(client, answer, signature, only, &mut out, entry).await;
            }
        }
    }
}

/// The entry of a call, where calls are logged.
fn entry(context: &Context, names: &Names, head: &Head, request: &[u8]) -> Option<Entry> {
    let log = context.shared.access.as_ref()?;
    // The first line of a plain head is text.
    let word = |place: Span| std::str::from_utf8(place.of(request)).unwrap_or("");
    let length = Some(head.body as u64);
    let (method, path) = (word(head.method), word(head.path));
    Some(Entry::new(log, names.ip, method, path, length))
}

/// Sends the call somewhere. To the platform its first part is the whole; to a neighbour the body is copied only once. Who waits
/// for it pins it first: it has a kilobyte, which `await` alone would move.
async fn attempt(
    context: &Context,
    client: &mut ClientStream,
    target: Target,
    asked: Asked,
    request: [&[u8]; 2],
    head_only: bool,
    slot: Option<Slot>,
) -> Result<Attempted, GivenUp> {
    let tried = |attempt, told| Ok(Attempted { attempt, told });
    let exchanged = async {
        match target {
            Target::Platform => exchange(&context.lines, request[0], head_only).await,
            Target::Peer(node, address, absences) => {
                let trunks = &context.trunks;
                let call = trunks.call(node, address, absences, asked, request);
                exchange_over(call, head_only).await
            }
        }
    };
    let exchanged = client.unless_given_up(true, pin!(exchanged)).await;
    client.came_at(match &exchanged {
        Ok(Ok(answer)) => answer.came,
        _ => Instant::now(),
    });
    match exchanged {
        Ok(Ok(answer)) if target == Target::Platform && answer.is_limiter_refusal() => {
            if let Some(slot) = slot {
                slot.refused();
            }
            answer.discard(&context.lines).await;
            tried(Attempt::Refused(None, None), Some(Told::Answers))
        }
        Ok(Ok(answer)) => tried(Attempt::Answered(answer, slot), Some(Told::Answers)),
        Ok(Err(Failed::Refused(headroom, word))) => {
            tried(Attempt::Refused(headroom, Some(word)), Some(Told::Answers))
        }
        Ok(Err(Failed::Unsent { against, why })) => {
            if let Some(slot) = slot {
                slot.unanswered();
            }
            tracing::debug!(?target, why, "a call could not be sent");
            tried(Attempt::Unreached, against.then_some(Told::Breaks))
        }
        Ok(Err(Failed::Broken { against, why })) => {
            if let Some(slot) = slot {
                slot.unanswered();
            }
            let failed = Attempt::Failed(StatusCode::BAD_GATEWAY, why);
            tried(failed, against.then_some(Told::Breaks))
        }
        Err(GivenUp::Gone) => Err(GivenUp::Gone),
        Err(GivenUp::Late) => tried(
            Attempt::Failed(
                StatusCode::GATEWAY_TIMEOUT,
                "the function did not answer in time; raise its label dfaas.timeout_ms if it needs longer"
                    .into(),
            ),
            Some(Told::Stalls),
        ),
    }
}

/// The slot of a call that the gate lets run, now or when its turn comes; nothing where the queue drops it.
async fn slot(
    context: &Context,
    client: &mut ClientStream,
    served: &Served,
    decision: Decision,
    terms: &Terms,
    time: Time,
) -> Result<Option<Slot>, GivenUp> {
    let Some(local) = served.local.as_ref() else {
        return Ok(None);
    };
    match decision {
        Decision::Wait(_) => {
            let turn = local.turn(terms, served.service);
            let turn = client.unless_given_up(true, pin!(turn)).await;
            client.came_at(Instant::now());
            turn
        }
        _ => Ok(Some(
            local.running_since(context.shared.clock.instant(time)),
        )),
    }
}
