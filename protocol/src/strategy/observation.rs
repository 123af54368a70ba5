//! What a strategy sees, and what it makes of it.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::neighbours::{Candidate, Neighbours, Row};
use crate::route::Route;
use crate::{FunctionName, NodeId, Time};

use super::usage::{Load, Usage};
use super::{Action, ActionRequest, Rule, Told};

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
    /// Calls a second that were run for neighbours, in the order of their ids.
    pub for_peers: Vec<(NodeId, f64)>,
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
    /// What each neighbour is to be told; once a period only.
    pub told: Told,
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
            for_peers: Vec::new(),
            refused: 0.0,
            replicas: 1,
            service: None,
        }
    }

    /// Calls a second that were run for all neighbours together: four sums side by side, which a processor adds up at once.
    pub(super) fn for_all_peers(&self) -> f64 {
        let mut sums = [0.0; 4];
        for peers in self.for_peers.chunks(sums.len()) {
            for (sum, (_, rate)) in sums.iter_mut().zip(peers) {
                *sum += rate;
            }
        }
        sums.iter().sum()
    }

    /// Puts the calls a second that were run for each of those nodes, in the order of their ids, into `rates`.
    pub(super) fn put_for_each(&self, nodes: &[NodeId], rates: &mut [f64]) {
        // Mostly they are the same nodes, and to see that two are equal is quicker than to see which is the lesser.
        let both = nodes.iter().zip(&self.for_peers);
        let same = both.take_while(|(node, (peer, _))| *node == peer).count();
        let (peers, others) = self.for_peers.split_at(same);
        let (put, rest) = rates.split_at_mut(same);
        for (put, (_, rate)) in put.iter_mut().zip(peers) {
            *put = *rate;
        }
        let mut others = others.iter().peekable();
        for (node, put) in nodes[same..].iter().zip(rest) {
            while others.next_if(|(other, _)| other < node).is_some() {}
            let own = others.next_if(|(other, _)| other == node);
            *put = own.map_or(0.0, |(_, rate)| *rate);
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
    pub(super) fn routes(&self, mut rule: impl FnMut(&At<'_>) -> Box<dyn Rule>) -> Vec<Route> {
        let board = self.neighbours.board();
        let mut routes = Vec::with_capacity(self.functions.len().max(board.rows().len()));
        self.each(|at| {
            routes.push(Route {
                rule: rule(at),
                function: at.function.clone(),
                here: at.here.map(|seen| Arc::clone(&seen.gate)),
                there: at.row.map(|row| Arc::clone(&row.there)).unwrap_or_default(),
            });
        });
        routes
    }

    /// Looks at each function that the local platform or a neighbour has, in their order: both are sorted, so one walk is
    /// enough.
    fn each<'b>(&'b self, mut look: impl FnMut(&At<'b>)) {
        let mut own: Vec<(usize, &Seen)> = self.functions.iter().enumerate().collect();
        own.sort_by(|(_, a), (_, b)| a.function.cmp(&b.function));
        let mut own = own.into_iter().peekable();
        let mut rows = self.neighbours.board().rows().iter().peekable();
        loop {
            let order = match (own.peek(), rows.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((_, seen)), Some(row)) => seen.function.cmp(&row.function),
            };
            let here = own.next_if(|_| order.is_le());
            let row = rows.next_if(|_| order.is_ge());
            let function = match (here, row) {
                (Some((_, seen)), _) => &seen.function,
                (None, Some(row)) if row.is_offered => &row.function,
                (None, _) => continue,
            };
            look(&At {
                function,
                here: here.map(|(_, seen)| seen),
                index: here.map(|(index, _)| index),
                row,
            });
        }
    }

    /// The row of each of this node's functions, in their order, where somebody offers it or bids for it.
    pub(super) fn rows(&self) -> Vec<Option<&Row>> {
        let mut rows = vec![None; self.functions.len()];
        self.each(|at| {
            if let Some(index) = at.index {
                rows[index] = at.row;
            }
        });
        rows
    }
}

/// A function with all who have it.
pub(super) struct At<'a> {
    pub(super) function: &'a FunctionName,
    pub(super) here: Option<&'a Seen>,
    /// Its index among this node's functions.
    pub(super) index: Option<usize>,
    pub(super) row: Option<&'a Row>,
}

impl At<'_> {
    /// The neighbours that offer it and may be sent its calls.
    pub(super) fn there(&self) -> &[Candidate] {
        self.row.map_or(&[], |row| &row.there)
    }

    /// The column of each of those: its place among all neighbours.
    pub(super) fn columns(&self) -> &[u32] {
        self.row.map_or(&[], |row| &row.columns)
    }

    /// Puts of what is said of each neighbour that which is said of those behind what is in `out`.
    pub(super) fn put<T: Copy>(&self, cells: &[T], out: &mut Vec<T>) {
        // Columns differ, so that as many as there are neighbours are all of them.
        if self.columns().len() == cells.len() {
            out.extend_from_slice(cells);
        } else {
            out.extend(self.of(cells));
        }
    }

    /// Of what is said of each neighbour, that which is said of those.
    pub(super) fn of<'b, T: Copy>(&'b self, cells: &'b [T]) -> impl Iterator<Item = T> + 'b {
        self.columns().iter().map(|column| cells[*column as usize])
    }
}
