//! `headroom`, the default: where a slot is free, run; else to the neighbour with the largest share of its capacity left.
//!
//! Headroom of a function on a node is slots − running − waiting, or the tokens of its rate; it is signed. Its share is
//! headroom over size. A call for which nothing is free here goes to the candidate with the largest share, ties to the
//! nearest (in steps of [`AS_NEAR_MS`]) and then at random, if that exceeds the share here by [`MARGIN`], or if
//! the queue here is full. Not a candidate is who has no room to wait either, who refused a moment ago, and who would start
//! the call too late:
//!
//! start = now + round trip / 2 + wait, wait = 0 if headroom > 0, else (1 − headroom) × unit,
//! unit = service time / slots, or 1 / rate.
//!
//! The candidate is counted down by one at once, and each answer from it brings its headroom up to date. Else the call
//! waits here. Source: this project's own design; `docs/strategies.md` says what else was tried.

use std::cmp::Ordering;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::delivery::{Decision, Tried, Why};
use crate::gate::Gate;
use crate::neighbours::{Candidate, Remote};
use crate::route::Route;
use crate::{Headroom, HealthState, Time};

use super::{Observation, Plan, Rule, Strategy};

/// By how much a neighbour's share must exceed ours. A larger margin forwards less and serves less.
const MARGIN: f32 = 0.05;

/// Round trips that differ by less are taken for equal, in milliseconds: that is noise, and the same neighbour would get
/// every call.
const AS_NEAR_MS: u128 = 5;

/// The strategy `headroom`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadroomFirst;

impl Strategy for HeadroomFirst {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        Plan {
            routes: seen.routes_alike(|| Box::new(LargestShare)),
            ..Plan::default()
        }
    }
}

#[derive(Debug)]
struct LargestShare;

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

    /// Whether a call is better off with that headroom elsewhere. One that cannot wait here is so even where there was no
    /// room when that was last heard of: a place may have come free since.
    fn is_worse_than(self, there: Headroom, has_room: bool) -> bool {
        match self {
            Here::Waits(share) => has_room && there.share() > share + MARGIN,
            Here::Full | Here::Nothing => true,
        }
    }
}

impl Rule for LargestShare {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let gate = route.here.as_deref().filter(|_| !tried.here());
        if let Some(gate) = gate
            && gate.start(now)
        {
            return Some(Decision::Run(Why::FreeHere));
        }
        let here = Here::of(gate, now);
        let mut index = best(route, tried, rng, |candidate| {
            let remote = &*candidate.remote;
            let headroom = remote.headroom()?;
            let has_room = !headroom.is_full(remote.queue());
            let is_better = here.is_worse_than(headroom, has_room);
            let may_try = !remote.rests(now) && starts_in_time(remote, headroom, tried, now);
            (is_better && may_try).then(|| (has_room, headroom.share()))
        });
        if index.is_none() && gate.is_none() {
            // Rather one on probation, or one that refused, than none; one that is silent only if there is no other.
            index = best(route, tried, rng, |candidate| {
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

/// Whether a call would start at a candidate before its deadline, as far as that can be told.
fn starts_in_time(remote: &Remote, headroom: Headroom, tried: &Tried, now: Time) -> bool {
    let Some(latest) = tried.terms().latest_start(remote.service()) else {
        return true;
    };
    let way = remote.round_trip().unwrap_or_default() / 2;
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
    rank: impl Fn(&Candidate) -> Option<(bool, f32)>,
) -> Option<usize> {
    let mut best: Option<(usize, Rank)> = None;
    let mut equals = 0u32;
    for (index, candidate) in route.there.iter().enumerate() {
        if tried.node(candidate.node) {
            continue;
        }
        let Some((has_room, share)) = rank(candidate) else {
            continue;
        };
        let rank = Rank {
            has_room,
            share,
            distance: candidate
                .remote
                .round_trip()
                .map_or(u128::MAX, |d| d.as_millis() / AS_NEAR_MS),
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
    distance: u128,
}

impl Rank {
    fn cmp(self, other: Rank) -> Ordering {
        let room = self.has_room.cmp(&other.has_room);
        room.then(self.share.total_cmp(&other.share))
            .then(other.distance.cmp(&self.distance))
    }
}
