//! How the candidates of a call stood when it was decided, for explanations. No decision is taken here.

use std::time::Duration;

use crate::delivery::Tried;
use crate::neighbours::Candidate;
use crate::policy::Excluded;
use crate::route::Route;
use crate::{Headroom, HealthState, NodeId, Time};

/// How one neighbour that has the function stood for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub node: NodeId,
    /// What was left there as far as this node knew, before the call was counted; nothing where it was not even asked
    /// after.
    pub headroom: Option<Headroom>,
    /// The round trip to it, where one was measured.
    pub round_trip: Option<Duration>,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a neighbour that has the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call was sent there.
    Chosen,
    /// The call had been sent there before.
    Tried,
    /// It may not be sent the function's calls.
    Excluded(Excluded),
    /// It does not answer.
    Ejected,
    /// It is silent for too long.
    Suspected,
    /// It refused a call, and is left alone for a while.
    Resting,
    /// It has no room left, not even to wait.
    NoRoom,
    /// It answers again, and is sent only some calls.
    Probation,
    /// Too many of its offers proved false, and it is sent only some calls.
    Distrusted,
    /// Nothing spoke against it but what the strategy weighs.
    Open,
}

impl Verdict {
    /// A word for views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Chosen => "chosen",
            Verdict::Tried => "tried",
            Verdict::Excluded(excluded) => excluded.as_str(),
            Verdict::Ejected => "ejected",
            Verdict::Suspected => "suspected",
            Verdict::Resting => "resting",
            Verdict::NoRoom => "no-room",
            Verdict::Probation => "probation",
            Verdict::Distrusted => "distrusted",
            Verdict::Open => "open",
        }
    }

    fn of(candidate: &Candidate, headroom: Headroom, tried: &Tried, now: Time) -> Verdict {
        let remote = &*candidate.remote;
        let health = remote.health().state();
        if tried.node(candidate.node) {
            Verdict::Tried
        } else if health == HealthState::Ejected {
            Verdict::Ejected
        } else if health == HealthState::Suspected {
            Verdict::Suspected
        } else if remote.rests(now) {
            Verdict::Resting
        } else if headroom.is_full(remote.queue()) {
            Verdict::NoRoom
        } else if health == HealthState::Probation {
            Verdict::Probation
        } else if !remote.trust().is_full() {
            Verdict::Distrusted
        } else {
            Verdict::Open
        }
    }
}

/// How the candidates of a route stand for a call that is at `now` sent to the one with the index `chosen`, if to any. What
/// the decision counted down is added again.
pub fn standings(
    route: &Route,
    tried: &Tried,
    chosen: Option<usize>,
    now: Time,
) -> impl Iterator<Item = Standing> {
    route.there.iter().enumerate().map(move |(index, there)| {
        let is_chosen = chosen == Some(index);
        let left = there.remote.reported();
        let headroom = if is_chosen { left.one_more() } else { left };
        Standing {
            node: there.node,
            headroom: Some(headroom),
            round_trip: there.remote.round_trip(),
            verdict: if is_chosen {
                Verdict::Chosen
            } else {
                Verdict::of(there, headroom, tried, now)
            },
        }
    })
}

impl Standing {
    /// A neighbour that is not even a candidate.
    pub const fn excluded(node: NodeId, why: Excluded) -> Standing {
        Standing {
            node,
            headroom: None,
            round_trip: None,
            verdict: Verdict::Excluded(why),
        }
    }
}
