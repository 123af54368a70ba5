//! How a node of world B shares out the rates of a minute.

use super::instance_b::{FUNCTIONS, InstanceB, NodeType, Rates};
use super::models::{Models, Usage};
use super::step_b::{Faults, StrategyB};

/// What a node does with each function's requests: how many it keeps, and how many each of its neighbours gets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shares {
    pub(super) kept: Rates<u64>,
    pub(super) sent: Vec<Rates<u64>>,
}

/// Everything that a node's decision in one minute depends on.
#[derive(Clone, Copy)]
pub(super) struct Minute<'a> {
    pub(super) instance: &'a InstanceB,
    pub(super) models: &'a Models,
    pub(super) rates: &'a [Rates<Option<u64>>],
    pub(super) faults: Faults,
}

/// What a margin is a margin of.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    /// The mean use of processors, memory and power.
    AllMetrics,
    /// Power alone, of which no more than a part is to be drawn.
    Power,
}

/// The part of its power that a node draws at most where power is saved.
const POWER_SAVED: f64 = 0.7;

impl Minute<'_> {
    /// The shares of every node.
    pub(super) fn shares(&self, strategy: StrategyB) -> Vec<Shares> {
        let nodes = 0..self.rates.len();
        match strategy {
            StrategyB::Base => nodes.map(|node| self.all_kept(node)).collect(),
            StrategyB::Equal => nodes.map(|node| self.equal(node)).collect(),
            StrategyB::NodeMargin => self.by_margin(Measure::AllMetrics),
            StrategyB::PowerSaving => self.by_margin(Measure::Power),
        }
    }

    fn own(&self, node: usize) -> Rates<u64> {
        self.rates[node].map(|rate| rate.unwrap_or(0))
    }

    fn all_kept(&self, node: usize) -> Shares {
        Shares {
            kept: self.own(node),
            sent: vec![[0; FUNCTIONS.len()]; self.instance.neighbours[node].len()],
        }
    }

    /// One in a hundred of each function is taken away until the rest is not too much; all neighbours get as much of it,
    /// whatever functions they have. The first also gets what cannot be divided.
    fn equal(&self, node: usize) -> Shares {
        let mut shares = self.all_kept(node);
        if shares.sent.is_empty() {
            return shares;
        }
        let kept = &mut shares.kept;
        let is_overloaded = |kept: &_| {
            let node_type = self.instance.types[node];
            self.models.is_overloaded(node_type, kept)
        };
        while is_overloaded(kept) && kept.iter().any(|rate| *rate > 0) {
            for rate in &mut *kept {
                *rate -= rate.div_ceil(100);
            }
        }
        let neighbours = shares.sent.len() as u64;
        for (function, rate) in self.own(node).into_iter().enumerate() {
            let excess = rate - shares.kept[function];
            for sent in &mut shares.sent {
                sent[function] = excess / neighbours;
            }
            shares.sent[0][function] += excess % neighbours;
        }
        shares
    }

    fn by_margin(&self, measure: Measure) -> Vec<Shares> {
        let nodes = 0..self.rates.len();
        let margins: Vec<f64> = nodes
            .clone()
            .map(|node| self.margin(node, measure))
            .collect();
        nodes
            .map(|node| self.relieve(node, measure, &margins))
            .collect()
    }

    /// The percentage points of use that a node leaves to each neighbour with which it shares a function.
    fn margin(&self, node: usize, measure: Measure) -> f64 {
        let node_type = self.instance.types[node];
        let own = self.own(node);
        let neighbours = self.instance.neighbours[node].iter();
        let sharing = neighbours
            .filter(|n| self.common(node, **n).next().is_some())
            .count();
        if sharing == 0 || self.models.is_overloaded(node_type, &own) {
            return 0.0;
        }
        let left = 100.0 - measure.percent(self.models, node_type, &own);
        round4(left / sharing as f64)
    }

    /// The functions that both nodes have.
    fn common(&self, a: usize, b: usize) -> impl Iterator<Item = usize> + use<'_> {
        let has = |node: usize, function: usize| self.rates[node][function].is_some();
        (0..FUNCTIONS.len()).filter(move |f| has(a, *f) && has(b, *f))
    }

    /// Takes turns with the neighbours and the functions in common, one in a hundred of what is left of a function each time, until the
    /// node needs no relief or every neighbour has used up its margin.
    fn relieve(&self, node: usize, measure: Measure, margins: &[f64]) -> Shares {
        let mut shares = self.all_kept(node);
        // What the node takes its own rates for: a fault of saving power keeps it from seeing all that it gave away.
        let mut seen = shares.kept;
        let mut candidates: Vec<Candidate> = self.instance.neighbours[node]
            .iter()
            .enumerate()
            .filter(|(_, neighbour)| margins[**neighbour] > 0.0)
            .map(|(position, neighbour)| Candidate {
                position,
                neighbour: *neighbour,
                node_type: self.instance.types[*neighbour],
                functions: self.common(node, *neighbour).collect(),
            })
            .collect();
        let needs_relief =
            |rates: &_| measure.is_too_much(self.models, self.instance.types[node], rates);
        if !needs_relief(&seen) {
            return shares;
        }
        while candidates.iter().any(|c| !c.functions.is_empty()) {
            for candidate in &mut candidates {
                let own = self.own(candidate.neighbour);
                let use_of = |sent: &Rates<u64>| {
                    let rates = std::array::from_fn(|f| own[f] + sent[f]);
                    measure.percent(self.models, candidate.node_type, &rates)
                };
                let before = use_of(&[0; FUNCTIONS.len()]);
                for function in candidate.functions.clone() {
                    let some = shares.kept[function].div_ceil(100);
                    let sent = &mut shares.sent[candidate.position];
                    sent[function] += some;
                    if some > 0 && margins[candidate.neighbour] >= use_of(sent) - before {
                        shares.kept[function] -= some;
                        seen[function] -= match (self.faults, measure) {
                            (Faults::Kept, Measure::Power) => 1,
                            _ => some,
                        };
                        if !needs_relief(&seen) {
                            return shares;
                        }
                    } else {
                        sent[function] -= match (self.faults, measure) {
                            (Faults::Kept, Measure::AllMetrics) => some.min(1),
                            _ => some,
                        };
                        candidate.functions.retain(|f| *f != function);
                    }
                }
            }
        }
        shares
    }
}

/// A neighbour that may get more.
struct Candidate {
    /// Among the neighbours of the node.
    position: usize,
    neighbour: usize,
    node_type: NodeType,
    /// The functions of which it may get more.
    functions: Vec<usize>,
}

impl Measure {
    /// What part of its maxima such a node uses, in percent; 100 where it uses more than one of them allows.
    fn percent(self, models: &Models, node_type: NodeType, rates: &Rates<u64>) -> f64 {
        let most = maxima(node_type);
        let parts = match self {
            Measure::AllMetrics => {
                let usage = models.usage(node_type, rates);
                vec![
                    usage.cpu / most.cpu,
                    usage.ram / most.ram,
                    usage.power / most.power,
                ]
            }
            Measure::Power => vec![models.power(node_type, rates) / (POWER_SAVED * most.power)],
        };
        if parts.iter().any(|part| *part > 1.0) {
            100.0
        } else {
            100.0 * parts.iter().sum::<f64>() / parts.len() as f64
        }
    }

    fn is_too_much(self, models: &Models, node_type: NodeType, rates: &Rates<u64>) -> bool {
        models.is_overloaded(node_type, rates)
            || self == Measure::Power && draws_too_much(models, node_type, rates)
    }
}

/// Whether such a node draws more power than it may where power is saved.
pub(super) fn draws_too_much(models: &Models, node_type: NodeType, rates: &Rates<u64>) -> bool {
    models.power(node_type, rates) > POWER_SAVED * maxima(node_type).power
}

/// What a node uses at most.
fn maxima(node_type: NodeType) -> Usage {
    let (cpu, ram, power) = match node_type {
        NodeType::Heavy => (460.0, 6.0e9, 3.5e6),
        NodeType::Mid => (290.0, 5.5e9, 2.2e6),
        NodeType::Light => (150.0, 4.1e9, 0.7e6),
    };
    Usage { cpu, ram, power }
}

/// Four decimals, as the reference rounds weights and margins.
pub(super) fn round4(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
