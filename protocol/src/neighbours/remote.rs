//! A function at a neighbour, as the data path sees it.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::health::Follower;
use crate::offer::{FunctionOffer, ServiceTime};
use crate::{Capacity, Headroom, Health, HealthState, Time};

use super::{Breach, Trust};

/// How long a neighbour that refused is left alone at first, if nobody knows how soon a place comes free there.
const FIRST_REST: Duration = Duration::from_millis(10);
/// The longest that a neighbour is left alone: by then it has offered anew, or is heard no more.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The headroom that a neighbour last reported for one function, counted down by what was sent there since, and how long
/// things take there. It lives as long as the neighbour offers the function, through every change of plan.
///
/// Decisions and plans look at this of every candidate, so what they read and what each call counts is in one line of the
/// cache, the first.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Remote {
    free: AtomicI32,
    size: AtomicU32,
    queue: AtomicU32,
    /// Whether it refused a call since it last took one, and until when it is left alone.
    has_refused: AtomicBool,
    /// Whether the health admits every call: it tells.
    is_well: AtomicBool,
    /// Whether there is a trust to ask.
    is_doubted: AtomicBool,
    rests_until: AtomicU64,
    round_trip: AtomicTime,
    service: AtomicTime,
    unit: AtomicTime,
    sent: AtomicU64,
    /// Calls that are there now, and how many have ended; that number may wrap, as it is only compared.
    open: AtomicU32,
    ended: AtomicU32,
    /// How far its word is taken, once it has broken a promise.
    trust: OnceLock<Arc<Trust>>,
    health: Arc<Health>,
    returned: AtomicU64,
    /// How many had ended when that was last looked at and was news, and when.
    seen_ended: AtomicU32,
    seen_at: AtomicU64,
}

/// What became of a call that was sent to a neighbour, which is to be held against what that had promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It was answered so long after it was sent.
    Answered(Duration),
    /// It was refused; and if that was for want of room, what the neighbour says is left.
    Refused(Option<Headroom>),
    /// The neighbour could not be connected to, or the connection broke.
    Broke,
    /// There was no answer for so long.
    Stalled(Duration),
    /// Something else ended it, or a refusal that says nothing of its room.
    Void,
}

/// An answer is late if it takes so many times what the neighbour says, its queue's time included, and so much more.
const LATE: u32 = 4;
const LATE_BY: Duration = Duration::from_millis(100);
/// So many calls that are stuck at one time are held against a neighbour each second.
const MOST_STUCK: u32 = 8;
/// More is not believed to be anywhere.
const MOST: u32 = 1_000_000;

/// A duration that may be unknown. Nanoseconds; zero stands for the unknown one, as nothing takes no time.
#[derive(Debug, Default)]
struct AtomicTime(AtomicU64);

impl AtomicTime {
    fn set(&self, duration: Option<Duration>) {
        let nanos = duration.map_or(0, |d| {
            u64::try_from(d.as_nanos()).unwrap_or(u64::MAX).max(1)
        });
        self.0.store(nanos, Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

/// The time in which one unit of headroom comes back: the service time over the slots, or one over the rate.
pub fn unit_time(capacity: Capacity, service: Option<Duration>) -> Option<Duration> {
    match capacity {
        Capacity::Slots(slots) => Some(service? / slots.get()),
        Capacity::Rate(rate) => Some(rate.interval()),
    }
}

impl Remote {
    /// A function as a neighbour offers it, over that round trip if it was measured, with the health that all functions
    /// of the neighbour share, and what is remembered of how far its word is taken.
    pub fn new(
        offer: &FunctionOffer,
        round_trip: Option<Duration>,
        health: Arc<Health>,
        remembered: Option<Arc<Trust>>,
    ) -> Arc<Remote> {
        let mut remote = Remote::blank(health);
        remote.remember(remembered);
        Arc::new(remote).begin(offer, round_trip)
    }

    /// The same in a place that was [set aside](Remote::blank) for one.
    pub(super) fn new_in(
        mut place: Arc<Remote>,
        offer: &FunctionOffer,
        round_trip: Option<Duration>,
        health: Arc<Health>,
        remembered: Option<Arc<Trust>>,
    ) -> Arc<Remote> {
        let Some(remote) = Arc::get_mut(&mut place) else {
            return Remote::new(offer, round_trip, health, remembered);
        };
        remote.health = health;
        remote.remember(remembered);
        place.begin(offer, round_trip)
    }

    fn remember(&mut self, remembered: Option<Arc<Trust>>) {
        *self.is_doubted.get_mut() = remembered.is_some();
        self.trust = remembered.map_or_else(OnceLock::new, OnceLock::from);
    }

    /// Of nothing that is offered yet.
    pub(super) fn blank(health: Arc<Health>) -> Remote {
        Remote {
            free: AtomicI32::default(),
            size: AtomicU32::default(),
            queue: AtomicU32::default(),
            has_refused: AtomicBool::default(),
            is_well: AtomicBool::default(),
            is_doubted: AtomicBool::default(),
            rests_until: AtomicU64::default(),
            round_trip: AtomicTime::default(),
            service: AtomicTime::default(),
            unit: AtomicTime::default(),
            sent: AtomicU64::default(),
            open: AtomicU32::default(),
            ended: AtomicU32::default(),
            trust: OnceLock::new(),
            health,
            returned: AtomicU64::default(),
            seen_ended: AtomicU32::default(),
            seen_at: AtomicU64::default(),
        }
    }

    fn begin(
        self: Arc<Remote>,
        offer: &FunctionOffer,
        round_trip: Option<Duration>,
    ) -> Arc<Remote> {
        self.offered(offer);
        self.measured(round_trip);
        let told: Weak<Remote> = Arc::downgrade(&self);
        self.health.follow(told);
        self
    }

    /// The neighbour offers it anew.
    pub fn offered(&self, offer: &FunctionOffer) {
        let service = offer.service.map(ServiceTime::as_duration);
        self.report(offer.headroom);
        self.queue.store(offer.queue, Relaxed);
        self.service.set(service);
        self.unit.set(unit_time(offer.capacity, service));
    }

    /// The round trip to the neighbour was measured.
    pub fn measured(&self, round_trip: Option<Duration>) {
        self.round_trip.set(round_trip);
    }

    /// The round trip to the neighbour, once one has been measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.get()
    }

    /// The same in nanoseconds.
    pub(crate) fn round_trip_nanos(&self) -> Option<u64> {
        let nanos = self.round_trip.0.load(Relaxed);
        (nanos > 0).then_some(nanos)
    }

    /// Mean time of a call there, once the neighbour has measured one.
    pub fn service(&self) -> Option<Duration> {
        self.service.get()
    }

    /// The same in seconds.
    pub(crate) fn service_seconds(&self) -> Option<f64> {
        let nanos = self.service.0.load(Relaxed);
        (nanos > 0).then_some(nanos as f64 * 1e-9)
    }

    /// The [time](unit_time) in which one unit of headroom comes back there, once it is known.
    pub fn unit(&self) -> Option<Duration> {
        self.unit.get()
    }

    /// How many calls may wait there: with [headroom](Remote::headroom) as far below zero it has no room left.
    pub fn queue(&self) -> u32 {
        self.queue.load(Relaxed)
    }

    /// The neighbour reports its headroom anew, in an offer or with an answer.
    pub fn report(&self, headroom: Headroom) {
        let size = headroom.size.min(MOST);
        self.free.store(headroom.free.min(size as i32), Relaxed);
        self.size.store(size, Relaxed);
    }

    /// A call is sent there; it is [judged](Remote::judge) when it has ended, however it ends.
    pub fn begins(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// Looks whether the calls that are there are stuck: whether none ended for far longer than the neighbour says that one
    /// takes. To be called about once a second.
    pub(super) fn look_for_stuck(&self, now: Time) {
        let (open, ended) = (self.open.load(Relaxed), self.ended.load(Relaxed));
        let is_news = self.seen_ended.swap(ended, Relaxed) != ended;
        if open == 0 || is_news || self.seen_at.load(Relaxed) == 0 {
            return self.seen_at.store(now.as_nanos(), Relaxed);
        }
        let silent = now.since(Time::from_nanos(self.seen_at.load(Relaxed)));
        if self.is_late(silent) == Some(true) {
            (0..open.min(MOST_STUCK)).for_each(|_| self.trust().broken(Breach::Missed, now));
        }
    }

    /// Holds what became of a call that [began](Remote::begins) against what the neighbour had promised. To be told before the headroom that came with the
    /// answer is [reported](Remote::report), as that is what was promised anew.
    pub fn judge(&self, promise: Promise, now: impl FnOnce() -> Time) {
        self.ended.fetch_add(1, Relaxed);
        let _ = self
            .open
            .fetch_update(Relaxed, Relaxed, |open| Some(open.saturating_sub(1)));
        match promise {
            Promise::Answered(took) if self.is_late(took) == Some(true) => {
                self.trust().broken(Breach::Missed, now());
            }
            Promise::Answered(_) => {
                if let Some(trust) = self.known_trust() {
                    trust.kept(now);
                }
            }
            Promise::Refused(Some(says)) if says.free > 0 => {
                self.trust().broken(Breach::Plain, now());
            }
            // Where it had no room left as far as was known here, there was no promise.
            Promise::Refused(_) if self.reported().is_full(self.queue()) => {}
            Promise::Refused(_) | Promise::Broke => self.trust().broken(Breach::Missed, now()),
            Promise::Void => {}
            Promise::Stalled(took) => match self.is_late(took) {
                Some(true) => self.trust().broken(Breach::Plain, now()),
                Some(false) => {}
                None => self.trust().broken(Breach::Missed, now()),
            },
        }
    }

    /// Whether an answer that takes so long is far later than the neighbour says, were its queue full; nothing where it says
    /// nothing.
    fn is_late(&self, took: Duration) -> Option<bool> {
        let queue = self.unit()?.saturating_mul(self.queue());
        let way = self.round_trip().unwrap_or_default();
        let says = (self.service()? + way).saturating_add(queue);
        Some(took > says.saturating_mul(LATE).saturating_add(LATE_BY))
    }

    /// How far the neighbour's word is taken.
    pub fn trust(&self) -> &Arc<Trust> {
        let trust = self.trust.get_or_init(Arc::default);
        self.is_doubted.store(true, Relaxed);
        trust
    }

    /// The same, if it ever broke a promise.
    pub(super) fn known_trust(&self) -> Option<&Arc<Trust>> {
        let is_doubted = self.is_doubted.load(Relaxed);
        is_doubted.then(|| self.trust.get()).flatten()
    }

    /// Counts one call down that is about to be sent there.
    pub fn take_one(&self) {
        self.sent.fetch_add(1, Relaxed);
        let _ = self
            .free
            .fetch_update(Relaxed, Relaxed, |free| Some(free.saturating_sub(1)));
    }

    /// How many calls were sent there since the neighbour offers the function.
    pub fn calls_sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// A call that was sent there did not arrive.
    pub fn unreached(&self) {
        self.returned.fetch_add(1, Relaxed);
    }

    /// How many calls were refused, or did not arrive.
    pub fn calls_refused(&self) -> u64 {
        self.returned.load(Relaxed)
    }

    /// It refused a call for want of room: it is left alone for the time in which one place comes free there, and for twice
    /// that after the next refusals, a second at most. Longer is in vain, as whoever is full has a place free again within some
    /// such times: doubled up to a second it served 0.2 % less among ten nodes with hardly any room (`docs/strategies.md`).
    pub fn refused(&self, now: Time) {
        self.returned.fetch_add(1, Relaxed);
        let times = if self.has_refused.swap(true, Relaxed) {
            2
        } else {
            1
        };
        self.rest(times, now);
    }

    /// It took a call: it is not left alone any more.
    pub fn took(&self) {
        if self.has_refused.load(Relaxed) {
            self.has_refused.store(false, Relaxed);
            self.rests_until.store(0, Relaxed);
        }
    }

    /// Whether it is left alone now, as it refused.
    pub fn rests(&self, now: Time) -> bool {
        now.as_nanos() < self.rests_until.load(Relaxed)
    }

    /// Counts one call down that is about to be sent there. If it refused before, that call is the one to try it with: the
    /// others leave it alone for as long as a second refusal would have them.
    pub fn try_one(&self, now: Time) {
        self.take_one();
        if self.has_refused.load(Relaxed) {
            self.rest(2, now);
        }
    }

    /// It is left alone for so many times as long as one place needs to come free.
    fn rest(&self, times: u32, now: Time) {
        let rest = self.unit().unwrap_or(FIRST_REST).saturating_mul(times);
        let until = now + rest.min(LONGEST_REST);
        self.rests_until.store(until.as_nanos(), Relaxed);
    }

    /// The neighbour's health.
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// What is left there for this call as far as this node knows; nothing if it may not be sent there. On
    /// [probation](HealthState::Probation), and below full [standing](Trust), each question counts as a call.
    pub fn headroom(&self) -> Option<Headroom> {
        let may = self.is_well.load(Relaxed) || self.health.admits();
        let is_trusted = || self.known_trust().is_none_or(|trust| trust.admits());
        (may && is_trusted()).then(|| self.reported())
    }

    /// What is left there for a call that has nowhere else to go; nothing while the neighbour is ejected.
    pub fn last_resort(&self) -> Option<Headroom> {
        let may = self.is_well.load(Relaxed) || self.health.state() != HealthState::Ejected;
        may.then(|| self.reported())
    }

    /// What it reported, less what was sent there since: whether calls may be sent there is another question.
    pub fn reported(&self) -> Headroom {
        Headroom {
            free: self.free.load(Relaxed),
            size: self.size.load(Relaxed),
        }
    }
}

impl Follower for Remote {
    fn admits_all(&self, all: bool) {
        self.is_well.store(all, Relaxed);
    }
}

#[cfg(test)]
mod tests;
