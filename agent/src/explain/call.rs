//! A call that is being explained, until it ends.

use std::time::{Duration, Instant};

use dfaas_protocol::delivery::{Admission, Decision, Tried};
use dfaas_protocol::policy::Excluded;
use dfaas_protocol::route::Route;
use dfaas_protocol::standing::{Standing, Verdict, standings};
use dfaas_protocol::{Headroom, NodeId, Time};

use crate::clock::Clock;

use super::Recorder;
use super::record::{
    Brief, CameTo, Ending, FunctionNumber, MOST_CANDIDATES, MOST_STEPS, Record, Short, Step, What,
};

/// The status that is kept for a call whose client went away before it was answered.
const GONE: u16 = 499;
/// The status of a refusal.
const UNAVAILABLE: u16 = 503;

/// How a call begins.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// Its id, which may be of any length.
    pub id: &'a [u8],
    /// Its function.
    pub function: FunctionNumber,
    /// When it arrived.
    pub since: Instant,
    /// The neighbour that forwarded it; nothing for a client's call.
    pub from: Option<NodeId>,
}

/// Why a step was not the last.
#[derive(Clone, Copy, Debug)]
pub enum Missed<'a> {
    /// Refused, with nothing executed: by a neighbour with that word, or by the platform.
    Refused(&'a str),
    /// No connection could be made.
    Unreached,
    /// The queue dropped it.
    Dropped,
}

/// A call that is being explained. Dropped, it is kept: as one whose client went away, unless it was told how it ended.
#[derive(Debug)]
pub struct Explained<'a>(Option<Open<'a>>);

#[derive(Debug)]
struct Open<'a> {
    recorder: &'a Recorder,
    since: Instant,
    record: Box<Record>,
}

impl<'a> Explained<'a> {
    /// A call that arrived; nothing is done for it without a recorder.
    pub fn new(recorder: Option<&'a Recorder>, clock: Clock, begun: Begun<'_>) -> Explained<'a> {
        Explained(recorder.map(|recorder| {
            let arrived = clock.at(begun.since);
            let brief = Brief::new(begun.id, begun.function, arrived, begun.from);
            Open {
                recorder,
                since: begun.since,
                record: recorder.begin(brief),
            }
        }))
    }

    /// That was decided for it at that time. `tried` is as it was after the decision.
    pub fn decided(
        &mut self,
        decision: Decision,
        route: &Route,
        excluded: &[(NodeId, Excluded)],
        tried: &Tried,
        now: Time,
    ) {
        let Some(open) = &mut self.0 else { return };
        let (what, reason, chosen) = match decision {
            Decision::Run(why) => (What::Run, why.as_str(), None),
            Decision::Wait(why) => (What::Wait, why.as_str(), None),
            Decision::Forward(index, why) => {
                let node = route.there[index].node;
                (What::Forward(node), why.as_str(), Some(index))
            }
            Decision::Reject(rejection) => (What::Refuse, rejection.as_str(), None),
        };
        if what == What::Run && open.record.brief.reason.is_empty() {
            open.record.brief.reason = reason;
            return;
        }
        open.record.brief.reason = reason;
        let began = now.since(open.record.brief.arrived);
        let here = here(route, what, now);
        let excluded = excluded.iter();
        let excluded = excluded.map(|(node, why)| Standing::excluded(*node, *why));
        let stood = standings(route, tried, chosen, now).chain(excluded);
        open.step(what, reason, began, here, stood);
    }

    /// A call that a neighbour forwarded was admitted so.
    pub fn admitted(&mut self, admission: Admission, route: &Route, now: Time) {
        let Some(open) = &mut self.0 else { return };
        let (what, reason) = match admission {
            Admission::Run => {
                open.record.brief.reason = "free-here";
                return;
            }
            Admission::Wait => (What::Wait, "wait-here"),
            Admission::Refuse(rejection) => (What::Refuse, rejection.as_str()),
        };
        open.record.brief.reason = reason;
        let began = now.since(open.record.brief.arrived);
        let here = here(route, what, now);
        open.step(what, reason, began, here, std::iter::empty());
    }

    /// Its turn came, and it is sent to the local platform.
    pub fn sent_here(&mut self) {
        if let Some(open) = &mut self.0
            && let Some(step) = open.record.steps.last_mut()
            && step.what == What::Wait
        {
            step.waited = Some(open.since.elapsed().saturating_sub(step.began));
        }
    }

    /// The last step came to nothing, and another one follows.
    pub fn missed(&mut self, missed: Missed<'_>) {
        let Some(open) = &mut self.0 else { return };
        if open.record.steps.is_empty() {
            // It was to run here at once, which nobody wrote down.
            let reason = open.record.brief.reason;
            let nobody = std::iter::empty();
            open.step(What::Run, reason, Duration::ZERO, None, nobody);
        }
        open.comes_to(match missed {
            Missed::Refused(word) => CameTo::Refused(Short::new(word.as_bytes())),
            Missed::Unreached => CameTo::Unreached,
            Missed::Dropped => CameTo::Dropped,
        });
    }

    /// It ended for another reason than the last decision's.
    pub fn because(&mut self, reason: &'static str) {
        if let Some(open) = &mut self.0 {
            open.record.brief.reason = reason;
        }
    }

    /// It ended.
    pub fn ended(mut self, ending: Ending, status: u16, took: Duration) {
        if let Some(open) = &mut self.0 {
            open.record.brief.ended(ending, status, took);
        }
    }

    /// A neighbour's call is refused.
    pub fn refused_to_peer(mut self, why: &'static str) {
        self.because(why);
        self.ended_now(Ending::RefusedToPeer, UNAVAILABLE);
    }

    /// It ended now.
    pub fn ended_now(self, ending: Ending, status: u16) {
        let took = self.0.as_ref().map(|open| open.since.elapsed());
        self.ended(ending, status, took.unwrap_or_default());
    }
}

impl Open<'_> {
    /// A step that began so long after the call's arrival.
    fn step(
        &mut self,
        what: What,
        reason: &'static str,
        began: Duration,
        here: Option<Headroom>,
        stood: impl Iterator<Item = Standing>,
    ) {
        let Record {
            steps, neighbours, ..
        } = &mut *self.record;
        if steps.len() == MOST_STEPS {
            return;
        }
        let first = neighbours.len();
        neighbours.extend(stood);
        let stood = neighbours.len() - first;
        // Where there are more than are kept, the one that was chosen is among them.
        neighbours[first..].sort_by_key(|standing| !is_of_note(standing));
        neighbours.truncate(first + MOST_CANDIDATES);
        steps.push(Step {
            what,
            reason,
            began,
            waited: None,
            took: Duration::ZERO,
            came_to: CameTo::Nothing,
            here,
            stood: (neighbours.len() - first) as u8,
            left_out: stood.saturating_sub(MOST_CANDIDATES),
        });
    }

    fn comes_to(&mut self, came_to: CameTo) {
        let elapsed = self.since.elapsed();
        if let Some(step) = self.record.steps.last_mut() {
            step.took = elapsed.saturating_sub(step.began);
            step.came_to = came_to;
        }
    }
}

impl Drop for Explained<'_> {
    fn drop(&mut self) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        let brief = &mut open.record.brief;
        let is_over = brief.took.is_some();
        let took = brief.took.unwrap_or_else(|| open.since.elapsed());
        if !is_over {
            brief.ended(Ending::Failed, GONE, took);
        }
        if let Some(step) = open.record.steps.last_mut()
            && step.came_to == CameTo::Nothing
        {
            step.took = took.saturating_sub(step.began);
            if is_over {
                step.came_to = CameTo::End;
            }
        }
        open.recorder.keep(open.record);
    }
}

fn is_of_note(standing: &Standing) -> bool {
    matches!(standing.verdict, Verdict::Chosen | Verdict::Tried)
}

/// What was left here before the call was counted.
fn here(route: &Route, what: What, now: Time) -> Option<Headroom> {
    let left = route.here.as_ref()?.headroom(now);
    Some(match what {
        What::Run | What::Wait => left.one_more(),
        What::Forward(_) | What::Refuse => left,
    })
}
