//! The clocks of the nodes, which may be ahead and may run too fast or too slow.
//!
//! All that an agent would read from its clock is told to a node in the time of its own clock, and what it says of times is
//! put back into the time of the run. No time of one node reaches another.

use std::time::Duration;

use dfaas_protocol::Time;

use crate::scenario::{Clock, Experiment};

const BILLION: i128 = 1_000_000_000;

/// Empty if all clocks are right.
#[derive(Debug)]
pub(super) struct Clocks(Vec<Clock>);

impl Clocks {
    pub(super) fn new(experiment: &Experiment) -> Clocks {
        let clocks = experiment.nodes.iter().map(|site| site.clock);
        let all_right = clocks.clone().all(|clock| clock == Clock::default());
        Clocks(if all_right {
            Vec::new()
        } else {
            clocks.collect()
        })
    }

    /// What the clock of a node shows at a time of the run.
    pub(super) fn shows(&self, node: usize, at: Time) -> Time {
        match self.0.get(node) {
            Some(clock) => shows(*clock, at),
            None => at,
        }
    }

    /// When the clock of a node shows that.
    pub(super) fn when(&self, node: usize, shown: Time) -> Time {
        match self.0.get(node) {
            Some(clock) => when(*clock, shown),
            None => shown,
        }
    }

    /// When that much has passed on the clock of a node.
    pub(super) fn after(&self, node: usize, now: Time, duration: Duration) -> Time {
        self.when(node, self.shows(node, now) + duration)
    }
}

fn shows(clock: Clock, at: Time) -> Time {
    let ahead = i128::from(at.as_nanos()) * i128::from(clock.drift_ppb) / BILLION;
    let passed = i128::from(at.as_nanos()) + ahead;
    Time::from_nanos(passed.try_into().unwrap_or(u64::MAX)) + clock.offset
}

/// The first nanosecond at which it shows no less.
fn when(clock: Clock, shown: Time) -> Time {
    let passed = shown.since(Time::ZERO + clock.offset).as_nanos() as i128;
    let about = passed * BILLION / (BILLION + i128::from(clock.drift_ppb));
    // Both divisions round, which is a few nanoseconds at most.
    let from = (about - 4).max(0);
    let at = |nanos: i128| Time::from_nanos(nanos.try_into().unwrap_or(u64::MAX));
    let first = (from..about + 8).find(|nanos| shows(clock, at(*nanos)) >= shown);
    at(first.unwrap_or(about + 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_read_there_and_back() {
        for drift_ppb in [-500_000_000, -100_000, -1, 0, 7, 100_000, 1_000_000_000] {
            let clock = Clock {
                drift_ppb,
                offset: Duration::from_millis(1500),
            };
            for nanos in [0, 1, 999, 123_456_789, 86_400_000_000_001] {
                let at = Time::from_nanos(nanos);
                let shown = shows(clock, at);
                let back = when(clock, shown);
                assert!(
                    back <= at && shows(clock, back) >= shown,
                    "{drift_ppb} {nanos}"
                );
                if back > Time::ZERO {
                    let before = Time::from_nanos(back.as_nanos() - 1);
                    assert!(shows(clock, before) < shown, "{drift_ppb} {nanos}");
                }
            }
        }
    }

    #[test]
    fn a_fast_clock_takes_less_for_a_second() {
        let clock = |drift_ppb| Clock {
            drift_ppb,
            offset: Duration::from_secs(9),
        };
        let clocks = Clocks(vec![clock(1_000_000_000), clock(-500_000_000)]);
        let now = Time::ZERO + Duration::from_secs(3);
        let after = |node| {
            let then = clocks.after(node, now, Duration::from_secs(1));
            (then.since(now).as_secs_f64() * 1e3).round()
        };
        assert_eq!([after(0), after(1)], [500.0, 2000.0]);
    }
}
