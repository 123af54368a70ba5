//! Counters of a function's calls. They only grow, and live as long as the agent.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::admin::view::Calls;

use super::{Latencies, LatencySeries};

/// How a call ended. Every call that arrives ends in exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The local platform answered a client's call.
    RunHere,
    /// A neighbour answered a client's call.
    Forwarded,
    /// A client's call was refused, and nothing was executed.
    Refused,
    /// A client's call failed after something may have been executed, or the client went away.
    Failed,
}

impl Outcome {
    /// All of them, in their order.
    pub const ALL: [Outcome; 4] = [
        Outcome::RunHere,
        Outcome::Forwarded,
        Outcome::Refused,
        Outcome::Failed,
    ];

    /// A word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::RunHere => "run_here",
            Outcome::Forwarded => "forwarded",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// The status that is counted for a call whose client went away before it was answered; nobody sees it.
pub const CLIENT_GONE: u16 = 499;

/// Counts the calls of one function.
#[derive(Debug, Default)]
pub struct CallCounters {
    arrived: AtomicU64,
    run_here: AtomicU64,
    forwarded: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    run_for_peers: AtomicU64,
    refused_to_peers: AtomicU64,
    forwards_refused: AtomicU64,
    latencies: Latencies,
}

impl CallCounters {
    /// A client brought a call at `since`. Dropping what this returns without [`Arrival::ended`] counts it as failed,
    /// its client as gone.
    pub fn arrive(&self, since: Instant) -> Arrival<'_> {
        self.arrived.fetch_add(1, Relaxed);
        Arrival {
            counters: self,
            since,
            outcome: Outcome::Failed,
            code: CLIENT_GONE,
            took: None,
        }
    }

    /// A neighbour's call was run.
    pub fn ran_for_peer(&self) {
        self.run_for_peers.fetch_add(1, Relaxed);
    }

    /// A neighbour's call was refused.
    pub fn refused_to_peer(&self) {
        self.refused_to_peers.fetch_add(1, Relaxed);
    }

    /// A neighbour refused a call, or could not be reached.
    pub fn forward_refused(&self) {
        self.forwards_refused.fetch_add(1, Relaxed);
    }

    /// How long the calls took that ended.
    pub fn latencies(&self) -> Vec<LatencySeries> {
        self.latencies.read()
    }

    /// All of them. Those that arrived are read last, so that they are never fewer than those that ended.
    pub fn read(&self) -> Calls {
        Calls {
            run_here: self.run_here.load(Relaxed),
            forwarded: self.forwarded.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            run_for_peers: self.run_for_peers.load(Relaxed),
            refused_to_peers: self.refused_to_peers.load(Relaxed),
            forwards_refused: self.forwards_refused.load(Relaxed),
            arrived: self.arrived.load(Relaxed),
        }
    }

    fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::RunHere => &self.run_here,
            Outcome::Forwarded => &self.forwarded,
            Outcome::Refused => &self.refused,
            Outcome::Failed => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// A client's call that has not ended yet.
#[derive(Debug)]
pub struct Arrival<'a> {
    counters: &'a CallCounters,
    since: Instant,
    outcome: Outcome,
    code: u16,
    took: Option<Duration>,
}

impl Arrival<'_> {
    /// The call ended with that status at that moment. Returns how long it took.
    pub fn ended(mut self, outcome: Outcome, code: u16, at: Instant) -> Duration {
        let took = at.saturating_duration_since(self.since);
        self.outcome = outcome;
        self.code = code;
        self.took = Some(took);
        took
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let took = self.took.unwrap_or_else(|| self.since.elapsed());
        self.counters
            .latencies
            .record(self.outcome, self.code, took);
        self.counters.count(self.outcome);
    }
}
