//! `external`: a program beside the agent decides, such as a policy that was learned by reinforcement.
//!
//! Once a period the node asks it with an [`ActionRequest`]; its [`Action`] gives p for the node itself, for refusing and for each
//! neighbour, Σp = 1. A call is refused with probability p(reject), and otherwise goes to the node itself or to a neighbour
//! that offers the function in proportion to their p. Without an answer, as before the first one and after one that failed or
//! came late, [`headroom`](super::HeadroomFirst) decides.
//!
//! Source: the reference's agent for reinforcement learning, its observation and its action. Its windows are the phases of a
//! load test; here the current window is the last period and the previous one the period before it. Where there are
//! several functions, rates are summed and times weighed by them, and one action holds for all. Not taken over: exactly one function
//! and exactly four peers, neighbours that are found once and for all, and an agent that ends with any error.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use serde::Serialize;
use thiserror::Error;

use crate::delivery::{Decision, Rejection, Tried};
use crate::route::Route;
use crate::{NodeId, Time};

use super::shares::Shares;
use super::weights::TOTAL;
use super::{
    Answer, Ask, CostSettings, HeadroomFirst, Observation, Plan, Rule, Seen, Strategy, Weights,
};

/// By how much the sum of an action may differ from one.
const TOLERANCE: f64 = 0.01;

/// What the program is told, as JSON with the reference's names. Rates are in calls a second, times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ActionRequest {
    /// Calls that clients bring.
    pub input_rate: f64,
    /// The same in the window before.
    pub previous_input_rate: f64,
    /// The share of them that was refused.
    pub reject_rate: f64,
    /// The same in the window before.
    pub previous_reject_rate: f64,
    /// Mean time of a call here.
    pub avg_resp_time_loc: f64,
    /// The same in the window before.
    pub previous_avg_resp_time_loc: f64,
    /// Use of the CPU, from 0 to 1.
    pub cpu_utilization: f64,
    /// The same in the window before.
    pub previous_cpu_utilization: f64,
    /// Replicas of the functions.
    pub n_replicas: u32,
    /// The same in the window before.
    pub previous_n_replicas: u32,
    /// For each neighbour X, `previous_fwd_to_node_X`, what was sent there, `previous_fwd_to_node_X_rejected`, what of that it
    /// refused, and `previous_avg_resp_time_fwd_to_node_X`, its mean time of a call and the round trip to it.
    #[serde(flatten)]
    pub forwards: BTreeMap<String, f64>,
}

/// What the program answers: shares that sum to one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Action {
    local: f64,
    reject: f64,
    nodes: BTreeMap<NodeId, f64>,
}

/// An action that cannot be taken.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ActionError {
    /// A target that does not exist.
    #[error("the action names {0:?}; its targets are \"local\", \"reject\" and \"node_ID\"")]
    Target(String),
    /// A share that is none.
    #[error("the action gives {target:?} {share}; a share is a number from 0 to 1")]
    Share {
        /// To whom.
        target: String,
        /// What.
        share: f64,
    },
    /// Shares of something else than all.
    #[error("the shares of the action sum to {0}; they must sum to 1")]
    Sum(f64),
}

/// The name of a node as the program knows it.
pub fn node_key(node: NodeId) -> String {
    format!("node_{node}")
}

impl Action {
    /// Reads the shares by the names of their targets. Who is not named has none.
    ///
    /// # Errors
    /// If a target or a share is none, or the shares do not sum to one.
    pub fn read(shares: &BTreeMap<String, f64>) -> Result<Action, ActionError> {
        let mut action = Action::default();
        for (target, share) in shares {
            let share = *share;
            if !(0.0..=1.0).contains(&share) {
                let target = target.clone();
                return Err(ActionError::Share { target, share });
            }
            match target.as_str() {
                "local" => action.local = share,
                "reject" => action.reject = share,
                other => {
                    let node = other.strip_prefix("node_").and_then(|id| id.parse().ok());
                    let node = node.ok_or_else(|| ActionError::Target(other.to_owned()))?;
                    action.nodes.insert(node, share);
                }
            }
        }
        let sum: f64 = shares.values().sum();
        if (sum - 1.0).abs() > TOLERANCE {
            return Err(ActionError::Sum(sum));
        }
        Ok(action)
    }
}

/// The strategy `external`.
#[derive(Debug, Default)]
pub struct External {
    /// Who decides without an answer.
    fallback: HeadroomFirst,
    /// The last period that was asked for, what was told of it, and the counters of each neighbour then.
    last: Option<(Time, ActionRequest)>,
    counted: BTreeMap<NodeId, Counted>,
}

/// What was counted of a neighbour up to the last period, and what the program calls it.
#[derive(Debug)]
struct Counted {
    sent: u64,
    refused: u64,
    names: [String; 3],
}

impl External {
    /// With these costs, by which `headroom` decides where no answer came.
    pub fn new(costs: CostSettings) -> External {
        External {
            fallback: HeadroomFirst::new(costs),
            ..External::default()
        }
    }
}

impl Strategy for External {
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan {
        let mut plan = match seen.answer {
            Some(Answer::Action(action)) => take(action, seen),
            _ => self.fallback.plan(seen, rng),
        };
        plan.ask = self.ask(seen);
        plan
    }
}

fn take(action: &Action, seen: &Observation<'_>) -> Plan {
    let of = |node| action.nodes.get(node).copied().unwrap_or(0.0);
    let all: Vec<f64> = seen.neighbours.iter().map(|n| of(&n.node)).collect();
    let kept = Weights::proportional(&[action.reject, 1.0 - action.reject]);
    let mut shares: Vec<f64> = Vec::new();
    let routes = seen.routes(|at| {
        shares.clear();
        shares.push(at.here.map_or(0.0, |_| action.local));
        shares.extend(at.of(&all));
        Box::new(Taken {
            refused: kept.parts()[0].into(),
            shares: Shares::new(&shares),
        })
    });
    Plan {
        routes,
        ..Plan::default()
    }
}

impl External {
    /// What to ask, in a new period.
    fn ask(&mut self, seen: &Observation<'_>) -> Option<Ask> {
        let previous = match &self.last {
            Some((asked, _)) if *asked == seen.measured => return None,
            other => other.clone(),
        };
        let seconds = previous
            .as_ref()
            .map(|(asked, _)| seen.measured.since(*asked).as_secs_f64());
        let mut counted = BTreeMap::new();
        let mut forwards = Vec::with_capacity(3 * seen.neighbours.len());
        for neighbour in seen.neighbours.iter() {
            let (mut sent, mut refused) = (0, 0);
            let (mut services, mut measured) = (0.0, 0u32);
            for offered in neighbour.functions.iter() {
                sent += offered.remote.calls_sent();
                refused += offered.remote.calls_refused();
                if let Some(service) = offered.service {
                    services += service.as_duration().as_secs_f64();
                    measured += 1;
                }
            }
            let before = self.counted.remove(&neighbour.node);
            let mut counted_now = before.unwrap_or_else(|| Counted {
                sent,
                refused,
                names: names(neighbour.node),
            });
            let rate = |now: u64, before: u64| {
                seconds.map_or(0.0, |s| now.saturating_sub(before) as f64 / s.max(1e-3))
            };
            let service = services / f64::from(measured.max(1));
            let away = neighbour.round_trip.unwrap_or_default().as_secs_f64();
            let values = [
                1e3 * (service + away),
                rate(refused, counted_now.refused),
                rate(sent, counted_now.sent),
            ];
            forwards.extend(counted_now.names.iter().cloned().zip(values));
            (counted_now.sent, counted_now.refused) = (sent, refused);
            counted.insert(neighbour.node, counted_now);
        }
        let forwards = BTreeMap::from_iter(forwards);
        self.counted = counted;
        let sum = |rate: fn(&Seen) -> f64| seen.functions.iter().map(rate).sum::<f64>();
        let input = sum(|f| f.from_clients);
        let run = sum(|f| f.run);
        let busy = sum(|f| f.run * f.service.unwrap_or_default().as_secs_f64());
        let before = previous.map(|(_, request)| request).unwrap_or_default();
        let request = ActionRequest {
            input_rate: input,
            reject_rate: if input > 0.0 {
                (sum(|f| f.refused) / input).min(1.0)
            } else {
                0.0
            },
            avg_resp_time_loc: if run > 0.0 { 1e3 * busy / run } else { 0.0 },
            cpu_utilization: seen.node.cpu_percent.unwrap_or(0.0) / 100.0,
            n_replicas: seen.functions.iter().map(|f| f.replicas).sum(),
            previous_input_rate: before.input_rate,
            previous_reject_rate: before.reject_rate,
            previous_avg_resp_time_loc: before.avg_resp_time_loc,
            previous_cpu_utilization: before.cpu_utilization,
            // The reference begins with one.
            previous_n_replicas: if self.last.is_some() {
                before.n_replicas
            } else {
                1
            },
            forwards,
        };
        let told = ActionRequest {
            forwards: BTreeMap::new(),
            ..request
        };
        self.last = Some((seen.measured, told));
        Some(Ask::Action(Box::new(request)))
    }
}

/// What the program calls the time of an answer from a neighbour, what it refused and what was sent there.
fn names(node: NodeId) -> [String; 3] {
    let key = node_key(node);
    [
        format!("previous_avg_resp_time_fwd_to_{key}"),
        format!("previous_fwd_to_{key}_rejected"),
        format!("previous_fwd_to_{key}"),
    ]
}

/// Refuses its share of the calls, and spreads the others.
#[derive(Debug)]
struct Taken {
    /// In parts of [`TOTAL`].
    refused: u32,
    shares: Shares,
}

impl Rule for Taken {
    fn decide(
        &self,
        route: &Route,
        tried: &Tried,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<Decision> {
        let is_first = tried.attempts() == 0;
        if is_first && self.refused > 0 && rng.random_range(0..TOTAL) < self.refused {
            return Some(Decision::Reject(Rejection::ByStrategy));
        }
        self.shares.decide(route, tried, now, rng)
    }
}
