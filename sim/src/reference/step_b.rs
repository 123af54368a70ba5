//! The steps of world B: once a minute each node shares out its rates, then refuses what is too much for it.

use super::instance_b::{FUNCTIONS, InstanceB, NodeType, Rates};
use super::models::Models;
use super::strategies_b::{self as strategies, Shares, draws_too_much, round4};

/// How a node of world B shares out what is too much for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyB {
    /// It keeps everything.
    Base,
    /// Equally among all neighbours.
    Equal,
    /// As the margins of processors, memory and power allow that the neighbours announce.
    NodeMargin,
    /// As the margins of power allow, and no node draws more than a part of its power.
    PowerSaving,
}

impl StrategyB {
    /// All of them.
    pub const ALL: [StrategyB; 4] = [
        StrategyB::Base,
        StrategyB::Equal,
        StrategyB::NodeMargin,
        StrategyB::PowerSaving,
    ];

    /// Its name in the reference's tables, without "_strategy".
    pub fn name(self) -> &'static str {
        match self {
            StrategyB::Base => "base",
            StrategyB::Equal => "equal",
            StrategyB::NodeMargin => "node_margin",
            StrategyB::PowerSaving => "power_saving",
        }
    }
}

/// Whether the reference's faults are mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Every request that a user brings arrives at exactly one node.
    Mended,
    /// As in the reference: weights are rounded and what they say truncated, so that requests vanish; node margin takes only one request
    /// back from a neighbour that refuses several; saving power takes only one off its own load for several that it gives away.
    Kept,
}

/// Requests of one function in one minute, over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Brought by users.
    pub offered: u64,
    /// Arrived at a node, the users' own or a neighbour.
    pub received: u64,
    /// Refused by the node that they arrived at.
    pub refused: u64,
    /// Sent to a neighbour.
    pub forwarded: u64,
}

/// One minute of all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    /// The requests of each function.
    pub requests: Rates<Requests>,
    /// The power of each node in microwatts, with what it serves.
    pub power: Vec<f64>,
}

/// The minutes of a run.
pub type MinutesB = Vec<Minute>;

/// What an overloaded node refuses at a time, in percent of what it has left.
const REFUSED_AT_ONCE: u64 = 5;

/// Runs a strategy on all nodes.
pub fn run(instance: &InstanceB, models: &Models, strategy: StrategyB, faults: Faults) -> MinutesB {
    let minutes = instance.minutes.iter();
    minutes
        .map(|rates| {
            let decision = strategies::Minute {
                instance,
                models,
                rates,
                faults,
            };
            serve(&decision, strategy, &decision.shares(strategy))
        })
        .collect()
}

fn serve(decision: &strategies::Minute<'_>, strategy: StrategyB, shares: &[Shares]) -> Minute {
    let nodes = decision.rates.len();
    let mut minute = Minute {
        requests: [Requests::default(); FUNCTIONS.len()],
        power: Vec::with_capacity(nodes),
    };
    let mut received = vec![[0; FUNCTIONS.len()]; nodes];
    for (node, shares) in shares.iter().enumerate() {
        let neighbours = &decision.instance.neighbours[node];
        for (function, requests) in minute.requests.iter_mut().enumerate() {
            let offered = decision.rates[node][function].unwrap_or(0);
            let arriving = |share: u64| match decision.faults {
                Faults::Mended => share,
                Faults::Kept => truncated(share, offered),
            };
            requests.offered += offered;
            received[node][function] += arriving(shares.kept[function]);
            for (neighbour, sent) in neighbours.iter().zip(&shares.sent) {
                let sent = arriving(sent[function]);
                received[*neighbour][function] += sent;
                requests.forwarded += sent;
            }
        }
    }
    for (node, mut rates) in received.into_iter().enumerate() {
        let node_type = decision.instance.types[node];
        for (function, requests) in minute.requests.iter_mut().enumerate() {
            requests.received += rates[function];
            if decision.rates[node][function].is_none() {
                requests.refused += rates[function];
                rates[function] = 0;
            }
        }
        let refused = refuse(decision.models, node_type, strategy, &mut rates);
        for (requests, refused) in minute.requests.iter_mut().zip(refused) {
            requests.refused += refused;
        }
        minute.power.push(decision.models.power(node_type, &rates));
    }
    minute
}

/// Takes away what is too much for such a node, and returns how much of each function that was.
fn refuse(
    models: &Models,
    node_type: NodeType,
    strategy: StrategyB,
    rates: &mut Rates<u64>,
) -> Rates<u64> {
    let arrived = *rates;
    while rates.iter().any(|rate| *rate > 0)
        && (models.is_overloaded(node_type, rates)
            || strategy == StrategyB::PowerSaving && draws_too_much(models, node_type, rates))
    {
        let part = |percent| rates.map(|rate| hundredths_of(rate, percent));
        let mut percent = REFUSED_AT_ONCE;
        let mut refused = part(percent);
        // All of something is refused at last, and that is no longer nothing.
        while refused == [0; FUNCTIONS.len()] {
            percent += 1;
            refused = part(percent);
        }
        for (rate, refused) in rates.iter_mut().zip(refused) {
            *rate -= refused;
        }
    }
    std::array::from_fn(|function| arrived[function] - rates[function])
}

/// So many hundredths of a number, rounded, and halves to the even side.
fn hundredths_of(number: u64, percent: u64) -> u64 {
    let (whole, rest) = (number * percent / 100, number * percent % 100);
    whole + u64::from(rest > 50 || rest == 50 && whole % 2 == 1)
}

/// What is left of a share after it was made a weight of four decimals and the weight a number of requests again.
fn truncated(share: u64, of: u64) -> u64 {
    if of == 0 {
        0
    } else {
        (round4(share as f64 / of as f64) * of as f64) as u64
    }
}
