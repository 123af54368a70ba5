//! Reading what is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use dfaas_protocol::standing::Standing;
use dfaas_protocol::{FunctionName, Headroom, NodeId};

use crate::admin::view::{
    CallExplanation, CandidateExplanation, Count, Decisions, Left, StepExplanation,
};

use super::record::{CameTo, Ending, FunctionNumber, Record, Short, Step, What};
use super::ring::Kept;
use super::{Explanations, locked};

/// How many calls of one id are shown at most, as clients may give the same to many.
const MOST_OF_ONE_ID: usize = 16;

impl Explanations {
    /// The calls with that id, the last one first.
    pub fn calls(&self, id: &str) -> Vec<CallExplanation> {
        let id = Short::new(id.as_bytes());
        let mut found: Vec<Record> = Vec::new();
        self.read(|kept| {
            if kept.brief.id == id {
                found.push(kept.to_record());
            }
        });
        found.sort_by_key(|record| std::cmp::Reverse(record.brief.arrived));
        found.truncate(MOST_OF_ONE_ID);
        found.iter().map(|record| self.explain(record)).collect()
    }

    /// The sums over a function's calls; nothing if none is kept.
    pub fn decisions(&self, function: &FunctionName) -> Option<Decisions> {
        let number = *locked(&self.functions).get(function)?;
        let mut sums = Sums::default();
        self.read(|kept| {
            if kept.brief.function == number {
                sums.add(kept, self.node);
            }
        });
        let oldest = sums.oldest?;
        Some(Decisions {
            function: function.to_string(),
            calls: sums.calls,
            oldest_ms_ago: milliseconds(self.clock.now().since(oldest)),
            by_reason: counts(sums.reasons),
            by_outcome: counts(sums.outcomes),
            by_target: counts(sums.targets),
            by_refusal: counts(sums.refusals),
        })
    }

    /// How many calls are kept at most.
    pub fn most(&self) -> usize {
        self.kept_by_each * locked(&self.rings).len()
    }

    fn read(&self, mut look: impl FnMut(Kept<'_>)) {
        let rings = locked(&self.rings).clone();
        rings.iter().for_each(|ring| ring.read(&mut look));
    }

    fn name(&self, number: FunctionNumber) -> String {
        let functions = locked(&self.functions);
        let mut named = functions.iter();
        let found = named.find(|(_, known)| **known == number);
        found.map_or_else(String::new, |(name, _)| name.to_string())
    }

    fn explain(&self, record: &Record) -> CallExplanation {
        let mut neighbours = record.neighbours.iter();
        let steps = if record.steps.is_empty() {
            vec![self.only_step(record)]
        } else {
            let steps = record.steps.iter();
            let mut explain = |step: &Step| {
                let stood = neighbours.by_ref().take(step.stood.into());
                self.step(step, record.brief.ending, stood)
            };
            steps.map(&mut explain).collect()
        };
        CallExplanation {
            call_id: record.brief.id.to_string(),
            function: self.name(record.brief.function),
            from: record.brief.from,
            arrived_ms_ago: milliseconds(self.clock.now().since(record.brief.arrived)),
            outcome: record.brief.ending.as_str().to_owned(),
            status: record.brief.status,
            reason: record.brief.reason.to_owned(),
            ran_at: ran_at(record.brief.ending, &record.steps, self.node),
            took_ms: milliseconds(record.brief.took.unwrap_or_default()),
            steps,
        }
    }

    /// The step of a call of which no steps are kept: it ran here at once, or was refused before anything was decided.
    fn only_step(&self, record: &Record) -> StepExplanation {
        let is_refused = matches!(record.brief.ending, Ending::Refused | Ending::RefusedToPeer);
        let step = Step {
            what: if is_refused { What::Refuse } else { What::Run },
            reason: record.brief.reason,
            began: Duration::ZERO,
            waited: None,
            took: record.brief.took.unwrap_or_default(),
            came_to: match record.brief.status {
                crate::routing::CLIENT_GONE => CameTo::Nothing,
                _ => CameTo::End,
            },
            here: None,
            stood: 0,
            left_out: 0,
        };
        self.step(&step, record.brief.ending, std::iter::empty())
    }

    fn step<'a>(
        &self,
        step: &Step,
        ending: Ending,
        stood: impl Iterator<Item = &'a Standing>,
    ) -> StepExplanation {
        let (what, node) = match step.what {
            What::Run => ("run", Some(self.node)),
            What::Wait => ("wait", Some(self.node)),
            What::Forward(node) => ("forward", Some(node)),
            What::Refuse => ("refuse", None),
        };
        let (came_to, said) = match &step.came_to {
            CameTo::Nothing => ("unfinished", None),
            CameTo::End => (ended(ending), None),
            CameTo::Refused(word) => ("refused", Some(word.to_string())),
            CameTo::Unreached => ("unreached", None),
            CameTo::Dropped => ("dropped", None),
        };
        StepExplanation {
            what: what.to_owned(),
            node,
            reason: step.reason.to_owned(),
            after_ms: milliseconds(step.began),
            waited_ms: step.waited.map(milliseconds),
            took_ms: milliseconds(step.took),
            came_to: came_to.to_owned(),
            said: said.filter(|word| !word.is_empty()),
            here: step.here.map(left),
            candidates: stood.map(candidate).collect(),
            candidates_left_out: step.left_out,
        }
    }
}

fn ended(ending: Ending) -> &'static str {
    match ending {
        Ending::RunHere | Ending::Forwarded | Ending::RunForPeer => "answered",
        Ending::Refused | Ending::RefusedToPeer => "refused",
        Ending::Failed => "failed",
    }
}

fn ran_at(ending: Ending, steps: &[Step], here: NodeId) -> Option<NodeId> {
    match (ending, steps.last().map(|step| step.what)) {
        (Ending::RunHere | Ending::RunForPeer, _) => Some(here),
        (Ending::Forwarded, Some(What::Forward(node))) => Some(node),
        _ => None,
    }
}

fn candidate(standing: &Standing) -> CandidateExplanation {
    CandidateExplanation {
        node_id: standing.node,
        verdict: standing.verdict.as_str().to_owned(),
        left: standing.headroom.map(left),
        round_trip_ms: standing.round_trip.map(milliseconds),
    }
}

fn left(headroom: Headroom) -> Left {
    Left {
        free: headroom.free,
        size: headroom.size,
        share: headroom.share(),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[derive(Default)]
struct Sums {
    calls: u64,
    oldest: Option<dfaas_protocol::Time>,
    reasons: BTreeMap<String, u64>,
    outcomes: BTreeMap<String, u64>,
    targets: BTreeMap<String, u64>,
    refusals: BTreeMap<String, u64>,
}

impl Sums {
    fn add(&mut self, kept: Kept<'_>, here: NodeId) {
        fn count(counts: &mut BTreeMap<String, u64>, of: &str) {
            *counts.entry(of.to_owned()).or_default() += 1;
        }
        self.calls += 1;
        let oldest = self.oldest.get_or_insert(kept.brief.arrived);
        *oldest = (*oldest).min(kept.brief.arrived);
        count(&mut self.reasons, kept.brief.reason);
        count(&mut self.outcomes, kept.brief.ending.as_str());
        let target = ran_at(kept.brief.ending, kept.steps, here).map(|node| node.to_string());
        count(&mut self.targets, target.as_deref().unwrap_or("none"));
        for step in kept.steps {
            match (&step.what, &step.came_to) {
                (What::Forward(_), CameTo::Refused(word)) => {
                    count(&mut self.refusals, &word.to_string());
                }
                (What::Forward(_), CameTo::Unreached) => count(&mut self.refusals, "unreached"),
                _ => {}
            }
        }
    }
}

/// The most frequent first; of equals the first in the alphabet.
fn counts(counts: BTreeMap<String, u64>) -> Vec<Count> {
    let mut counts: Vec<Count> = counts
        .into_iter()
        .map(|(of, calls)| Count { of, calls })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.calls));
    counts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use dfaas_protocol::delivery::{Decision, Delivery, Rejection, Why};
    use dfaas_protocol::gate::Gate;
    use dfaas_protocol::neighbours::{Candidate, Neighbours, Remote};
    use dfaas_protocol::offer::FunctionOffer;
    use dfaas_protocol::policy::Excluded;
    use dfaas_protocol::route::Route;
    use dfaas_protocol::strategy::{Observation, Seen, Settings, StrategyName};
    use dfaas_protocol::{Capacity, Slots, Time};

    use super::super::{Begun, Explained, Missed};
    use super::*;
    use crate::clock::Clock;

    const HERE: NodeId = NodeId::from_key([9; 32]);

    fn kept(calls: usize, threads: usize) -> Arc<Explanations> {
        Explanations::new(HERE, Clock::start(), calls, threads).unwrap()
    }

    fn name(text: &str) -> FunctionName {
        FunctionName::parse(text).unwrap()
    }

    fn begun<'a>(kept: &Explanations, id: &'a str, function: &str) -> Begun<'a> {
        Begun {
            id: id.as_bytes(),
            function: kept.number(&name(function)),
            since: Instant::now(),
            from: None,
        }
    }

    /// A route to a function that is here with one slot, and nowhere else.
    fn route() -> Route {
        let gate = Gate::new(Capacity::Slots(Slots::new(1).unwrap()), 8);
        let functions = [Seen::new(name("f"), Arc::new(gate))];
        let neighbours = Neighbours::new();
        let seen = Observation::new(Time::ZERO, &neighbours, &functions);
        let mut strategy = StrategyName::Headroom.build(&Settings::default());
        let plan = strategy.plan(&seen, &mut rand::rng());
        plan.routes.into_iter().next().unwrap()
    }

    #[test]
    fn a_call_that_ran_here_at_once_has_one_step() {
        let kept = kept(4, 1);
        let recorder = kept.recorder();
        let (route, delivery) = (route(), Delivery::new());
        let mut call = Explained::new(Some(&recorder), kept.clock, begun(&kept, "a", "f"));
        let run = Decision::Run(Why::FreeHere);
        call.decided(run, &route, &[], delivery.tried(), Time::ZERO);
        call.sent_here();
        assert_eq!(kept.calls("a"), [], "it has not ended");
        call.ended(Ending::RunHere, 201, Duration::from_millis(3));
        let told = &kept.calls("a")[0];
        assert_eq!((told.outcome.as_str(), told.status), ("run_here", 201));
        assert_eq!((told.reason.as_str(), told.took_ms), ("free-here", 3.0));
        assert_eq!(
            (told.function.as_str(), told.ran_at),
            ("f.openfaas-fn", Some(HERE))
        );
        let [step] = &told.steps[..] else {
            panic!("{told:?}")
        };
        assert_eq!(
            (step.what.as_str(), step.came_to.as_str()),
            ("run", "answered")
        );
        assert_eq!((step.took_ms, &step.candidates), (3.0, &vec![]));
    }

    #[test]
    fn what_came_to_nothing_is_told_too() {
        let kept = kept(4, 1);
        let recorder = kept.recorder();
        let (route, delivery) = (route(), Delivery::new());
        let mut call = Explained::new(Some(&recorder), kept.clock, begun(&kept, "a", "f"));
        let decided = |call: &mut Explained<'_>, decision| {
            let excluded = [(NodeId::from_key([1; 32]), Excluded::Cordoned)];
            call.decided(decision, &route, &excluded, delivery.tried(), Time::ZERO);
        };
        decided(&mut call, Decision::Run(Why::FreeHere));
        call.missed(Missed::Refused(""));
        decided(&mut call, Decision::Wait(Why::WaitHere));
        call.missed(Missed::Dropped);
        decided(&mut call, Decision::Reject(Rejection::Dropped));
        call.ended(Ending::Refused, 503, Duration::from_secs(1));
        let told = &kept.calls("a")[0];
        let steps: Vec<_> = told
            .steps
            .iter()
            .map(|s| (s.what.as_str(), s.reason.as_str(), s.came_to.as_str()))
            .collect();
        assert_eq!(
            steps,
            [
                ("run", "free-here", "refused"),
                ("wait", "wait-here", "dropped"),
                ("refuse", "dropped", "refused"),
            ]
        );
        assert_eq!((told.reason.as_str(), told.ran_at), ("dropped", None));
        assert_eq!(told.steps[1].here.unwrap().free, 2, "before it was counted");
        assert_eq!(told.steps[2].candidates[0].verdict, "cordoned");
    }

    #[test]
    fn of_many_candidates_some_are_kept_and_the_chosen_one_among_them() {
        let kept = kept(4, 1);
        let recorder = kept.recorder();
        let mut route = route();
        let slots = Capacity::Slots(Slots::new(1).unwrap());
        let offer = FunctionOffer {
            function: name("f"),
            capacity: slots,
            headroom: Headroom { free: 1, size: 1 },
            queue: 0,
            service: None,
        };
        let there = (0..10).map(|n| Candidate {
            node: NodeId::from_key([n; 32]),
            remote: Remote::new(&offer, None, Arc::default(), None),
        });
        route.there = there.collect();
        let excluded = [(NodeId::from_key([77; 32]), Excluded::Cordoned)];
        let mut call = Explained::new(Some(&recorder), kept.clock, begun(&kept, "a", "f"));
        let forward = Decision::Forward(9, Why::Drawn);
        let delivery = Delivery::new();
        call.decided(forward, &route, &excluded, delivery.tried(), Time::ZERO);
        call.ended(Ending::Forwarded, 200, Duration::ZERO);
        let told = &kept.calls("a")[0];
        let step = &told.steps[0];
        assert_eq!(told.ran_at, Some(NodeId::from_key([9; 32])));
        let verdicts: Vec<_> = step.candidates.iter().map(|c| &*c.verdict).collect();
        assert_eq!(verdicts[0], "chosen");
        assert_eq!(verdicts[1..], ["open"; 7]);
        assert_eq!(step.candidates[0].node_id, NodeId::from_key([9; 32]));
        assert_eq!(step.candidates_left_out, 3);
    }

    #[test]
    fn a_call_that_nobody_waited_for_is_told_as_such() {
        let kept = kept(4, 1);
        let recorder = kept.recorder();
        drop(Explained::new(
            Some(&recorder),
            kept.clock,
            begun(&kept, "a", "f"),
        ));
        let told = &kept.calls("a")[0];
        assert_eq!((told.outcome.as_str(), told.status), ("failed", 499));
        assert_eq!(told.steps[0].came_to, "unfinished");
    }

    #[test]
    fn calls_of_all_threads_are_found_and_summed() {
        let kept = kept(300, 3);
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let recorder = kept.recorder();
                    for n in 0..150 {
                        let id = format!("{thread}-{n}");
                        let function = if n < 140 { "f" } else { "g" };
                        let begun = begun(&kept, &id, function);
                        let call = Explained::new(Some(&recorder), kept.clock, begun);
                        call.refused_to_peer("draining");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(kept.most(), 300);
        for thread in 0..3 {
            assert_eq!(kept.calls(&format!("{thread}-49")), [], "it made room");
            assert_eq!(kept.calls(&format!("{thread}-50")).len(), 1);
            assert_eq!(
                kept.calls(&format!("{thread}-149"))[0].function,
                "g.openfaas-fn"
            );
        }
        let sums = kept.decisions(&name("f")).unwrap();
        assert_eq!(sums.calls, 270);
        let all = |of: &str| {
            let (of, calls) = (of.to_owned(), 270);
            vec![Count { of, calls }]
        };
        assert_eq!(sums.by_reason, all("draining"));
        assert_eq!(sums.by_outcome, all("refused_to_peer"));
        assert_eq!(sums.by_target, all("none"));
        assert_eq!(kept.decisions(&name("g")).unwrap().calls, 30);
        assert_eq!(kept.decisions(&name("h")), None);
    }

    #[test]
    fn nothing_is_kept_where_that_is_off() {
        let off = Explanations::new(HERE, Clock::start(), 0, 2);
        assert!(off.is_none());
        let call = Explained::new(None, Clock::start(), begun(&kept(1, 1), "a", "f"));
        call.ended_now(Ending::RunHere, 200);
    }
}
