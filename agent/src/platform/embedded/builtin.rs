//! The built-in functions.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::answer::{Answer, text};
use super::function::{Function, MAX_WORK, Slot};
use super::request::{discard, drain, parameter};
use crate::config::{Builtin, ServiceTimes};

const DURATION_SECONDS: HeaderName = HeaderName::from_static("x-duration-seconds");
/// Rounds of arithmetic between two looks at the clock: some microseconds.
const ROUNDS: u64 = 4096;
/// The runtime's timers count whole milliseconds and round up, so they are late by half of one on average.
const LATE: Duration = Duration::from_micros(500);

/// Runs a function on a request, so many `times` slower than configured. What it holds is given back when the future or the
/// answer is dropped.
pub(super) async fn run(
    function: &Function,
    request: Request<Incoming>,
    slot: Slot,
    times: f64,
) -> Response<Answer> {
    let begin = Instant::now();
    let (head, body) = request.into_parts();
    let result = match &function.builtin {
        Builtin::Echo => echo(&head, body, slot).await,
        Builtin::Sleep(time) => sleep(&head, body, *time, times)
            .await
            .map(|r| holding(r, slot)),
        Builtin::Serve(service) => serve(&head, body, (service, times), function)
            .await
            .map(|r| holding(r, slot)),
        Builtin::Burn(time) => burn(&head, body, *time, times)
            .await
            .map(|r| holding(r, slot)),
        Builtin::Hash => hash(body).await.map(|r| holding(r, slot)),
    };
    let mut response = result.unwrap_or_else(|error| {
        let error = format!("the request's body cannot be read: {error}\n");
        text(StatusCode::BAD_REQUEST, error)
    });
    let seconds = format!("{:.6}", begin.elapsed().as_secs_f64());
    if let Ok(seconds) = HeaderValue::try_from(seconds) {
        response.headers_mut().insert(DURATION_SECONDS, seconds);
    }
    response
}

fn holding(response: Response<Answer>, slot: Slot) -> Response<Answer> {
    response.map(|answer| answer.holding(slot))
}

async fn echo(head: &Parts, mut body: Incoming, slot: Slot) -> hyper::Result<Response<Answer>> {
    // A client that waits for "100 Continue" gets it when its body is first read, and only before the answer begins.
    let first: Option<Frame<Bytes>> = match head.headers.contains_key(EXPECT) {
        true => body.frame().await.transpose()?,
        false => None,
    };
    let mut response = Response::new(Answer::stream(first, body, slot));
    if let Some(content_type) = head.headers.get(CONTENT_TYPE) {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, content_type.clone());
    }
    Ok(response)
}

async fn sleep(
    head: &Parts,
    body: Incoming,
    time: Duration,
    times: f64,
) -> hyper::Result<Response<Answer>> {
    let Ok(time) = work(head, time, times) else {
        return Ok(unusable_time(body));
    };
    drain(body).await?;
    tokio::time::sleep(time).await;
    let slept = format!("slept {} ms\n", time.as_millis());
    Ok(text(StatusCode::OK, slept))
}

async fn serve(
    head: &Parts,
    body: Incoming,
    (service, times): (&ServiceTimes, f64),
    function: &Function,
) -> hyper::Result<Response<Answer>> {
    let seconds = match parameter(head.uri.query(), "ms") {
        None => Some(function.draw(&service.service)),
        Some(ms) => ms.parse().ok().map(|ms: f64| ms / 1e3),
    };
    let time = seconds.map(|seconds| Duration::try_from_secs_f64(seconds * times / service.speed));
    let Some(Ok(time)) = time.filter(|time| time.as_ref().is_ok_and(|t| *t <= MAX_WORK)) else {
        return Ok(unusable_time(body));
    };
    drain(body).await?;
    tokio::time::sleep(time.saturating_sub(LATE)).await;
    let served = format!("served for {:.3} ms\n", time.as_secs_f64() * 1e3);
    Ok(text(StatusCode::OK, served))
}

async fn burn(
    head: &Parts,
    body: Incoming,
    time: Duration,
    times: f64,
) -> hyper::Result<Response<Answer>> {
    let Ok(time) = work(head, time, times) else {
        return Ok(unusable_time(body));
    };
    drain(body).await?;
    let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let stopped = stop.0.clone();
    let burning = tokio::task::spawn_blocking(move || {
        let begin = Instant::now();
        let mut number = 1_u64;
        while begin.elapsed() < time && !stopped.load(Ordering::Relaxed) {
            for _ in 0..ROUNDS {
                number = black_box(
                    number
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1),
                );
            }
        }
    });
    Ok(match burning.await {
        Ok(()) => text(StatusCode::OK, format!("burnt {} ms\n", time.as_millis())),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    })
}

async fn hash(mut body: Incoming) -> hyper::Result<Response<Answer>> {
    let mut hash = Sha256::new();
    while let Some(frame) = body.frame().await.transpose()? {
        if let Some(data) = frame.data_ref() {
            hash.update(data);
        }
    }
    Ok(text(StatusCode::OK, format!("{:x}", hash.finalize())))
}

/// Tells a thread to stop when the call that waits for it is gone.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The time that the query asks for, or the function's own; so many times longer.
fn work(head: &Parts, own: Duration, times: f64) -> Result<Duration, UnusableTime> {
    let asked = match parameter(head.uri.query(), "ms") {
        None => own,
        Some(ms) => Duration::from_millis(ms.parse().map_err(|_| UnusableTime)?),
    };
    Duration::try_from_secs_f64(asked.as_secs_f64() * times)
        .ok()
        .filter(|time| *time <= MAX_WORK)
        .ok_or(UnusableTime)
}

struct UnusableTime;

fn unusable_time(body: Incoming) -> Response<Answer> {
    discard(body);
    let most = MAX_WORK.as_millis();
    let error = format!("ms is not usable: give a whole number from 0 to {most}\n");
    text(StatusCode::BAD_REQUEST, error)
}
