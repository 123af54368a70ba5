//! A calendar queue: events by time, those of one time in the order in which they were put there.
//!
//! Time is cut into days of one width, and days into weeks. There is a bucket for each day of the week at hand, a ring of
//! buckets for the weeks to come, and a heap for what is after them. A week is laid out by days when it begins, and a day is
//! sorted when it begins; what is put into the day at hand is inserted in its place. With a width that gives a day some
//! hundred events, putting and taking one costs the same however many there are; and there are so few weeks that the ends
//! of their buckets stay in the cache, where those of as many days would not. Sources: R. Brown, Calendar queues, 1988;
//! G. Varghese and A. Lauck, Hashed and hierarchical timing wheels, 1987.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use dfaas_protocol::Time;

/// Days in a week.
const DAYS: u64 = 1 << 5;
/// Weeks in the ring: so many that a second of a very large run is in it.
const WEEKS: u64 = 1 << 12;
/// Events in a day, at most: a few times as many as are looked ahead to at one time, which never goes beyond the day.
const EVENTS_A_DAY: f64 = 256.0;

#[derive(Debug)]
pub(crate) struct Calendar<E> {
    /// A day has so many nanoseconds, as a power of two.
    shift: u32,
    /// The number of the day at hand.
    day: u64,
    /// Its events, the last one first.
    today: Vec<Entry<E>>,
    /// Those of the days to come of the week at hand.
    days: Vec<Vec<Entry<E>>>,
    in_days: usize,
    /// Those of the weeks to come, in the order in which they were put there.
    weeks: Vec<Vec<Entry<E>>>,
    in_weeks: usize,
    /// The buckets of weeks that are over. Those that were used last are used again first, as they are still in the cache.
    spare: Vec<Vec<Entry<E>>>,
    far: BinaryHeap<Reverse<Far<E>>>,
    put_far: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    at: u64,
    event: E,
}

#[derive(Debug)]
struct Far<E> {
    order: u64,
    entry: Entry<E>,
}

impl<E: Copy> Calendar<E> {
    /// A calendar for about so many events a second of virtual time.
    pub(crate) fn new(events_a_second: f64) -> Calendar<E> {
        let nanos = (EVENTS_A_DAY * 1e9 / events_a_second.max(1.0)).max(1.0) as u64;
        Calendar {
            shift: nanos.ilog2().min(30),
            day: 0,
            today: Vec::new(),
            days: buckets(DAYS),
            in_days: 0,
            weeks: buckets(WEEKS),
            in_weeks: 0,
            spare: Vec::new(),
            far: BinaryHeap::new(),
            put_far: 0,
        }
    }

    pub(crate) fn schedule(&mut self, at: Time, event: E) {
        let at = at.as_nanos();
        let entry = Entry { at, event };
        let day = at >> self.shift;
        if day <= self.day {
            let place = self.today.partition_point(|other| other.at > at);
            self.today.insert(place, entry);
        } else if day / DAYS == self.day / DAYS {
            self.put_near(day, entry);
        } else if day / DAYS < self.day / DAYS + WEEKS {
            self.put(day / DAYS, entry);
        } else {
            let order = self.put_far;
            self.put_far += 1;
            self.far.push(Reverse(Far { order, entry }));
        }
    }

    /// Takes the next event of the day at hand.
    pub(crate) fn next_today(&mut self) -> Option<(Time, E)> {
        let Entry { at, event } = self.today.pop()?;
        Some((Time::from_nanos(at), event))
    }

    /// What is still to happen on the day at hand, as far as is known.
    pub(crate) fn today(&self) -> impl Iterator<Item = E> + '_ {
        self.today.iter().rev().map(|entry| entry.event)
    }

    /// Goes on to the next day on which something happens, once nothing of the day at hand is left. Returns whether there
    /// is one.
    pub(crate) fn turn(&mut self) -> bool {
        while self.today.is_empty() {
            let week = self.day / DAYS;
            if self.in_days > 0 {
                self.day += 1;
            } else if self.in_weeks > 0 {
                self.day = (week + 1) * DAYS;
            } else if let Some(Reverse(first)) = self.far.peek() {
                self.day = first.entry.at >> self.shift;
            } else {
                return false;
            }
            if self.day / DAYS > week {
                self.come_near();
                self.lay_out();
            }
            let bucket = &mut self.days[(self.day % DAYS) as usize];
            self.in_days -= bucket.len();
            std::mem::swap(&mut self.today, bucket);
            // Later ones first, and of one time those that were put there later first.
            self.today.reverse();
            self.today.sort_by_key(|entry| Reverse(entry.at));
        }
        true
    }

    /// Moves what is in the ring's weeks by now there, before anything else can be put into them.
    fn come_near(&mut self) {
        let end = self.day / DAYS + WEEKS;
        while let Some(Reverse(first)) = self.far.peek()
            && let week = (first.entry.at >> self.shift) / DAYS
            && week < end
            && let Some(Reverse(Far { entry, .. })) = self.far.pop()
        {
            self.put(week, entry);
        }
    }

    /// Puts what is in the week that begins into its days.
    fn lay_out(&mut self) {
        let week = (self.day / DAYS % WEEKS) as usize;
        let mut bucket = std::mem::take(&mut self.weeks[week]);
        self.in_weeks -= bucket.len();
        for entry in bucket.drain(..) {
            self.put_near(entry.at >> self.shift, entry);
        }
        self.spare.push(bucket);
    }

    /// Puts an entry into a day of the week at hand.
    fn put_near(&mut self, day: u64, entry: Entry<E>) {
        self.days[(day % DAYS) as usize].push(entry);
        self.in_days += 1;
    }

    /// Puts an entry into a week of the ring.
    fn put(&mut self, week: u64, entry: Entry<E>) {
        let bucket = &mut self.weeks[(week % WEEKS) as usize];
        if bucket.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            *bucket = spare;
        }
        bucket.push(entry);
        self.in_weeks += 1;
    }
}

fn buckets<E>(count: u64) -> Vec<Vec<Entry<E>>> {
    let buckets = std::iter::repeat_with(Vec::new);
    buckets.take(count as usize).collect()
}

impl<E> Far<E> {
    const fn key(&self) -> (u64, u64) {
        (self.entry.at, self.order)
    }
}

impl<E> Ord for Far<E> {
    fn cmp(&self, other: &Far<E>) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> PartialOrd for Far<E> {
    fn partial_cmp(&self, other: &Far<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Far<E> {
    fn eq(&self, other: &Far<E>) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Far<E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn next<E: Copy>(calendar: &mut Calendar<E>) -> Option<(Time, E)> {
        calendar.turn().then(|| calendar.next_today())?
    }

    #[test]
    fn events_come_by_time_and_then_in_their_order() {
        for rate in [1.0, 1e3, 1e6, 1e9] {
            let mut calendar = Calendar::new(rate);
            for (index, at) in [30, 10, 20, 10, 30].into_iter().enumerate() {
                calendar.schedule(Time::from_nanos(at * 1_000_000_000), index);
            }
            let mut seen = Vec::new();
            while let Some((at, index)) = next(&mut calendar) {
                seen.push((at.as_nanos() / 1_000_000_000, index));
            }
            assert_eq!(seen, [(10, 1), (10, 3), (20, 2), (30, 0), (30, 4)]);
        }
    }

    #[test]
    fn it_is_a_stable_sort_while_events_come_and_go() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for rate in [100.0, 1e4, 1e6, 1e8, 1e9] {
            let mut calendar = Calendar::new(rate);
            let (mut now, mut put) = (0, 0);
            let mut seen: Vec<(u64, usize)> = Vec::new();
            let mut all: Vec<(u64, usize)> = Vec::new();
            let mut schedule = |calendar: &mut Calendar<usize>, at: u64| {
                calendar.schedule(Time::from_nanos(at), put);
                all.push((at, put));
                put += 1;
            };
            (0..100).for_each(|_| schedule(&mut calendar, 0));
            while let Some((at, index)) = next(&mut calendar) {
                assert!(at.as_nanos() >= now);
                now = at.as_nanos();
                seen.push((now, index));
                if seen.len() < 20_000 {
                    // Sometimes at once, sometimes soon, sometimes beyond the ring; often at the same time.
                    let later = [0, 1_000, 1_000_000, 30_000_000, 5_000_000_000];
                    schedule(&mut calendar, now + later[rng.random_range(0..later.len())]);
                }
            }
            all.sort();
            assert_eq!(seen, all);
        }
    }
}
