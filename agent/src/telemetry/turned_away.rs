//! Requests and connections of clients that never became calls of a function.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why one was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// It is no HTTP that everybody would read alike, or its head is too large.
    Malformed,
    /// It did not come in time.
    TooSlow,
    /// Its client sends too many.
    TooManyRequests,
    /// Its client has too many connections.
    TooManyConnections,
    /// Its connection did not get through the TLS handshake.
    Handshake,
    /// No function of that name is known, here or at a neighbour.
    NoFunction,
    /// It asks for something that is no function.
    NoSuchPath,
}

impl TurnedAway {
    /// All reasons, in their order.
    const ALL: [TurnedAway; 7] = [
        TurnedAway::Malformed,
        TurnedAway::TooSlow,
        TurnedAway::TooManyRequests,
        TurnedAway::TooManyConnections,
        TurnedAway::Handshake,
        TurnedAway::NoFunction,
        TurnedAway::NoSuchPath,
    ];

    /// The reason as metrics and the access log have it.
    pub fn as_str(self) -> &'static str {
        match self {
            TurnedAway::Malformed => "malformed",
            TurnedAway::TooSlow => "too_slow",
            TurnedAway::TooManyRequests => "too_many_requests",
            TurnedAway::TooManyConnections => "too_many_connections",
            TurnedAway::Handshake => "handshake",
            TurnedAway::NoFunction => "no_function",
            TurnedAway::NoSuchPath => "no_such_path",
        }
    }
}

/// How many were turned away since the start, by reason.
#[derive(Debug, Default)]
pub struct TurnedAwayCounters([AtomicU64; TurnedAway::ALL.len()]);

impl TurnedAwayCounters {
    /// One more.
    pub fn count(&self, reason: TurnedAway) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// The sums so far.
    pub fn sums(&self) -> impl Iterator<Item = (TurnedAway, u64)> {
        TurnedAway::ALL
            .into_iter()
            .map(|reason| (reason, self.0[reason as usize].load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_sum() {
        let counters = TurnedAwayCounters::default();
        for (times, reason) in TurnedAway::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counters.count(reason));
        }
        let sums: Vec<_> = counters.sums().collect();
        for (times, (reason, sum)) in sums.into_iter().enumerate() {
            assert_eq!((reason, sum), (TurnedAway::ALL[times], times as u64));
        }
    }
}
