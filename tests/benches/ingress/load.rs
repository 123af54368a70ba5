//! The load: connections that are kept alive, and a clock that decides when each sends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use mio::Registry;
use mio::event::Event;

use crate::account::{Reading, Used};
use crate::caller::{Caller, Ended};
use crate::engine::LOOK;

/// How long answers may take after the load has ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so many failures a load is given up.
const MANY: u64 = 1000;
/// Failures that are kept in words.
const IN_WORDS: usize = 5;
/// The longest time that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// The method of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    /// With a body of 1 KB.
    Post,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }

    fn request(self, path: &str) -> Vec<u8> {
        let name = self.as_str();
        let mut request =
            format!("{name} {path} HTTP/1.1\r\nHost: gateway.example:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n")
                .into_bytes();
        if self == Method::Post {
            request.extend_from_slice(
                b"Content-Type: application/octet-stream\r\nContent-Length: 1024\r\n",
            );
        }
        request.extend_from_slice(b"\r\n");
        if self == Method::Post {
            request.extend_from_slice(&[b'x'; 1024]);
        }
        request
    }
}

/// When the calls are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// On each connection as soon as the answer before it has come, for a time.
    Closed(Duration),
    /// So many a second at even distances, whatever was answered, for a time. A call's latency counts from the moment at which it
    /// was due.
    Open(f64, Duration),
    /// As `Closed`, until so many were answered.
    Count(u64),
}

/// What load to make.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) target: SocketAddr,
    pub(crate) path: String,
    pub(crate) method: Method,
    pub(crate) connections: usize,
    /// How long the same load runs before it is measured.
    pub(crate) warm_up: Duration,
    pub(crate) pace: Pace,
    /// The processes whose CPU time is counted.
    pub(crate) watched: Vec<u32>,
}

/// How a load went.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Answers with status 200 and the right body in the measured time.
    pub(crate) answered: u64,
    /// The same before and after it too.
    pub(crate) all: u64,
    /// Calls that got anything else, or nothing, warm-up included.
    pub(crate) failed: u64,
    /// The first of those, in words.
    pub(crate) failures: Vec<String>,
    pub(crate) time: Duration,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) used: Used,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }

    /// CPU seconds for 100,000 calls: of the watched processes, or of load and backend where there is nothing between them.
    pub(crate) fn cpu_per_100k(&self) -> f64 {
        let used = if self.used.watched.is_zero() {
            self.used.own
        } else {
            self.used.watched
        };
        used.as_secs_f64() * 1e5 / self.answered.max(1) as f64
    }

    /// The share of one core's time that the watched processes used.
    pub(crate) fn watched_share(&self) -> f64 {
        self.used.watched.as_secs_f64() / self.time.as_secs_f64()
    }

    /// The share of one core's time that load and backend used.
    pub(crate) fn own_share(&self) -> f64 {
        self.used.own.as_secs_f64() / self.time.as_secs_f64()
    }

    /// A quantile of the latencies, in microseconds.
    pub(crate) fn micros(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// A load on its way.
pub(crate) struct Running {
    load: Load,
    callers: Vec<Caller>,
    idle: VecDeque<usize>,
    /// When calls of an open loop were due that no connection was free for.
    due: VecDeque<Instant>,
    next_due: Instant,
    phase: Phase,
    answered: u64,
    all: u64,
    failed: u64,
    failures: Vec<String>,
    latency: Histogram<u64>,
}

enum Phase {
    WarmUp(Instant),
    Measuring(Instant, Reading),
    Draining(Instant, Box<Measured>),
}

impl Running {
    pub(crate) fn start(load: Load, registry: &Registry) -> Result<Running> {
        let request = load.method.request(&load.path);
        let callers: Vec<Caller> = (0..load.connections)
            .map(|index| Caller::connect(index, load.target, request.clone(), registry))
            .collect::<Result<_>>()?;
        let now = Instant::now();
        let mut running = Running {
            idle: (0..callers.len()).collect(),
            callers,
            due: VecDeque::new(),
            next_due: now,
            phase: Phase::WarmUp(now + load.warm_up),
            load,
            answered: 0,
            all: 0,
            failed: 0,
            failures: Vec::new(),
            latency: Histogram::new_with_bounds(1, LONGEST, 3)?,
        };
        running.send(now);
        Ok(running)
    }

    /// How long may be waited for events before [`Running::proceed`] must be called.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match (&self.phase, self.load.pace) {
            // epoll counts in milliseconds, which is too coarse for a pace.
            (Phase::WarmUp(_) | Phase::Measuring(..), Pace::Open(..)) => Some(Duration::ZERO),
            _ => Some(LOOK),
        }
    }

    /// Something happened at a connection.
    pub(crate) fn ready(&mut self, index: usize, event: &Event, registry: &Registry) {
        let Some(caller) = self.callers.get_mut(index) else {
            return;
        };
        match caller.ready(event) {
            Ok(None) => {}
            Ok(Some(Ended { since, close })) => {
                let now = Instant::now();
                let nanos = now.saturating_duration_since(since).as_nanos();
                self.latency
                    .saturating_record(u64::try_from(nanos).unwrap_or(u64::MAX));
                self.answered += 1;
                self.all += 1;
                if close && caller.reconnect(registry).is_err() {
                    self.failed += 1;
                }
                self.idle.push_back(index);
                self.send(now);
            }
            Err(error) => {
                // A connection that nothing was asked on may close as it likes.
                if caller.is_busy() {
                    self.failed += 1;
                    if self.failures.len() < IN_WORDS {
                        self.failures.push(format!("{error:#}"));
                    }
                    self.idle.push_back(index);
                }
                if let Err(error) = caller.reconnect(registry) {
                    self.failed += 1;
                    self.failures.push(format!("{error:#}"));
                }
                self.send(Instant::now());
            }
        }
    }

    /// Sends what is due.
    fn send(&mut self, now: Instant) {
        if let Phase::Draining(..) = self.phase {
            return;
        }
        if let Pace::Open(rate, _) = self.load.pace {
            let distance = Duration::from_secs_f64(1.0 / rate);
            while self.next_due <= now {
                self.due.push_back(self.next_due);
                self.next_due += distance;
            }
            while !self.due.is_empty()
                && let Some(index) = self.idle.pop_front()
                && let Some(due) = self.due.pop_front()
            {
                self.callers[index].call(due);
            }
        } else {
            while let Some(index) = self.idle.pop_front() {
                self.callers[index].call(now);
            }
        }
    }

    /// Goes on with the clock; the result when the load has ended.
    ///
    /// # Errors
    /// If too much failed for the load to mean anything, or an account cannot be read.
    pub(crate) fn proceed(&mut self, now: Instant) -> Result<Option<Measured>> {
        if self.failed > MANY {
            bail!("too many calls failed: {}", self.failures.join("; "));
        }
        self.send(now);
        match &self.phase {
            Phase::WarmUp(end) if now >= *end => {
                self.latency.clear();
                self.answered = 0;
                let reading = Reading::take(&self.load.watched)?;
                self.phase = Phase::Measuring(Instant::now(), reading);
            }
            Phase::Measuring(start, reading) if self.is_over(now, *start) => {
                let used = reading.until(&Reading::take(&self.load.watched)?);
                let measured = Measured {
                    answered: self.answered,
                    all: 0,
                    failed: 0,
                    failures: Vec::new(),
                    time: start.elapsed(),
                    latency: self.latency.clone(),
                    used,
                };
                self.phase = Phase::Draining(now + PATIENCE, Box::new(measured));
            }
            Phase::Draining(end, measured) => {
                let waiting = self.callers.iter().filter(|c| c.is_busy()).count() as u64;
                if waiting == 0 || now >= *end {
                    let mut measured = (**measured).clone();
                    measured.all = self.all;
                    measured.failed = self.failed + waiting;
                    measured.failures = std::mem::take(&mut self.failures);
                    if waiting > 0 {
                        measured
                            .failures
                            .push(format!("{waiting} calls got no answer"));
                    }
                    return Ok(Some(measured));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn is_over(&self, now: Instant, start: Instant) -> bool {
        match self.load.pace {
            Pace::Closed(time) | Pace::Open(_, time) => now >= start + time,
            Pace::Count(count) => self.answered >= count,
        }
    }
}
