//! What `node-margin` and `power-saving` share: an overloaded node sheds load to neighbours within their margins.

use rand::Rng;

use crate::NodeId;
use crate::trade::{Amount, Margin};

use super::prediction::Prediction;
use super::shares::Shares;
use super::usage::{Groups, Limits, Load, LoadGroup, Usage, group_of};
use super::{Observation, Plan, Strategy, Told};

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
    /// Its place among the neighbours.
    column: usize,
    /// What is left of its margin.
    left: f64,
    cost: [f64; 3],
    /// Of each function that it has, by its index, the one whose turn is next, and after the last the first.
    next: Vec<u32>,
    /// The function whose turn was last.
    last: u32,
}

impl Target {
    /// Whose turn it is.
    fn function(&self) -> usize {
        self.next[self.last as usize] as usize
    }

    /// It is the next one's turn.
    fn turn(&mut self) {
        self.last = self.next[self.last as usize];
    }

    /// Leaves out the function whose turn it is. Returns whether there was another one.
    fn leave_out(&mut self) -> bool {
        let function = self.function();
        self.next[self.last as usize] = self.next[function];
        function != self.last as usize
    }
}

/// A function of this node, in calls a second.
struct Kept {
    group: LoadGroup,
    remaining: f64,
    step: f64,
}

/// Calls a second of each function at each neighbour, one row after the other.
struct Assigned {
    calls: Vec<f64>,
    neighbours: usize,
}

impl Assigned {
    /// The calls of a function.
    fn row(&self, function: usize) -> &[f64] {
        &self.calls[function * self.neighbours..][..self.neighbours]
    }
}

impl Strategy for Shedding {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let load = Load::offered(seen, &self.groups);
        let ask = self.prediction.learn(seen, &self.groups, load);
        let usage = self.prediction.usage(load);
        let (kept, assigned) = self.shed(seen, load, &usage);
        let margins = seen.neighbours.iter().map(|n| n.margin.points.get());
        let margins: Vec<f64> = margins.collect();
        let mut shares: Vec<f64> = Vec::new();
        let mut last = None;
        let routes = seen.routes(|at| {
            shares.clear();
            let Some(index) = at.index else {
                // Only neighbours have it: by their margins.
                shares.push(0.0);
                at.put(&margins, &mut shares);
                return Box::new(Shares::like(&mut last, &shares));
            };
            shares.push(1.0);
            at.put(assigned.row(index), &mut shares);
            if shares[1..].iter().any(|given| *given > 0.0) {
                shares[0] = kept[index].remaining;
            }
            Box::new(Shares::like(&mut last, &shares))
        });
        let told = Told::Margins(self.margins(seen, load, &usage));
        Plan { routes, told, ask }
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
        let neighbours = seen.neighbours.len();
        let mut assigned = Assigned {
            calls: vec![0.0; seen.functions.len() * neighbours],
            neighbours,
        };
        if !self.overload.exceeded(usage) {
            return (kept, assigned);
        }
        let mut targets = targets(seen);
        let mut load = load;
        let mut next = 0;
        while !targets.is_empty() {
            next %= targets.len();
            let target = &mut targets[next];
            let function = target.function();
            let Kept {
                group,
                remaining,
                step,
            } = &mut kept[function];
            let calls = step.min(*remaining);
            let cost = calls * target.cost[*group as usize];
            if calls <= 0.0 || cost > target.left {
                if !target.leave_out() {
                    targets.remove(next);
                }
                continue;
            }
            target.left -= cost;
            target.turn();
            next += 1;
            *remaining -= calls;
            assigned.calls[function * neighbours + target.column] += calls;
            load.add(*group, -calls);
            if !self.overload.exceeded(&self.prediction.usage(load)) {
                break;
            }
        }
        (kept, assigned)
    }

    /// What each neighbour may use here: what it uses already, and an equal part of what is left; where nothing is left, less
    /// than it uses, all in proportion.
    fn margins(&self, seen: &Observation<'_>, load: Load, usage: &Usage) -> Vec<(NodeId, Margin)> {
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
        let nodes = seen.neighbours.board().nodes();
        let mut used = vec![0.0; nodes.len()];
        let mut rates = vec![0.0; nodes.len()];
        for function in seen.functions {
            let cost = cost[group_of(&self.groups, &function.function) as usize];
            function.put_for_each(nodes, &mut rates);
            for (used, rate) in used.iter_mut().zip(&rates) {
                *used += rate * cost;
            }
        }
        let sum: f64 = used.iter().sum();
        let count = used.len().max(1) as f64;
        let told = nodes.iter().zip(used).map(|(node, points)| {
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
            (*node, margin)
        });
        told.collect()
    }
}

/// The neighbours that have a margin and a function of this node.
fn targets(seen: &Observation<'_>) -> Vec<Target> {
    let rows = seen.rows();
    let columns = rows
        .iter()
        .map(|row| row.map_or(&[][..], |row| &row.columns));
    let all = seen.neighbours.len();
    // Most functions are at all neighbours or at none: those turns are made once for all.
    let mut common = Turns::new(rows.len());
    let shared = columns.clone().enumerate().filter(|(_, c)| c.len() == all);
    shared.for_each(|(index, _)| common.push(index));
    let are_all_shared = columns.clone().all(|c| c.is_empty() || c.len() == all);
    let mut targets = Vec::with_capacity(all);
    for (column, neighbour) in seen.neighbours.iter().enumerate() {
        if neighbour.margin.points.get() <= 0.0 {
            continue;
        }
        let mut turns = common.clone();
        if !are_all_shared {
            turns = Turns::new(rows.len());
            let has = |columns: &[u32]| columns.binary_search(&(column as u32)).is_ok();
            let own = columns.clone().enumerate().filter(|(_, c)| has(c));
            own.for_each(|(index, _)| turns.push(index));
        }
        if let Some(last) = turns.last {
            targets.push(Target {
                column,
                left: neighbour.margin.points.get(),
                cost: neighbour.margin.cost.map(Amount::get),
                next: turns.next,
                last,
            });
        }
    }
    targets
}

/// The turns of a [`Target`], while they are gathered.
#[derive(Clone)]
struct Turns {
    next: Vec<u32>,
    last: Option<u32>,
}

impl Turns {
    /// None of so many functions.
    fn new(functions: usize) -> Turns {
        Turns {
            next: vec![0; functions],
            last: None,
        }
    }

    /// The function of that index is the last one.
    fn push(&mut self, function: usize) {
        let function = function as u32;
        let first = match self.last {
            Some(last) => std::mem::replace(&mut self.next[last as usize], function),
            None => function,
        };
        self.next[function as usize] = first;
        self.last = Some(function);
    }
}
