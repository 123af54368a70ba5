//! What one member may send here: so many messages or calls a second, and so many bytes; and what becomes of one that goes
//! on sending more.

use std::time::Duration;

use crate::estimate::TokenBucket;
use crate::{CallRate, Time};

/// Bytes are counted in units of so many, as a bucket holds at most a million tokens a second.
const UNIT: u64 = 1024;
/// One that sends too much for so long, without so long a pause, is cut off.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one is cut off the first time; each time after it for twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// How long at most, and after how long without another time the first one comes again.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How much one member may send; zero is any amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Messages or calls a second.
    pub count: u32,
    /// Bytes a second.
    pub bytes: u64,
}

/// What is left of what one member may send. A bucket holds so many seconds' worth.
#[derive(Debug)]
pub struct Allowance {
    count: Option<TokenBucket>,
    units: Option<TokenBucket>,
}

impl Allowance {
    /// A full one, that holds what may be sent in `seconds`.
    pub fn new(rates: Rates, seconds: u32) -> Allowance {
        let bucket = |rate: u64| {
            let rate = CallRate::up_to(rate as f64)?;
            let tokens = rate.per_second() * f64::from(seconds);
            Some(TokenBucket::new(rate, tokens as u32))
        };
        let units = match rates.bytes {
            0 => 0,
            bytes => bytes.div_ceil(UNIT),
        };
        Allowance {
            count: bucket(u64::from(rates.count)),
            units: bucket(units),
        }
    }

    /// Takes one message or call. Returns whether it may be taken; bytes that were sent too many are paid back first.
    pub fn take(&self, now: Time) -> bool {
        let in_debt = self
            .units
            .as_ref()
            .is_some_and(|units| units.tokens(now) < 0);
        !in_debt && self.count.as_ref().is_none_or(|count| count.try_take(now))
    }

    /// So many bytes came, which cannot be undone. `rest` keeps what does not make a whole unit.
    pub fn weigh(&self, bytes: usize, rest: &mut u64, now: Time) {
        if let Some(units) = &self.units {
            let bytes = *rest + bytes as u64;
            *rest = bytes % UNIT;
            units.spend(bytes / UNIT, now);
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is taken.
    Take,
    /// It is ignored: its sender sends too much.
    Ignore,
    /// Its sender is cut off for so long, as it has sent too much for too long.
    Cut(Duration),
}

/// A member that sends messages.
#[derive(Debug)]
pub struct Sender {
    allowance: Allowance,
    rest: u64,
    /// Since when it sends too much, and when it last did.
    over: Option<(Time, Time)>,
    cut_until: Time,
    cuts: u32,
}

impl Sender {
    /// How many seconds' worth may come at once.
    const BURST_S: u32 = 10;

    /// One that has not sent anything yet.
    pub fn new(rates: Rates) -> Sender {
        Sender {
            allowance: Allowance::new(rates, Sender::BURST_S),
            rest: 0,
            over: None,
            cut_until: Time::ZERO,
            cuts: 0,
        }
    }

    /// A message of so many bytes came.
    pub fn sends(&mut self, bytes: usize, now: Time) -> Reaction {
        if self.is_cut(now) {
            return Reaction::Ignore;
        }
        let takes = self.allowance.take(now);
        self.allowance.weigh(bytes, &mut self.rest, now);
        if takes {
            return Reaction::Take;
        }
        let since = match self.over {
            Some((since, last)) if now.since(last) < PATIENCE => since,
            _ => now,
        };
        self.over = Some((since, now));
        if now.since(since) < PATIENCE {
            return Reaction::Ignore;
        }
        if now.since(self.cut_until) > LONGEST_PAUSE {
            self.cuts = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1u32.checked_shl(self.cuts).unwrap_or(u32::MAX));
        let pause = pause.min(LONGEST_PAUSE);
        self.cuts += 1;
        self.over = None;
        self.cut_until = now + pause;
        Reaction::Cut(pause)
    }

    /// Whether it is cut off now.
    pub fn is_cut(&self, now: Time) -> bool {
        now < self.cut_until
    }

    /// Whether it was cut off so lately that it must be remembered.
    pub fn is_of_note(&self, now: Time) -> bool {
        self.cuts > 0 && now.since(self.cut_until) <= LONGEST_PAUSE || self.over.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    const RATES: Rates = Rates {
        count: 10,
        bytes: 10 * 1024,
    };

    #[test]
    fn calls_are_counted_and_zero_is_any_number() {
        let allowance = Allowance::new(RATES, 1);
        let taken = (0..1000).filter(|ms| allowance.take(at(*ms))).count();
        assert!((19..=20).contains(&taken), "{taken}");
        let any = Rates { count: 0, bytes: 0 };
        let allowance = Allowance::new(any, 1);
        allowance.weigh(usize::MAX / 2, &mut 0, at(0));
        assert!((0..100_000).all(|_| allowance.take(at(0))));
    }

    #[test]
    fn bytes_that_were_too_many_are_paid_back_first() {
        let allowance = Allowance::new(Rates { count: 0, ..RATES }, 1);
        let mut rest = 0;
        (0..15 * 2).for_each(|_| allowance.weigh(512, &mut rest, at(0)));
        assert!(!allowance.take(at(0)));
        assert!(!allowance.take(at(400)));
        assert!(
            allowance.take(at(500)),
            "fifteen units, ten in the bucket, five back"
        );
    }

    #[test]
    fn nobody_is_in_debt_for_ever() {
        let allowance = Allowance::new(RATES, 1);
        allowance.weigh(1 << 40, &mut 0, at(0));
        assert!(!allowance.take(at(900)));
        assert!(allowance.take(at(1100)));
    }

    /// How one is met that sends so often for so long, and until when it was not cut off.
    fn floods(sender: &mut Sender, from: u64, every_ms: u64, to: u64) -> (usize, usize, Vec<u64>) {
        let (mut taken, mut ignored, mut cuts) = (0, 0, Vec::new());
        for now in (from..to).step_by(every_ms as usize) {
            match sender.sends(100, at(now)) {
                Reaction::Take => taken += 1,
                Reaction::Ignore => ignored += 1,
                Reaction::Cut(pause) => cuts.push(pause.as_secs()),
            }
        }
        (taken, ignored, cuts)
    }

    #[test]
    fn who_keeps_to_the_rate_is_heard_and_a_burst_is_too() {
        let mut sender = Sender::new(RATES);
        assert_eq!(floods(&mut sender, 0, 100, 60_000), (600, 0, vec![]));
        let burst = (0..100).all(|_| sender.sends(10, at(60_000)) == Reaction::Take);
        assert!(burst);
        assert!(!sender.is_of_note(at(60_000)));
    }

    #[test]
    fn who_floods_is_ignored_then_cut_off_for_longer_each_time() {
        let mut sender = Sender::new(RATES);
        let (taken, ignored, cuts) = floods(&mut sender, 0, 1, 60_000);
        assert_eq!(cuts, [5, 10, 20, 40]);
        assert!(taken < 700, "{taken}");
        assert!(ignored > 50_000);
        assert!(sender.is_of_note(at(60_000)));
        let (_, _, cuts) = floods(&mut sender, 60_000, 1, 3_600_000);
        assert!(cuts.ends_with(&[600, 600]), "{cuts:?}");
    }

    #[test]
    fn one_burst_too_many_now_and_then_is_ignored_and_no_more() {
        let mut sender = Sender::new(RATES);
        for minute in 0..10 {
            let (_, ignored, cuts) =
                floods(&mut sender, minute * 60_000, 1, minute * 60_000 + 2500);
            assert!(ignored > 2000 && cuts.is_empty());
        }
    }
}
