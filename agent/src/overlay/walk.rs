//! When to ask the known nodes for more nodes.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause while fewer nodes are connected than there should be neighbours.
const LONGEST_ALONE: Duration = Duration::from_secs(2);

/// Walks through the federation: often after a node was met, ever less often while nothing is new.
pub(super) struct Walk {
    at: Instant,
    backoff: Backoff,
    taken: u64,
}

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The nodes nearest to ourselves in Kademlia's sense: they are the ones that know newcomers.
    Ourselves,
    /// Nodes from anywhere.
    Anywhere,
}

impl Walk {
    pub(super) fn new(now: Instant) -> Walk {
        Walk {
            at: now,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            taken: 0,
        }
    }

    /// A node was met, which may know others.
    pub(super) fn soon(&mut self, now: Instant) {
        self.backoff.reset();
        self.at = self.at.min(now + self.backoff.pause());
    }

    /// What to look for, if it is time to. `few`: fewer nodes are connected than there should be neighbours.
    pub(super) fn due(&mut self, now: Instant, few: bool) -> Option<Target> {
        if few {
            self.at = self.at.min(now + LONGEST_ALONE);
        }
        if self.at > now {
            return None;
        }
        self.at = now + self.backoff.pause();
        self.taken += 1;
        Some(if self.taken.is_multiple_of(3) {
            Target::Anywhere
        } else {
            Target::Ourselves
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_grow_rare_until_a_node_is_met() {
        let start = Instant::now();
        let mut walk = Walk::new(start);
        let count_while = |walk: &mut Walk, few: bool, from: u64, to: u64| {
            (from * 10..to * 10)
                .filter(|tenth| {
                    walk.due(start + Duration::from_millis(tenth * 100), few)
                        .is_some()
                })
                .count()
        };
        let count = |walk: &mut Walk, from, to| count_while(walk, false, from, to);
        assert!((4..=8).contains(&count(&mut walk, 0, 10)));
        assert!(count(&mut walk, 10, 40) <= 3);
        walk.soon(start + Duration::from_secs(40));
        assert!(count(&mut walk, 40, 50) >= 4);
        // With too few nodes it goes on every two seconds.
        assert!((18..=32).contains(&count_while(&mut walk, true, 50, 100)));
    }
}
