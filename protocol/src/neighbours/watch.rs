//! Watching over the neighbours: who is silent, who is asked of it, and who is given up.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::sighting::Sighting;
use crate::{HealthState, NodeId, Time};

use super::Neighbours;
use super::suspicion::{ASKED, Finding};

/// A node that has not looked for so long stood still itself: it was stopped, or its machine slept.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// How often standing is brought up to the time.
const STANDING: Duration = Duration::from_secs(1);

/// A question to a neighbour: whether it hears another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whom to ask.
    pub ask: NodeId,
    /// After whom.
    pub about: NodeId,
}

/// What came of a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// What is to be asked.
    pub questions: Vec<Question>,
    /// Neighbours whose state of health is another now.
    pub changes: Vec<(NodeId, HealthState)>,
    /// Those that were given up.
    pub expired: Vec<NodeId>,
}

impl Neighbours {
    /// Looks after all neighbours. It is to be called a few times in a period.
    pub fn watch(&mut self, now: Time, rng: &mut dyn Rng) -> Watched {
        let mut watched = Watched::default();
        let pause = self.watched.map_or(Duration::ZERO, |last| now.since(last));
        self.watched = Some(now);
        for entry in self.entries.iter_mut() {
            if pause > STOOD_STILL {
                entry.suspicion.stood_still(pause);
                entry.heard = entry.heard + pause;
            }
            let answers = entry.health.take_answered();
            let suspicion = &mut entry.suspicion;
            let sign = if answers { now } else { entry.health.passed() };
            suspicion.alive = suspicion.alive.max(sign);
            let change = match suspicion.look(entry.period, now) {
                Some(Finding::Suspected) => entry.health.suspect(now),
                Some(Finding::Alive) => entry.health.is_heard(now),
                Some(Finding::Dead) => entry.health.eject(now),
                None => None,
            };
            watched
                .changes
                .extend(change.map(|state| (entry.node, state)));
        }
        self.ask(now, rng, &mut watched.questions);
        watched.expired = self.expire(now);
        let last = *self.standing_at.get_or_insert(now);
        if now.since(last) >= STANDING {
            self.standing_at = Some(now);
            self.pass_time(now);
        }
        watched
    }

    /// Who is to be asked of those that are suspected: some of those that are not.
    fn ask(&mut self, now: Time, rng: &mut dyn Rng, questions: &mut Vec<Question>) {
        let suspects: Vec<NodeId> = self
            .entries
            .iter()
            .filter(|entry| entry.suspicion.is_to_be_asked_of(entry.period, now))
            .map(|entry| entry.node)
            .collect();
        for suspect in suspects {
            let others = self.entries.iter();
            let mut others: Vec<NodeId> = others
                .filter(|other| !other.suspicion.is_suspected())
                .map(|other| other.node)
                .collect();
            let mut asked = Vec::with_capacity(ASKED);
            while asked.len() < ASKED && !others.is_empty() {
                asked.push(others.swap_remove(rng.random_range(0..others.len())));
            }
            if let Some(entry) = self.entries.get_mut(&suspect) {
                entry.suspicion.asks(&asked, now);
            }
            questions.extend(asked.into_iter().map(|ask| Question {
                ask,
                about: suspect,
            }));
        }
    }

    /// A neighbour asks whether another one is heard here. There is no answer for a node that is no neighbour itself.
    pub fn is_asked(&self, by: NodeId, about: NodeId, now: Time) -> Option<Sighting> {
        self.entries.get(&by)?;
        let entry = self.entries.get(&about);
        let silent = entry.map(|entry| now.since(entry.suspicion.alive));
        Some(Sighting::new(about, silent))
    }

    /// A neighbour answers such a question. What was not asked is not heard.
    pub fn is_told(&mut self, by: NodeId, sighting: Sighting, now: Time) {
        if let Some(entry) = self.entries.get_mut(&sighting.node) {
            let (silent, period) = (sighting.silent(), entry.period);
            entry.suspicion.is_told(by, silent, period, now);
        }
    }
}
