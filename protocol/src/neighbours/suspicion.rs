//! Whether a neighbour that is silent may be dead: phi accrual over the times between its offers (Hayashibara and others,
//! 2004), and what other neighbours say of it.
//!
//! ```text
//! heard ──(phi ≥ 8)──▶ suspected ──(others do not hear it either)──▶ dead
//!   ▲──────(heard, or it answers a call or a check)──┘
//! ```
//!
//! A neighbour that others hear is slow, or only far from here: it stays suspected, and is not dead.

use std::time::Duration;

use crate::{NodeId, Time};

/// How unlikely, as a negative power of ten, a silence must be before a neighbour is suspected.
const THRESHOLD: f64 = 8.0;
/// How much a new time between two offers changes what is known of them.
const SMOOTHING: f64 = 0.125;
/// Of what a period is, the least and the most that times between offers are taken to deviate: the least as offers are sent
/// with jitter over networks with more, the most so that a neighbour is suspected before it expires.
const DEVIATION: (f64, f64) = (0.2, 0.35);
/// No less, as a busy machine may pause for so long.
const LEAST_DEVIATION: Duration = Duration::from_millis(150);
/// How many others are asked.
pub(super) const ASKED: usize = 3;
/// How long they have to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of a neighbour's signs of life.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    /// The last one: an offer or another message, an answer to a call, a check that passed.
    pub(super) alive: Time,
    /// When it last offered.
    offered: Time,
    /// Mean time between its offers and the mean deviation from it, in seconds.
    mean: f64,
    deviation: f64,
    /// Seldom there, and then large.
    doubt: Option<Box<Doubt>>,
}

/// A suspicion.
#[derive(Clone, Debug)]
struct Doubt {
    since: Time,
    asked_at: Time,
    asked: [Option<NodeId>; ASKED],
    /// How many of them answered, and how many of those do not hear it either.
    answered: usize,
    silent: usize,
    /// When somebody last heard it.
    seen: Option<Time>,
    dead: bool,
}

/// What became of a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It is suspected from now on.
    Suspected,
    /// Others do not hear it either.
    Dead,
    /// It is heard again.
    Alive,
}

impl Suspicion {
    pub(super) fn new(now: Time) -> Suspicion {
        Suspicion {
            alive: now,
            offered: now,
            mean: 0.0,
            deviation: 0.0,
            doubt: None,
        }
    }

    /// It offered.
    pub(super) fn offers(&mut self, period: Duration, now: Time) {
        let (between, period) = (now.since(self.offered).as_secs_f64(), period.as_secs_f64());
        self.offered = now;
        self.alive = now;
        // Offers between two periods say nothing of those, and the silence of one that was away nothing of its pace.
        if between < period / 2.0 || self.doubt.is_some() {
            return;
        }
        if self.mean == 0.0 {
            self.mean = between;
        }
        let off = between - self.mean;
        self.mean += SMOOTHING * off;
        self.deviation += SMOOTHING * (off.abs() - self.deviation);
    }

    /// This node itself stood still for so long: nobody was silent.
    pub(super) fn stood_still(&mut self, pause: Duration) {
        self.alive = self.alive + pause;
        self.offered = self.offered + pause;
    }

    /// How unlikely it is that a neighbour with that period which lives is silent for so long: the negative logarithm of it
    /// to the base of ten.
    fn phi(&self, period: Duration, now: Time) -> f64 {
        let mean = self.mean.max(period.as_secs_f64());
        let (least, most) = (DEVIATION.0 * mean, DEVIATION.1 * mean);
        let deviation = self.deviation.clamp(least, most);
        let deviation = deviation.max(LEAST_DEVIATION.as_secs_f64());
        let y = (now.since(self.alive).as_secs_f64() - mean) / deviation;
        if y <= 0.0 {
            return 0.0;
        }
        // The logistic approximation of the normal distribution's tail.
        let x = y * (1.5976 + 0.070566 * y * y);
        (x.exp() + 1.0).log10()
    }

    /// What is new. It is to be asked a few times in a period.
    pub(super) fn look(&mut self, period: Duration, now: Time) -> Option<Finding> {
        let Some(doubt) = &mut self.doubt else {
            if self.phi(period, now) < THRESHOLD {
                return None;
            }
            self.doubt = Some(Box::new(Doubt {
                since: now,
                asked_at: now,
                asked: [None; ASKED],
                answered: 0,
                silent: 0,
                seen: None,
                dead: false,
            }));
            return Some(Finding::Suspected);
        };
        if self.alive > doubt.since {
            self.doubt = None;
            return Some(Finding::Alive);
        }
        let asked = doubt.asked.iter().flatten().count();
        let in_time = now.since(doubt.asked_at) < PATIENCE;
        let all_say = asked > 0 && doubt.answered == asked;
        if !doubt.dead && doubt.silent > 0 && doubt.seen.is_none() && (all_say || !in_time) {
            doubt.dead = true;
            return Some(Finding::Dead);
        }
        None
    }

    /// Whether others are to be asked of it now: when the suspicion begins, and once a period as long as it lasts.
    pub(super) fn is_to_be_asked_of(&self, period: Duration, now: Time) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| {
            let never = doubt.asked == [None; ASKED];
            !doubt.dead && (never || now.since(doubt.asked_at) >= period.max(PATIENCE))
        })
    }

    /// These are asked of it.
    pub(super) fn asks(&mut self, nodes: &[NodeId], now: Time) {
        if let Some(doubt) = &mut self.doubt {
            let mut nodes = nodes.iter().copied();
            doubt.asked = std::array::from_fn(|_| nodes.next());
            doubt.asked_at = now;
            (doubt.answered, doubt.silent) = (0, 0);
        }
    }

    /// One that was asked last had a sign of life of it so long ago, or does not know it.
    pub(super) fn is_told(
        &mut self,
        by: NodeId,
        silent: Option<Duration>,
        period: Duration,
        now: Time,
    ) {
        let silence = now.since(self.alive);
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        let Some(place) = doubt.asked.iter_mut().find(|asked| **asked == Some(by)) else {
            return;
        };
        match silent {
            // It does not count as one that was asked.
            None => *place = None,
            Some(theirs) => {
                // Each is heard once.
                *place = Some(NodeId::from_key([0; 32]));
                doubt.answered += 1;
                if theirs + period / 2 < silence {
                    doubt.seen = Some(now);
                } else {
                    doubt.silent += 1;
                }
            }
        }
    }

    /// Whether it is suspected.
    pub(super) const fn is_suspected(&self) -> bool {
        self.doubt.is_some()
    }

    /// When somebody else was last said to hear it.
    pub(super) fn seen(&self) -> Option<Time> {
        self.doubt.as_ref()?.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn node(n: u8) -> NodeId {
        NodeId::from_key([n; 32])
    }

    /// One that offered thirty times, so far apart by turns, and when the last time was.
    fn known(gaps: [u64; 2]) -> (Suspicion, u64) {
        let (mut suspicion, mut now) = (Suspicion::new(at(0)), 0);
        for gap in gaps.into_iter().cycle().take(30) {
            now += gap;
            assert_eq!(suspicion.look(PERIOD, at(now)), None);
            suspicion.offers(PERIOD, at(now));
        }
        (suspicion, now)
    }

    fn suspected_after(mut suspicion: Suspicion, last: u64) -> u64 {
        (0..10_000)
            .find(|ms| suspicion.look(PERIOD, at(last + ms)) == Some(Finding::Suspected))
            .unwrap()
    }

    #[test]
    fn who_is_regular_is_suspected_soon_and_who_is_not_is_given_longer() {
        let (regular, last) = known([950, 1050]);
        let soon = suspected_after(regular, last);
        let (irregular, last) = known([600, 1400]);
        let later = suspected_after(irregular, last);
        assert!((1900..2300).contains(&soon), "{soon}");
        assert!(soon + 300 < later && later < 3000, "{later}");
    }

    #[test]
    fn offers_between_two_periods_do_not_make_it_impatient() {
        let (mut suspicion, mut now) = known([950, 1050]);
        for _ in 0..100 {
            now += 10;
            suspicion.offers(PERIOD, at(now));
        }
        assert!(suspected_after(suspicion, now) > 1900);
    }

    #[test]
    fn a_sign_of_life_ends_the_suspicion() {
        let (mut suspicion, last) = known([1000, 1000]);
        let then = last + 2500;
        assert_eq!(suspicion.look(PERIOD, at(then)), Some(Finding::Suspected));
        assert_eq!(
            suspicion.look(PERIOD, at(then + 1)),
            None,
            "it is told once"
        );
        suspicion.alive = at(then + 2);
        assert_eq!(suspicion.look(PERIOD, at(then + 2)), Some(Finding::Alive));
        assert!(!suspicion.is_suspected());
    }

    #[test]
    fn it_is_dead_when_all_that_know_it_say_so_and_not_before() {
        let (mut suspicion, last) = known([1000, 1000]);
        let then = last + 2500;
        let silence = Duration::from_millis(2500);
        suspicion.look(PERIOD, at(then));
        assert!(suspicion.is_to_be_asked_of(PERIOD, at(then)));
        suspicion.asks(&[node(1), node(2), node(3)], at(then));
        assert!(!suspicion.is_to_be_asked_of(PERIOD, at(then + 100)));
        suspicion.is_told(node(9), Some(silence), PERIOD, at(then));
        suspicion.is_told(node(1), Some(silence), PERIOD, at(then));
        suspicion.is_told(node(1), Some(silence), PERIOD, at(then));
        suspicion.is_told(node(2), None, PERIOD, at(then));
        assert_eq!(
            suspicion.look(PERIOD, at(then + 100)),
            None,
            "one is to come"
        );
        suspicion.is_told(node(3), Some(silence), PERIOD, at(then + 100));
        let found = suspicion.look(PERIOD, at(then + 100));
        assert_eq!(found, Some(Finding::Dead));
        assert_eq!(
            suspicion.look(PERIOD, at(then + 200)),
            None,
            "it is told once"
        );
    }

    #[test]
    fn one_that_does_not_answer_is_not_awaited_for_ever() {
        let (mut suspicion, last) = known([1000, 1000]);
        let then = last + 2500;
        suspicion.look(PERIOD, at(then));
        suspicion.asks(&[node(1), node(2)], at(then));
        let silence = Duration::from_millis(2500);
        suspicion.is_told(node(1), Some(silence), PERIOD, at(then + 50));
        assert_eq!(suspicion.look(PERIOD, at(then + 499)), None);
        let found = suspicion.look(PERIOD, at(then + 500));
        assert_eq!(found, Some(Finding::Dead));
    }

    #[test]
    fn who_is_heard_by_another_is_not_dead() {
        let (mut suspicion, last) = known([1000, 1000]);
        let then = last + 2500;
        suspicion.look(PERIOD, at(then));
        suspicion.asks(&[node(1), node(2)], at(then));
        let (silent, heard) = (Duration::from_millis(2500), Duration::from_millis(300));
        suspicion.is_told(node(1), Some(silent), PERIOD, at(then));
        suspicion.is_told(node(2), Some(heard), PERIOD, at(then));
        assert_eq!(suspicion.look(PERIOD, at(then + 5000)), None);
        assert_eq!(suspicion.seen(), Some(at(then)));
        assert!(suspicion.is_suspected());
    }

    #[test]
    fn nobody_to_ask_is_no_proof() {
        let (mut suspicion, last) = known([1000, 1000]);
        suspicion.look(PERIOD, at(last + 2500));
        suspicion.asks(&[], at(last + 2500));
        assert_eq!(suspicion.look(PERIOD, at(last + 60_000)), None);
    }

    #[test]
    fn who_stood_still_suspects_nobody_for_it() {
        let (mut suspicion, last) = known([1000, 1000]);
        suspicion.stood_still(Duration::from_secs(60));
        assert_eq!(suspicion.look(PERIOD, at(last + 60_500)), None);
    }
}
