//! The queue of a function: who waits for a slot, and who goes first.
//!
//! Higher priority goes first, then the earlier latest start, then the earlier arrival. Where it is full, a call of higher
//! priority takes the place of the one that would go last. A call that can no longer start in time is dropped when
//! its turn comes: nothing of it was executed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::Time;
use crate::policy::Priority;

/// Who goes first, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    priority: Reverse<Priority>,
    latest_start: Time,
    arrival: u64,
}

/// Calls that wait, each with something of the driver's to wake it by.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<Place, T>,
    arrivals: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            waiting: BTreeMap::new(),
            arrivals: 0,
        }
    }
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new() -> Queue<T> {
        Queue::default()
    }

    /// Lets a call wait, which is of no use if it starts after `latest_start`. Whether there is room is for the gate to
    /// say. Returns its place, by which it can leave.
    pub fn push(&mut self, priority: Priority, latest_start: Option<Time>, call: T) -> Place {
        let place = Place {
            priority: Reverse(priority),
            latest_start: latest_start.unwrap_or(Time::END),
            arrival: self.arrivals,
        };
        self.arrivals += 1;
        self.waiting.insert(place, call);
        place
    }

    /// Takes out the call that would go last, if its priority is below that one: its place in the gate's count is free for
    /// the other.
    pub fn displace(&mut self, priority: Priority) -> Option<T> {
        let last = self.waiting.last_entry()?;
        (last.key().priority.0 < priority).then(|| last.remove())
    }

    /// Takes out the call that goes first, with whether it can still start in time.
    pub fn pop(&mut self, now: Time) -> Option<(T, bool)> {
        let (place, call) = self.waiting.pop_first()?;
        Some((call, now <= place.latest_start))
    }

    /// Takes a call out that gives up; nothing if it is not there any more.
    pub fn leave(&mut self, place: Place) -> Option<T> {
        self.waiting.remove(&place)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn priority(n: u8) -> Priority {
        Priority::new(n).unwrap()
    }

    fn at(ns: u64) -> Option<Time> {
        Some(Time::from_nanos(ns))
    }

    #[test]
    fn priority_then_deadline_then_arrival() {
        let mut queue = Queue::new();
        queue.push(priority(5), None, "fifth");
        queue.push(priority(5), at(90), "fourth");
        queue.push(priority(9), None, "first");
        queue.push(priority(5), at(50), "second");
        queue.push(priority(5), at(50), "third");
        let order: Vec<_> =
            std::iter::from_fn(|| queue.pop(Time::ZERO).map(|(call, _)| call)).collect();
        assert_eq!(order, ["first", "second", "third", "fourth", "fifth"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn the_last_of_lower_priority_is_displaced() {
        let mut queue = Queue::new();
        queue.push(priority(3), None, "old");
        queue.push(priority(3), None, "young");
        queue.push(priority(7), None, "high");
        assert_eq!(queue.displace(priority(3)), None, "not by an equal");
        assert_eq!(queue.displace(priority(7)), Some("young"));
        assert_eq!(queue.displace(priority(4)), Some("old"));
        assert_eq!(queue.displace(priority(7)), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn who_comes_too_late_is_told_apart() {
        let mut queue = Queue::new();
        queue.push(priority(5), at(10), "a");
        queue.push(priority(5), at(20), "b");
        assert_eq!(queue.pop(Time::from_nanos(11)), Some(("a", false)));
        assert_eq!(queue.pop(Time::from_nanos(20)), Some(("b", true)));
    }

    #[test]
    fn who_left_is_not_there() {
        let mut queue = Queue::new();
        let place = queue.push(priority(5), None, "a");
        assert_eq!(queue.leave(place), Some("a"));
        assert_eq!(queue.leave(place), None);
        assert_eq!(queue.pop(Time::ZERO), None);
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_nobody_overtaken_by_lower_priority(
            calls in proptest::collection::vec((0..10u8, proptest::option::of(0..100u64)), 0..40),
        ) {
            let mut queue = Queue::new();
            for (index, (p, latest)) in calls.iter().enumerate() {
                queue.push(priority(*p), latest.map(Time::from_nanos), index);
            }
            let order: Vec<usize> =
                std::iter::from_fn(|| queue.pop(Time::ZERO).map(|(call, _)| call)).collect();
            let mut seen = order.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..calls.len()).collect::<Vec<_>>());
            prop_assert!(order.is_sorted_by(|a, b| calls[*a].0 >= calls[*b].0));
        }
    }
}
