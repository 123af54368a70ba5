//! One call that came on a trunk.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::BytesMut;
use dfaas_protocol::Headroom;
use dfaas_protocol::delivery::Rejection;
use hyper::StatusCode;
use tokio::time::Instant;

use crate::datapath::plain::{Answer, Failed, Found, Head, Left, Limits, Source, exchange};
use crate::datapath::trunk::frame::MAX_DATA;
use crate::explain::{Begun, Ending, Explained, Missed};
use crate::peer::admit::{Admitted, Forwarded, admit};
use crate::routing::Slot;

use super::calls::{Call, Calls, Ticket};

/// Runs one call after the other, as long as the trunk keeps runners. What it takes to run a call is more than two kilobytes, and to
/// allocate and fill these anew for each call cost a twentieth of its instructions, in memory that was in no cache.
pub(super) async fn run(calls: &Calls, ticket: Rc<Ticket>) {
    loop {
        let call = ticket.call().await;
        one(calls, &ticket, &call).await;
        if !calls.end(call) {
            return;
        }
    }
}

/// Runs a call until it is answered, refused or given up.
async fn one(calls: &Calls, ticket: &Ticket, call: &Call) {
    if calls.are_too_many() {
        return calls.refuse(call.number, None, "too-many-calls");
    }
    let mut served = pin!(serve(calls, ticket, call));
    poll_fn(|cx| {
        if ticket.given_up.get() || served.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ticket.listen(cx);
        Poll::Pending
    })
    .await;
}

async fn serve(calls: &Calls, ticket: &Ticket, call: &Call) {
    let Call {
        number,
        asked,
        ref request,
        came: now,
    } = *call;
    let shared = &calls.context.shared;
    // Nothing but one plain request is passed on, whatever a neighbour sends.
    let head = match Head::find(request, Limits::NEIGHBOUR) {
        Found::Plain(head) if head.len + head.body == request.len() => head,
        _ => return calls.refuse(number, None, "not-plain"),
    };
    let function = std::str::from_utf8(head.function.of(request));
    let found = function.map(|name| shared.routes.load().find(name).cloned());
    let Ok(Some(served)) = found else {
        return calls.refuse(number, None, "not-here");
    };
    let headroom = |now| {
        let gate = served.route.here.as_ref()?;
        Some(shared.says(gate, now))
    };
    let mut explained = calls.context.explain(Begun {
        id: head.call_id.map_or(b"", |place| place.of(request)),
        function: served.number,
        since: now.into_std(),
        from: Some(calls.from),
    });
    let refuse = |explained: Explained<'_>, why| {
        explained.refused_to_peer(why);
        served.counters.refused_to_peer();
        calls.refuse(number, headroom(shared.clock.now()), why);
    };
    calls.limit(ticket, now + served.timeout);
    let call = Forwarded {
        from: calls.from,
        served: &served,
        may_come: calls.metered.take(shared.clock.at(now.into_std())),
        priority: Some(asked.priority),
        within: asked.within,
        arrived: now,
    };
    let Admitted { slot, ran } = match admit(shared, call, &mut explained).await {
        Ok(admitted) => admitted,
        Err(why) => return refuse(explained, why),
    };
    let since = shared.clock.at(slot.since());
    let health = &shared.platform;
    let lines = &calls.context.lines;
    let exchanged = pin!(exchange(lines, request, head.head_only));
    let exchanged = ticket.in_time(exchanged).await;
    ticket.deadline.set(None);
    let (status, why) = match exchanged {
        Some(Ok(answer)) if answer.is_limiter_refusal() => {
            health.call_succeeded();
            drop(slot);
            explained.missed(Missed::Refused(""));
            refuse(explained, Rejection::PlatformRefused.as_str());
            return answer.discard(lines).await;
        }
        Some(Ok(answer)) => {
            health.call_succeeded();
            ran.fetch_add(1, Relaxed);
            served.counters.ran_for_peer();
            let at = answer.came;
            explained.ended(Ending::RunForPeer, answer.head.status, at - now);
            let headroom = || headroom(shared.clock.at(at.into_std()));
            let passed = pin!(pass_on(calls, number, ticket, answer, slot, headroom));
            return passed.await;
        }
        Some(Err(failed @ (Failed::Unsent { .. } | Failed::Refused(..)))) => {
            tracing::debug!(?failed, "a call could not be sent");
            health.call_failed(since);
            drop(slot);
            explained.missed(Missed::Unreached);
            return refuse(explained, Rejection::PlatformDown.as_str());
        }
        Some(Err(Failed::Broken { against, why })) => {
            if against {
                health.call_failed(since);
            }
            (StatusCode::BAD_GATEWAY, why)
        }
        None => (
            StatusCode::GATEWAY_TIMEOUT,
            "the function did not answer in time; raise its label dfaas.timeout_ms if it needs longer"
                .to_owned(),
        ),
    };
    explained.ended_now(Ending::Failed, status.as_u16());
    drop(slot);
    ran.fetch_add(1, Relaxed);
    served.counters.ran_for_peer();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{}",
        why.len() + 1,
        if head.head_only {
            String::new()
        } else {
            why + "\n"
        },
    );
    calls.room(ticket, false).await;
    let headroom = headroom(shared.clock.now());
    calls.answer(number, headroom, answer.as_bytes(), true);
}

/// Passes the platform's answer on as it comes.
async fn pass_on(
    calls: &Calls,
    number: u32,
    ticket: &Ticket,
    answer: Answer,
    slot: Slot,
    headroom: impl Fn() -> Option<Headroom>,
) {
    let Answer {
        head,
        mut input,
        source,
        mut came,
    } = answer;
    let mut left = Left::of(head.body);
    let (mut slot, mut source) = (Some(slot), Some(source));
    // Where the head ends that is still to be sent.
    let mut body = head.len;
    // It ends early where the framing is broken.
    while let Some(here) = left.follow(&input[body..]) {
        let ended = left.ended();
        if ended {
            if let Some(slot) = slot.take() {
                slot.ended_at(came.into_std());
            }
            if head.reusable
                && body + here == input.len()
                && let Some(Source::Line(line)) = source.take()
            {
                calls.context.lines.give_back(line, BytesMut::new());
            }
        }
        let bytes = &input[..body + here];
        if body > 0 {
            calls.room(ticket, false).await;
            let (first, rest) = bytes.split_at(body + here.min(MAX_DATA));
            ticket.window.set(ticket.window.get() - first.len() as u32);
            let last = ended && rest.is_empty();
            calls.answer(number, headroom(), first, last);
            body = 0;
            if !rest.is_empty() {
                calls.send(number, ticket, rest, ended).await;
            }
        } else {
            calls.send(number, ticket, bytes, ended).await;
        }
        if ended {
            return calls.context.buffers.give_back(input);
        }
        input.clear();
        let more = match &mut source {
            Some(source) => source.more(&mut input).await,
            None => break,
        };
        came = Instant::now();
        match more {
            Ok(true) => {}
            Ok(false) if matches!(left, Left::UntilClose) => {
                return calls.send(number, ticket, b"", true).await;
            }
            _ => break,
        }
    }
    calls.reset(number);
}
