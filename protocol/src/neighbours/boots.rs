//! Which start of a node an offer is from, and whether it is the last word.
//!
//! Boot ids are drawn, and not compared but for equality: no clock is trusted, and one that a node draws after another may be
//! smaller. What a node said before its last known start is stale for as long as it is remembered.

/// How many earlier starts of a node are remembered.
const PAST: usize = 8;

/// The starts of a node, as far as they were heard of.
#[derive(Clone, Debug)]
pub(super) struct Boots {
    boot: u64,
    sequence: u64,
    /// It said farewell: nothing more is to come from this start.
    over: bool,
    /// Those before it, the newest first, if there were any.
    past: Vec<u64>,
}

/// What an offer is among those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The newest of this start.
    Next,
    /// The first that is heard of a new start.
    Anew,
    /// Not newer than what was heard.
    Stale,
}

impl Boots {
    pub(super) const fn new(boot: u64, sequence: u64) -> Boots {
        Boots {
            boot,
            sequence,
            over: false,
            past: Vec::new(),
        }
    }

    /// An offer is heard.
    pub(super) fn hear(&mut self, boot: u64, sequence: u64) -> Order {
        if boot == self.boot {
            if self.over || sequence <= self.sequence {
                return Order::Stale;
            }
            self.sequence = sequence;
            return Order::Next;
        }
        if self.past.contains(&boot) {
            return Order::Stale;
        }
        self.past.truncate(PAST - 1);
        self.past.insert(0, self.boot);
        *self = Boots {
            past: std::mem::take(&mut self.past),
            ..Boots::new(boot, sequence)
        };
        Order::Anew
    }

    /// It said farewell.
    pub(super) const fn end(&mut self) {
        self.over = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Order::{Anew, Next, Stale};

    #[test]
    fn what_was_said_before_is_stale_in_any_order() {
        let mut boots = Boots::new(7, 5);
        let heard = [(7, 5), (7, 4), (7, 6), (7, 6), (7, 9), (7, 8)].map(|(b, s)| boots.hear(b, s));
        assert_eq!(heard, [Stale, Stale, Next, Stale, Next, Stale]);
    }

    #[test]
    fn a_new_start_may_have_a_smaller_id_and_the_one_before_it_is_over() {
        let mut boots = Boots::new(7, 500);
        assert_eq!(boots.hear(3, 1), Anew);
        assert_eq!(boots.hear(7, 501), Stale, "late, from before");
        assert_eq!(boots.hear(3, 2), Next);
        assert_eq!(boots.hear(9, 1), Anew);
        assert_eq!(boots.hear(3, 3), Stale);
        assert_eq!(boots.hear(7, 999), Stale);
    }

    #[test]
    fn a_farewell_is_the_last_word_of_a_start() {
        let mut boots = Boots::new(7, 5);
        boots.end();
        assert_eq!(boots.hear(7, 6), Stale);
        assert_eq!(boots.hear(8, 1), Anew);
        assert_eq!(boots.hear(8, 2), Next);
        assert_eq!(boots.hear(7, 7), Stale);
    }
}
