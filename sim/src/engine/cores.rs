//! Cores that the calls of a node share: while more run than there are cores, each runs slower by the same factor.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use dfaas_protocol::Time;

use super::arrivals::nanos;
use super::event::CallId;

/// Processor sharing. `attained` is the work that a call which is there all the time has had so far, in seconds of a core;
/// a call ends when that has grown by its own work, so that only the first to end has to be known.
#[derive(Debug)]
pub(crate) struct Cores {
    cores: f64,
    attained: f64,
    at: Time,
    running: BinaryHeap<Reverse<Running>>,
    started: u64,
    /// Grows with each change, so that an end that was foretold before it is known to be void.
    pub(crate) version: u32,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    ends: f64,
    order: u64,
    call: CallId,
}

impl Cores {
    pub(crate) fn new(cores: f64) -> Cores {
        Cores {
            cores,
            attained: 0.0,
            at: Time::ZERO,
            running: BinaryHeap::new(),
            started: 0,
            version: 0,
        }
    }

    /// A call that takes so many seconds of a core begins.
    pub(crate) fn start(&mut self, call: CallId, seconds: f64, now: Time) {
        self.pass(now);
        let order = self.started;
        self.started += 1;
        let ends = self.attained + seconds;
        self.running.push(Reverse(Running { ends, order, call }));
    }

    /// The call that ends first has ended.
    pub(crate) fn end(&mut self, now: Time) -> Option<CallId> {
        self.pass(now);
        let Reverse(first) = self.running.pop()?;
        self.attained = self.attained.max(first.ends);
        Some(first.call)
    }

    /// When the next call ends if nothing comes or goes, and the version for which that holds.
    pub(crate) fn next_end(&mut self, now: Time) -> Option<(Time, u32)> {
        self.version = self.version.wrapping_add(1);
        let Reverse(first) = self.running.peek()?;
        let seconds = (first.ends - self.attained).max(0.0) / self.pace();
        Some((now + nanos(seconds), self.version))
    }

    /// All that runs is gone.
    pub(crate) fn clear(&mut self) -> Vec<CallId> {
        self.version = self.version.wrapping_add(1);
        let running = std::mem::take(&mut self.running).into_sorted_vec();
        running.into_iter().map(|Reverse(one)| one.call).collect()
    }

    /// Seconds of a core that each call gets in a second.
    fn pace(&self) -> f64 {
        (self.cores / self.running.len().max(1) as f64).min(1.0)
    }

    fn pass(&mut self, now: Time) {
        self.attained += now.since(self.at).as_secs_f64() * self.pace();
        self.at = now;
    }
}

impl Ord for Running {
    fn cmp(&self, other: &Running) -> Ordering {
        self.ends
            .total_cmp(&other.ends)
            .then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Running) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Running) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Running {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn three_on_two_cores_take_half_as_long_again() {
        let mut cores = Cores::new(2.0);
        (0..3).for_each(|call| cores.start(call, 0.1, at(0)));
        assert_eq!(cores.next_end(at(0)).unwrap().0, at(150));
        assert_eq!(cores.end(at(150)), Some(0));
        assert_eq!(cores.end(at(150)), Some(1));
    }

    #[test]
    fn who_comes_later_slows_who_is_there() {
        let mut cores = Cores::new(1.0);
        cores.start(1, 0.1, at(0));
        cores.start(2, 0.02, at(50));
        // Half of the first is done; both share until the short one ends.
        assert_eq!(cores.next_end(at(50)).unwrap().0, at(90));
        assert_eq!(cores.end(at(90)), Some(2));
        let end = cores.next_end(at(90)).unwrap().0;
        assert!(end.since(at(120)) + at(120).since(end) < Duration::from_micros(1));
    }
}
