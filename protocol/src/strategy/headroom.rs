//! `headroom`, the default: where a slot is free, run; else to the neighbour with the largest share of its capacity left.
//!
//! Headroom of a function on a node is slots − running − waiting, or the tokens of its rate; it is signed. Its share is
//! headroom over size. A call for which nothing is free here goes to the candidate with the largest share, ties to the
//! nearest (in steps of [`AS_NEAR_MS`]) and then at random, if that exceeds the share here by [`MARGIN`], or if
//! the queue here is full. Where the call would have to wait there as well, the share must exceed ours by more than one place
//! of theirs, the one that the call itself takes: else it gains nothing for its way, and often not even that, as what is known of
//! there is old. Not a candidate is who has no room to wait either, who refused a moment ago, and who would start the call too late:
//!
//! start = now + round trip / 2 + wait, wait = 0 if headroom > 0, else (1 − headroom) × unit,
//! unit = service time / slots, or 1 / rate.
//!
//! Where costs have [weights](super::CostSettings), the gain of a candidate is added to its share. A call then leaves a free slot
//! here, too, for one that is cheaper, has a slot free, and still exceeds the share here by [`MARGIN`]. Who has no room is never
//! preferred to who has, whatever it costs.
//!
//! The candidate is counted down by one at once, and each answer from it brings its headroom up to date. Else the call
//! waits here. Source: this project's own design; `docs/strategies.md` says what else was tried.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::delivery::{Decision, Tried, Why};
use crate::gate::Gate;
use crate::neighbours::{Candidate, Remote};
use crate::route::Route;
use crate::{Headroom, HealthState, Time};

use super::{CostSettings, Observation, Plan, Rule, Strategy};

/// By how much a neighbour's share must exceed ours. A larger margin forwards less and serves less.
const MARGIN: f32 = 0.05;

/// Round trips that differ by less are taken for equal, in milliseconds: that is noise, and the same neighbour would get
/// every call.
const AS_NEAR_MS: u64 = 5;

/// The strategy `headroom`.
#[derive(Clone, Debug, Default)]
pub struct HeadroomFirst {
    costs: CostSettings,
}

impl HeadroomFirst {
    /// With these weights of costs.
    pub fn new(costs: CostSettings) -> HeadroomFirst {
        HeadroomFirst { costs }
    }
}

impl Strategy for HeadroomFirst {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let routes = if self.costs.is_off() {
            seen.routes(|_| Box::new(LargestShare { gains: NoGains }))
        } else {
            let gains = seen.neighbours.iter().map(|n| self.costs.gain(&n.labels));
            let gains: Vec<f32> = gains.map(|gain| gain as f32).collect();
            seen.routes(|at| {
                let gains: Box<[f32]> = at.of(&gains).collect();
                Box::new(LargestShare { gains })
            })
        };
        Plan {
            routes,
            ..Plan::default()
        }
    }
}

#[derive(Debug)]
struct LargestShare<G> {
    /// What each candidate gains.
    gains: G,
}

/// What candidates gain.
trait Gains: fmt::Debug + Send + Sync {
    /// Whether any gains something.
    fn are_weighed(&self) -> bool;

    fn of(&self, index: usize) -> f32;
}

/// Costs are not weighed. A rule that has nothing to remember is nowhere in memory, and a decision need not read it.
#[derive(Debug)]
struct NoGains;

impl Gains for NoGains {
    fn are_weighed(&self) -> bool {
        false
    }

    fn of(&self, _: usize) -> f32 {
        0.0
    }
}

impl Gains for Box<[f32]> {
    fn are_weighed(&self) -> bool {
        !self.is_empty()
    }

    fn of(&self, index: usize) -> f32 {
        self.get(index).copied().unwrap_or(0.0)
    }
}

/// What a call can do without a neighbour.
#[derive(Clone, Copy, Debug)]
enum Here {
    /// Wait, with that share of the capacity left.
    Waits(f32),
    /// Not even wait.
    Full,
    /// Nothing: the function is not here, or is out of the question.
    Nothing,
}

impl Here {
    fn of(gate: Option<&Gate>, now: Time) -> Here {
        match gate.map(|gate| (gate.headroom(now), gate.queue())) {
            None => Here::Nothing,
            Some((headroom, queue)) if headroom.is_full(queue) => Here::Full,
            Some((headroom, _)) => Here::Waits(headroom.share()),
        }
    }

    /// Whether a call is better off elsewhere with that score. One that cannot wait here is so even where there was no
    /// room when that was last heard of: a place may have come free since.
    fn is_worse_than(self, score: f32, there: Headroom, has_room: bool) -> bool {
        match self {
            Here::Waits(share) if there.free > 0 => has_room && score > share + MARGIN,
            Here::Waits(share) => has_room && score > share + MARGIN.max(there.place()),
            Here::Full | Here::Nothing => true,
        }
    }
}

impl<G: Gains> Rule for LargestShare<G> {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let gate = route.here.as_deref().filter(|_| !tried.here());
        if let Some(gate) = gate {
            if let Some(index) = self.cheaper(route, gate, tried, now, rng) {
                route.there[index].remote.try_one(now);
                return Some(Decision::Forward(index, Why::CheaperThere));
            }
            if gate.start(now) {
                return Some(Decision::Run(Why::FreeHere));
            }
        }
        let here = Here::of(gate, now);
        let mut index = best(route, tried, rng, |index, candidate| {
            let remote = &*candidate.remote;
            let headroom = remote.headroom()?;
            let has_room = !headroom.is_full(remote.queue());
            let score = headroom.share() + self.gains.of(index);
            let is_better = here.is_worse_than(score, headroom, has_room);
            let may_try = !remote.rests(now) && starts_in_time(remote, headroom, tried, now);
            (is_better && may_try).then_some((has_room, score))
        });
        if index.is_none() && gate.is_none() {
            // Rather one on probation, or one that refused, than none; one that is silent only if there is no other.
            index = best(route, tried, rng, |_, candidate| {
                let headroom = candidate.remote.last_resort()?;
                let in_time = starts_in_time(&candidate.remote, headroom, tried, now);
                let is_heard = candidate.remote.health().state() != HealthState::Suspected;
                in_time.then(|| (is_heard, headroom.share()))
            });
        }
        let index = index?;
        route.there[index].remote.try_one(now);
        let why = if route.here.is_some() {
            Why::MoreHeadroomThere
        } else {
            Why::OnlyThere
        };
        Some(Decision::Forward(index, why))
    }
}

impl<G: Gains> LargestShare<G> {
    /// Whoever is worth leaving a free slot for.
    fn cheaper(
        &self,
        route: &Route,
        gate: &Gate,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        if !self.gains.are_weighed() {
            return None;
        }
        let here = gate.headroom(now);
        if here.free <= 0 {
            return None;
        }
        best(route, tried, rng, |index, candidate| {
            let remote = &*candidate.remote;
            // Nobody is tried on probation for the sake of costs.
            let is_well = remote.health().state() == HealthState::Healthy;
            let headroom = remote.reported();
            let gain = self.gains.of(index);
            let score = headroom.share() + gain;
            let is_better = gain > 0.0 && headroom.free > 0 && score > here.share() + MARGIN;
            let may_try = is_well && !remote.rests(now);
            (is_better && may_try && starts_in_time(remote, headroom, tried, now))
                .then_some((true, score))
        })
    }
}

/// Whether a call would start at a candidate in time, and its answer be back before its deadline, as far as that can be told.
fn starts_in_time(remote: &Remote, headroom: Headroom, tried: &Tried, now: Time) -> bool {
    let terms = tried.terms();
    if terms.latest_start(None).is_none() {
        return true;
    }
    let way = remote.round_trip().unwrap_or_default() / 2;
    let until_back = remote.service().unwrap_or_default() + way;
    let Some(latest) = terms.latest_start(Some(until_back)) else {
        return true;
    };
    let places = u32::try_from(1 - i64::from(headroom.free)).unwrap_or(0);
    let wait = match headroom.free {
        1.. => Duration::ZERO,
        _ => remote.unit().unwrap_or_default().saturating_mul(places),
    };
    now + way + wait <= latest
}

/// The best candidate of those that were not tried: one with room before one without, then the largest share, then the
/// nearest, then at random.
fn best(
    route: &Route,
    tried: &Tried,
    rng: &mut dyn Rng,
    rank: impl Fn(usize, &Candidate) -> Option<(bool, f32)>,
) -> Option<usize> {
    let mut best: Option<(usize, Rank)> = None;
    let mut equals = 0u32;
    for (index, candidate) in route.there.iter().enumerate() {
        if tried.node(candidate.node) {
            continue;
        }
        let Some((has_room, share)) = rank(index, candidate) else {
            continue;
        };
        let rank = Rank {
            has_room,
            share,
            distance: candidate
                .remote
                .round_trip_nanos()
                .map_or(u64::MAX, |nanos| nanos / (AS_NEAR_MS * 1_000_000)),
        };
        match best.map_or(Ordering::Greater, |(_, best)| rank.cmp(best)) {
            Ordering::Less => continue,
            Ordering::Greater => equals = 1,
            Ordering::Equal => {
                // Reservoir sampling: each of n equals ends up chosen with probability 1/n.
                equals += 1;
                if rng.random_range(0..equals) > 0 {
                    continue;
                }
            }
        }
        best = Some((index, rank));
    }
    best.map(|(index, _)| index)
}

#[derive(Clone, Copy, Debug)]
struct Rank {
    has_room: bool,
    share: f32,
    /// The round trip in units of [`AS_NEAR_MS`].
    distance: u64,
}

impl Rank {
    fn cmp(self, other: Rank) -> Ordering {
        let room = self.has_room.cmp(&other.has_room);
        room.then(self.share.total_cmp(&other.share))
            .then(other.distance.cmp(&self.distance))
    }
}
