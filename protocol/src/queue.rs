//! The queue of a function, or of the functions that share their node's slots: who waits, and who goes first.
//!
//! Higher priority goes first, then the earlier latest start, then the earlier arrival; a call that the slots of its own function do
//! not let start holds up no other. Where it is full, a call of higher priority takes the place of the one that would go
//! last. A call that can no longer start in time is dropped when its turn comes: nothing of it was executed.

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

    /// Lets a call wait, which is of no use if it starts after `latest_start`. Whether there is room was for its gate to
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

    /// Takes out the call that would go last of those that `may` go, if its priority is below that one: the other takes its
    /// place.
    pub fn displace(&mut self, priority: Priority, may: impl Fn(&T) -> bool) -> Option<T> {
        let last_first = self.waiting.iter().rev();
        let mut lower = last_first.take_while(|(place, _)| place.priority.0 < priority);
        let place = *lower.find(|(_, call)| may(call))?.0;
        self.waiting.remove(&place)
    }

    /// Takes out the call that goes first of those whose gate [resumes](crate::gate::Gate::resume) them, with `true`; or one
    /// before it that can no longer start in time, with `false`, which [leaves](crate::gate::Gate::leave).
    pub fn next(&mut self, now: Time, mut resume: impl FnMut(&T) -> bool) -> Option<(T, bool)> {
        let mut waiting = self.waiting.iter();
        let (place, in_time) = waiting.find_map(|(place, call)| {
            let late = place.latest_start < now;
            (late || resume(call)).then_some((*place, !late))
        })?;
        Some((self.waiting.remove(&place)?, in_time))
    }

    /// The call that goes first.
    pub fn first(&self) -> Option<(Place, &T)> {
        let (place, call) = self.waiting.first_key_value()?;
        Some((*place, call))
    }

    /// The call that goes last.
    pub fn last(&self) -> Option<(Place, &T)> {
        let (place, call) = self.waiting.last_key_value()?;
        Some((*place, call))
    }

    /// How many go before that place.
    pub fn ahead_of(&self, place: Place) -> usize {
        self.waiting.range(..place).count()
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

    fn drain<T>(queue: &mut Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.next(Time::ZERO, |_| true).map(|(call, _)| call)).collect()
    }

    #[test]
    fn priority_then_deadline_then_arrival() {
        let mut queue = Queue::new();
        queue.push(priority(5), None, "fifth");
        queue.push(priority(5), at(90), "fourth");
        queue.push(priority(9), None, "first");
        let second = queue.push(priority(5), at(50), "second");
        queue.push(priority(5), at(50), "third");
        assert_eq!(queue.first().unwrap().1, &"first");
        assert_eq!(queue.last().unwrap().1, &"fifth");
        assert_eq!(queue.ahead_of(second), 1);
        let order = drain(&mut queue);
        assert_eq!(order, ["first", "second", "third", "fourth", "fifth"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_cannot_start_holds_up_no_other() {
        let mut queue = Queue::new();
        queue.push(priority(9), None, "high");
        queue.push(priority(1), None, "low");
        let low = |call: &&str| *call == "low";
        assert_eq!(queue.next(Time::ZERO, low), Some(("low", true)));
        assert_eq!(queue.next(Time::ZERO, low), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn the_last_of_lower_priority_is_displaced() {
        let mut queue = Queue::new();
        queue.push(priority(3), None, "old");
        queue.push(priority(3), None, "young");
        queue.push(priority(7), None, "high");
        let any = |_: &&str| true;
        assert_eq!(queue.displace(priority(3), any), None, "not by an equal");
        let not_young = |call: &&str| *call != "young";
        assert_eq!(queue.displace(priority(7), not_young), Some("old"));
        assert_eq!(queue.displace(priority(4), any), Some("young"));
        assert_eq!(queue.displace(priority(7), any), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn who_comes_too_late_is_told_apart() {
        let mut queue = Queue::new();
        queue.push(priority(5), at(10), "a");
        queue.push(priority(5), at(20), "b");
        let none = |_: &&str| false;
        assert_eq!(queue.next(Time::from_nanos(11), none), Some(("a", false)));
        assert_eq!(queue.next(Time::from_nanos(20), none), None);
        assert_eq!(
            queue.next(Time::from_nanos(20), |_| true),
            Some(("b", true))
        );
    }

    #[test]
    fn who_left_is_not_there() {
        let mut queue = Queue::new();
        let place = queue.push(priority(5), None, "a");
        assert_eq!(queue.leave(place), Some("a"));
        assert_eq!(queue.leave(place), None);
        assert_eq!(queue.next(Time::ZERO, |_| true), None);
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
            let order = drain(&mut queue);
            let mut seen = order.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..calls.len()).collect::<Vec<_>>());
            prop_assert!(order.is_sorted_by(|a, b| calls[*a].0 >= calls[*b].0));
        }
    }
}
