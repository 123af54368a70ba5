//! What `node-margin` and `power-saving` share: an overloaded node sheds load to neighbours within their margins.

use std::collections::BTreeMap;

use rand::Rng;

use crate::trade::{Amount, Margin};
use crate::wire::Message;
use crate::{FunctionName, NodeId};

use super::prediction::Prediction;
use super::shares::Shares;
use super::usage::{Groups, Limits, Load, LoadGroup, Usage, group_of};
use super::{Observation, Plan, Strategy};

/// One step moves this part of a function's calls.
const STEP_OF_FUNCTION: f64 = 0.01;
/// And at least this part of all the node's calls, so that the number of steps is bounded whatever the number of functions.
const STEP_OF_ALL: f64 = 0.001;

/// Sheds load while what is predicted exceeds the limits.
#[derive(Debug)]
pub(super) struct Shedding {
    /// The node is overloaded where one of these is exceeded.
    pub(super) overload: Limits,
    /// What margins are reckoned in.
    pub(super) points: Limits,
    pub(super) groups: Groups,
    pub(super) prediction: Prediction,
}

/// A neighbour that may take load.
struct Target {
    node: NodeId,
    /// What is left of its margin.
    left: f64,
    cost: [f64; 3],
    /// The functions that it has, by their index, and whose turn it is.
    functions: Vec<usize>,
    turn: usize,
}

/// A function of this node, in calls a second.
struct Kept {
    group: LoadGroup,
    remaining: f64,
    step: f64,
}

/// Calls a second of each function at each neighbour.
type Assigned = BTreeMap<(usize, NodeId), f64>;

impl Strategy for Shedding {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let load = Load::offered(seen, &self.groups);
        let ask = self.prediction.learn(seen, &self.groups, load);
        let usage = self.prediction.usage(load);
        let (kept, assigned) = self.shed(seen, load, &usage);
        let indices: BTreeMap<&FunctionName, usize> = seen
            .functions
            .iter()
            .enumerate()
            .map(|(index, seen)| (&seen.function, index))
            .collect();
        let index = |name: &FunctionName| indices.get(name).copied();
        let routes = seen.routes(|function, here, there| {
            let Some((index, _)) = index(function).zip(here) else {
                // Only neighbours have it: by their margins.
                let margins = there
                    .iter()
                    .map(|there| there.neighbour.margin.points.get());
                return Box::new(Shares::new(0.0, &margins.collect::<Vec<f64>>()));
            };
            let theirs: Vec<f64> = there
                .iter()
                .map(|there| assigned.get(&(index, there.neighbour.node)).copied())
                .map(Option::unwrap_or_default)
                .collect();
            let given: f64 = theirs.iter().sum();
            let here = if given > 0.0 {
                kept[index].remaining
            } else {
                1.0
            };
            Box::new(Shares::new(here, &theirs))
        });
        let messages = self.margins(seen, load, &usage);
        Plan {
            routes,
            messages,
            ask,
            ..Plan::default()
        }
    }
}

impl Shedding {
    /// What is left of each function's calls here, and what goes to whom.
    fn shed(&self, seen: &Observation<'_>, load: Load, usage: &Usage) -> (Vec<Kept>, Assigned) {
        let all: f64 = load.0.iter().sum();
        let mut kept: Vec<Kept> = seen
            .functions
            .iter()
            .map(|function| Kept {
                group: group_of(&self.groups, &function.function),
                remaining: function.from_clients,
                step: (function.from_clients * STEP_OF_FUNCTION).max(all * STEP_OF_ALL),
            })
            .collect();
        let mut assigned = Assigned::new();
        if !self.overload.exceeded(usage) {
            return (kept, assigned);
        }
        let mut targets = targets(seen);
        let mut load = load;
        let mut next = 0;
        while !targets.is_empty() {
            next %= targets.len();
            let target = &mut targets[next];
            target.turn %= target.functions.len();
            let function = target.functions[target.turn];
            let Kept {
                group,
                remaining,
                step,
            } = &mut kept[function];
            let calls = step.min(*remaining);
            let cost = calls * target.cost[*group as usize];
            if calls <= 0.0 || cost > target.left {
                target.functions.remove(target.turn);
                if target.functions.is_empty() {
                    targets.remove(next);
                }
                continue;
            }
            target.left -= cost;
            target.turn += 1;
            next += 1;
            *remaining -= calls;
            *assigned.entry((function, target.node)).or_default() += calls;
            load.add(*group, -calls);
            if !self.overload.exceeded(&self.prediction.usage(load)) {
                break;
            }
        }
        (kept, assigned)
    }

    /// What each neighbour may use here: what it uses already, and an equal part of what is left; where nothing is left, less
    /// than it uses, all in proportion.
    fn margins(&self, seen: &Observation<'_>, load: Load, usage: &Usage) -> Vec<(NodeId, Message)> {
        let now = self.points.points(usage);
        let cost = [LoadGroup::High, LoadGroup::Medium, LoadGroup::Low].map(|group| {
            let mut more = load;
            more.add(group, 1.0);
            (self.points.points(&self.prediction.usage(more)) - now).max(0.0)
        });
        let mut rest = 100.0 - now;
        if self.overload.exceeded(usage) {
            rest = rest.min(0.0);
        }
        let uses = |node: NodeId| -> f64 {
            let calls = seen.functions.iter().map(|function| {
                let rate = function.for_peers.get(&node).copied().unwrap_or(0.0);
                rate * cost[group_of(&self.groups, &function.function) as usize]
            });
            calls.sum()
        };
        let used: Vec<(NodeId, f64)> = seen
            .neighbours
            .iter()
            .map(|n| (n.node, uses(n.node)))
            .collect();
        let sum: f64 = used.iter().map(|(_, points)| points).sum();
        let count = used.len().max(1) as f64;
        used.into_iter()
            .map(|(node, points)| {
                let points = if rest >= 0.0 {
                    points + rest / count
                } else if sum > 0.0 {
                    points * (1.0 + rest / sum).max(0.0)
                } else {
                    0.0
                };
                let margin = Margin {
                    points: Amount::nearest(points),
                    cost: cost.map(Amount::nearest),
                };
                (node, Message::Margin(margin))
            })
            .collect()
    }
}

/// The neighbours that have a margin and a function of this node.
fn targets(seen: &Observation<'_>) -> Vec<Target> {
    seen.neighbours
        .iter()
        .filter(|neighbour| neighbour.margin.points.get() > 0.0)
        .map(|neighbour| Target {
            node: neighbour.node,
            left: neighbour.margin.points.get(),
            cost: neighbour.margin.cost.map(Amount::get),
            functions: (0..seen.functions.len())
                .filter(|i| {
                    neighbour
                        .functions
                        .contains_key(&seen.functions[*i].function)
                })
                .collect(),
            turn: 0,
        })
        .filter(|target| !target.functions.is_empty())
        .collect()
}
