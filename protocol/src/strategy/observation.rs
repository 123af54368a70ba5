//! What a strategy sees, and what it makes of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::neighbours::{Neighbour, Neighbours, Offered};
use crate::offer::Grant;
use crate::policy::Policy;
use crate::route::Route;
use crate::wire::Message;
use crate::{FunctionName, NodeId, Time};

use super::usage::{Load, Usage};
use super::{Action, ActionRequest, Rule};

/// What a node sees when it plans.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The time.
    pub now: Time,
    /// When the measurements below were closed. A plan that an event asks for sees those of the last period again.
    pub measured: Time,
    /// What was measured of the machine.
    pub node: NodeState,
    /// The neighbours that live.
    pub neighbours: &'a Neighbours,
    /// The functions of the local platform, and what was measured of each since the last plan.
    pub functions: &'a [Seen],
    /// What became of the last thing that was asked, until something else is: the answer, or that there was none.
    pub answer: Option<&'a Answer>,
}

/// What a strategy asks a program beside the agent, once a period.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// What to do (strategy `external`).
    Action(Box<ActionRequest>),
    /// What this node would use at these loads (a forecaster).
    Forecast(Vec<Load>),
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What to do.
    Action(Action),
    /// What this node would use at each load.
    Forecast(Vec<(Load, Usage)>),
    /// Nothing of use, or too late.
    Failed,
}

/// What was measured of the machine, over the last period; nothing where it cannot be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeState {
    /// Use of all its CPUs together, in percent.
    pub cpu_percent: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<f64>,
    /// Power drawn, in microwatts.
    pub power_microwatts: Option<f64>,
}

/// What was measured of a function of the local platform.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which.
    pub function: FunctionName,
    /// Its gate.
    pub gate: Arc<Gate>,
    /// Calls a second that clients brought.
    pub from_clients: f64,
    /// Calls a second that were run here, whoever brought them.
    pub run: f64,
    /// Calls a second that were run for each neighbour.
    pub for_peers: BTreeMap<NodeId, f64>,
    /// Calls a second of clients that were refused.
    pub refused: f64,
    /// Replicas that the platform has of it.
    pub replicas: u32,
    /// Mean time of a call, once one has been measured.
    pub service: Option<Duration>,
}

/// What a strategy makes of an observation.
#[derive(Debug, Default)]
pub struct Plan {
    /// One route for each function that the local platform or a neighbour has.
    pub routes: Vec<Route>,
    /// The rates that this node accepts from each neighbour, to be told to it; empty for strategies without grants.
    pub grants: BTreeMap<NodeId, Vec<Grant>>,
    /// What else each neighbour is to be told; like grants, once a period only.
    pub messages: Vec<(NodeId, Message)>,
    /// What to ask a program beside the agent; once a period only, too.
    pub ask: Option<Ask>,
}

impl Seen {
    /// A function of which nothing was measured yet.
    pub fn new(function: FunctionName, gate: Arc<Gate>) -> Seen {
        Seen {
            function,
            gate,
            from_clients: 0.0,
            run: 0.0,
            for_peers: BTreeMap::new(),
            refused: 0.0,
            replicas: 1,
            service: None,
        }
    }
}

impl<'a> Observation<'a> {
    /// What a node sees of its neighbours and its functions, with nothing measured of the machine.
    pub fn new(now: Time, neighbours: &'a Neighbours, functions: &'a [Seen]) -> Observation<'a> {
        Observation {
            now,
            measured: now,
            node: NodeState::default(),
            neighbours,
            functions,
            answer: None,
        }
    }

    /// One route for each function that the local platform or a neighbour has, with the rule that `rule` makes of it. The
    /// routes are in the order of their functions.
    pub(super) fn routes(
        &self,
        mut rule: impl FnMut(&FunctionName, Option<&Seen>, &[There<'_>]) -> Box<dyn Rule>,
    ) -> Vec<Route> {
        let candidates = self.neighbours.candidates();
        self.entries()
            .into_iter()
            .map(|entry| Route {
                rule: rule(entry.function, entry.here, &entry.there),
                function: entry.function.clone(),
                here: entry.here.map(|seen| Arc::clone(&seen.gate)),
                there: candidates.get(entry.function).cloned().unwrap_or_default(),
            })
            .collect()
    }

    /// The same with a rule that needs to know of neither the function nor the neighbours.
    pub(super) fn routes_alike(&self, mut rule: impl FnMut() -> Box<dyn Rule>) -> Vec<Route> {
        let candidates = self.neighbours.candidates();
        let mut own: Vec<&Seen> = self.functions.iter().collect();
        own.sort_by(|a, b| a.function.cmp(&b.function));
        let mut own = own.into_iter().peekable();
        let mut others = candidates.iter().peekable();
        let mut routes = Vec::with_capacity(own.len().max(others.len()));
        loop {
            let (here, there) = match (own.peek(), others.peek()) {
                (None, None) => return routes,
                (Some(_), None) => (own.next(), None),
                (None, Some(_)) => (None, others.next()),
                (Some(seen), Some((function, _))) => match seen.function.cmp(function) {
                    Ordering::Less => (own.next(), None),
                    Ordering::Equal => (own.next(), others.next()),
                    Ordering::Greater => (None, others.next()),
                },
            };
            let function = here.map(|seen| &seen.function);
            let Some(function) = function.or(there.map(|(function, _)| function)) else {
                continue;
            };
            routes.push(Route {
                rule: rule(),
                function: function.clone(),
                here: here.map(|seen| Arc::clone(&seen.gate)),
                there: there
                    .map(|(_, there)| Arc::clone(there))
                    .unwrap_or_default(),
            });
        }
    }

    /// All functions, in their order. Neighbours' functions are in order too, so one walk over those of each is enough.
    fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self
            .functions
            .iter()
            .map(|seen| Entry {
                function: &seen.function,
                here: Some(seen),
                policy: self.neighbours.policy(&seen.function),
                there: Vec::with_capacity(self.neighbours.len()),
            })
            .collect();
        entries.sort_by(|a, b| a.function.cmp(b.function));
        for neighbour in self.neighbours.iter() {
            let mut at = 0;
            for (function, offered) in &neighbour.functions {
                let order = loop {
                    match entries.get(at).map(|entry| entry.function.cmp(function)) {
                        Some(Ordering::Less) => at += 1,
                        other => break other,
                    }
                };
                if order != Some(Ordering::Equal) {
                    let entry = Entry {
                        function,
                        here: None,
                        policy: self.neighbours.policy(function),
                        there: Vec::new(),
                    };
                    entries.insert(at, entry);
                }
                if neighbour.may_take(entries[at].policy) {
                    entries[at].there.push(There { neighbour, offered });
                }
            }
        }
        entries
    }
}

/// A function with all who have it.
struct Entry<'a> {
    function: &'a FunctionName,
    here: Option<&'a Seen>,
    policy: Option<&'a Policy>,
    there: Vec<There<'a>>,
}

/// A neighbour that offers a function.
#[derive(Clone, Copy)]
pub(super) struct There<'a> {
    pub(super) neighbour: &'a Neighbour,
    pub(super) offered: &'a Offered,
}
