//! The steps of world A: once a minute each node shares out what a function has too much of.

use super::capacity_law::Function;
use super::instance_a::{FunctionMinute, InstanceA, NodeMinute};
use crate::bound::flow::Graph;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a node of world A shares out its excess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyA {
    /// It refuses it.
    Base,
    /// By random weights, whether the neighbours have the function or not.
    Random,
    /// By weights from eight metrics of the neighbours that are below their capacity, with noise.
    Empirical,
    /// In proportion to the limits that the neighbours would allow it: their margin over those who may use it.
    DfaasStatic,
}

impl StrategyA {
    /// All of them.
    pub const ALL: [StrategyA; 4] = [
        StrategyA::Base,
        StrategyA::Random,
        StrategyA::Empirical,
        StrategyA::DfaasStatic,
    ];

    /// Its name in the reference's tables, without "_strategy".
    pub fn name(self) -> &'static str {
        match self {
            StrategyA::Base => "base",
            StrategyA::Random => "random",
            StrategyA::Empirical => "empirical",
            StrategyA::DfaasStatic => "dfaas_static",
        }
    }
}

/// Requests a second of one function in one minute, over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Brought by users.
    pub offered: u64,
    /// Served, anywhere.
    pub served: u64,
    /// Refused by the node that they came to.
    pub refused_here: u64,
    /// Refused by the node that they were sent to, or in its place one of its own.
    pub refused_there: u64,
    /// Sent to a neighbour.
    pub forwarded: u64,
}

/// For each minute the requests of each function.
pub type MinutesA = Vec<[Requests; 3]>;

/// Runs a strategy on all nodes. Weights and the draws by them come from the seed.
pub fn run(instance: &InstanceA, strategy: StrategyA, seed: u64) -> MinutesA {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(strategy as u64);
    let mut step = Step {
        neighbours: &instance.neighbours,
        strategy,
        rng,
        weights: Vec::new(),
        incoming: vec![0; instance.nodes()],
    };
    let minutes = instance.minutes.iter();
    minutes
        .map(|nodes| Function::ALL.map(|function| step.run(nodes, function)))
        .collect()
}

/// What a bound lets a node send to its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sendable {
    /// What is above its own capacity, as the strategies do.
    Excess,
    /// Any request, so that a node may make room for a neighbour's.
    Anything,
}

/// What could be served at most of each function in each minute, with each request sent one hop at most.
pub fn bound(instance: &InstanceA, sendable: Sendable) -> MinutesA {
    let of_function = |nodes: &[NodeMinute], function: Function| {
        let sum = |value: fn(&FunctionMinute) -> u64| -> u64 { each(nodes, function, value).sum() };
        let flow = |load, capacity| {
            let (load, capacity) = (each(nodes, function, load), each(nodes, function, capacity));
            most_served(load, capacity, &instance.neighbours)
        };
        let offered = sum(|f| f.rate);
        let served = match sendable {
            Sendable::Excess => {
                sum(|f| f.rate.min(f.max_rate))
                    + flow(FunctionMinute::excess, FunctionMinute::margin)
            }
            Sendable::Anything => flow(|f| f.rate, |f| f.max_rate),
        };
        Requests {
            offered,
            served,
            refused_here: offered - served,
            ..Requests::default()
        }
    };
    let minutes = instance.minutes.iter();
    minutes
        .map(|nodes| Function::ALL.map(|function| of_function(nodes, function)))
        .collect()
}

/// Requests that can be served at most by nodes of those capacities, each where it arrives or at a neighbour.
fn most_served(
    load: impl Iterator<Item = u64>,
    capacities: impl Iterator<Item = u64>,
    neighbours: &[Vec<usize>],
) -> u64 {
    let n = neighbours.len();
    // 0 is the source, 1 the sink; then the nodes where requests arrive, then the nodes where they run.
    let (arriving, running) = (|node: usize| 2 + node, |node: usize| 2 + n + node);
    let mut graph = Graph::new(2 + 2 * n);
    for (node, (load, capacity)) in load.zip(capacities).enumerate() {
        graph.connect(0, arriving(node), load);
        graph.connect(arriving(node), running(node), u64::MAX);
        for neighbour in &neighbours[node] {
            graph.connect(arriving(node), running(*neighbour), u64::MAX);
        }
        graph.connect(running(node), 1, capacity);
    }
    graph.max_flow(0, 1)
}

/// A value of a function on each node; 0 where it is not deployed.
fn each(
    nodes: &[NodeMinute],
    function: Function,
    value: fn(&FunctionMinute) -> u64,
) -> impl Iterator<Item = u64> {
    let functions = nodes
        .iter()
        .map(move |node| &node.functions[function as usize]);
    functions.map(move |f| f.as_ref().map_or(0, value))
}

struct Step<'a> {
    neighbours: &'a [Vec<usize>],
    strategy: StrategyA,
    rng: ChaCha8Rng,
    /// Of the neighbours of the node at hand, in their order.
    weights: Vec<f64>,
    /// Requests that each node is to serve.
    incoming: Vec<u64>,
}

impl Step<'_> {
    fn run(&mut self, nodes: &[NodeMinute], function: Function) -> Requests {
        let mut requests = Requests::default();
        self.incoming.fill(0);
        for (node, state) in nodes.iter().enumerate() {
            let Some(state) = state.functions[function as usize] else {
                continue;
            };
            requests.offered += state.rate;
            self.incoming[node] += state.rate.min(state.max_rate);
            let excess = state.excess();
            if excess == 0 {
                continue;
            }
            self.weigh(nodes, node, function);
            let sum: f64 = self.weights.iter().sum();
            if sum > 0.0 {
                requests.forwarded += excess;
                for _ in 0..excess {
                    let to = self.neighbours[node][draw(&self.weights, sum, &mut self.rng)];
                    self.incoming[to] += 1;
                }
            } else {
                requests.refused_here += excess;
            }
        }
        for (state, incoming) in nodes.iter().zip(&self.incoming) {
            let capacity = state.functions[function as usize].map_or(0, |f| f.max_rate);
            let served = capacity.min(*incoming);
            requests.served += served;
            requests.refused_there += incoming - served;
        }
        requests
    }

    fn weigh(&mut self, nodes: &[NodeMinute], node: usize, function: Function) {
        let neighbours = &self.neighbours[node];
        self.weights.clear();
        match self.strategy {
            StrategyA::Base => {}
            StrategyA::Random => {
                let rng = &mut self.rng;
                let weights = neighbours
                    .iter()
                    .map(|_| f64::from(rng.random_range(1..=100)));
                self.weights.extend(weights);
            }
            StrategyA::Empirical => {
                let helpers = Helpers {
                    nodes,
                    neighbours,
                    function,
                };
                helpers.weigh(&mut self.weights, &mut self.rng);
            }
            StrategyA::DfaasStatic => {
                let state = |node: usize| nodes[node].functions[function as usize];
                let has_it = |node: usize| usize::from(state(node).is_some());
                let in_view: usize =
                    has_it(node) + neighbours.iter().map(|n| has_it(*n)).sum::<usize>();
                let limits = neighbours.iter().map(|n| match state(*n) {
                    // The node itself has the function, so at least one beside the neighbour has it.
                    Some(f) if !f.is_overloaded() => f.margin() as f64 / (in_view - 1) as f64,
                    _ => 0.0,
                });
                self.weights.extend(limits);
            }
        }
    }
}

/// An index, drawn with the probability of its weight over their sum.
fn draw(weights: &[f64], sum: f64, rng: &mut ChaCha8Rng) -> usize {
    let mut left = rng.random::<f64>() * sum;
    let mut last = 0;
    for (index, weight) in weights.iter().enumerate() {
        if *weight > 0.0 {
            last = index;
            if left < *weight {
                break;
            }
            left -= weight;
        }
    }
    last
}

/// The neighbours that are below their capacity for a function, and what is known of them.
struct Helpers<'a> {
    nodes: &'a [NodeMinute],
    neighbours: &'a [usize],
    function: Function,
}

impl Helpers<'_> {
    /// Taken for a measurement of zero: of execution times in seconds, and of uses.
    const LEAST_EXECUTION: f64 = 0.001;
    const LEAST_USAGE: f64 = 0.01;
    /// How often a weight is shaken, and by how much of it at most.
    const NOISE_PROBABILITY: f64 = 0.6;
    const NOISE: f64 = 0.4;

    fn weigh(&self, weights: &mut Vec<f64>, rng: &mut ChaCha8Rng) {
        weights.resize(self.neighbours.len(), 0.0);
        let or = |value: f64, least: f64| if value == 0.0 { least } else { value };
        let inverse = |value: f64, least: f64| 1.0 / or(value, least);
        self.add(weights, |_, f| f64::from(f.replicas));
        self.add(weights, |_, f| f.margin() as f64);
        self.add(weights, |_, f| f.max_rate as f64 / f.rate.max(1) as f64);
        self.add(weights, |_, f| inverse(f.execution, Self::LEAST_EXECUTION));
        for resource in 0..2 {
            self.add(weights, |n, _| {
                inverse(n.usage[resource], Self::LEAST_USAGE)
            });
            self.add(weights, |_, f| {
                inverse(f.usage[resource], Self::LEAST_USAGE)
            });
        }
        for weight in weights.iter_mut().filter(|weight| **weight > 0.0) {
            if rng.random_bool(Self::NOISE_PROBABILITY) {
                let noise = rng.random_range(0.0..Self::NOISE) * *weight;
                *weight += if rng.random_bool(0.5) { noise } else { -noise };
            }
        }
    }

    /// Adds each helper's part of the sum of a metric over all helpers.
    fn add(&self, weights: &mut [f64], metric: impl Fn(&NodeMinute, &FunctionMinute) -> f64) {
        let values = || {
            self.neighbours.iter().map(|neighbour| {
                let node = &self.nodes[*neighbour];
                let function = node.functions[self.function as usize].as_ref();
                let helper = function.filter(|f| !f.is_overloaded());
                helper.map_or(0.0, |helper| metric(node, helper))
            })
        };
        let sum: f64 = values().sum();
        if sum > 0.0 {
            for (weight, value) in weights.iter_mut().zip(values()) {
                *weight += value / sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One minute of `funca` on nodes with those rates and capacities; a capacity of 0 stands for no function.
    fn world(links: &[&[usize]], rates: &[(u64, u64)]) -> InstanceA {
        let node = |(rate, max_rate): &(u64, u64)| NodeMinute {
            functions: [
                (*max_rate > 0).then_some(FunctionMinute {
                    rate: *rate,
                    max_rate: *max_rate,
                    replicas: 1,
                    execution: 0.0,
                    usage: [0.0; 2],
                }),
                None,
                None,
            ],
            usage: [0.0; 2],
        };
        InstanceA {
            neighbours: links.iter().map(|links| links.to_vec()).collect(),
            minutes: vec![rates.iter().map(node).collect()],
        }
    }

    fn step(instance: &InstanceA, strategy: StrategyA) -> Requests {
        run(instance, strategy, 7)[0][0]
    }

    #[test]
    fn base_serves_up_to_the_capacity() {
        let instance = world(&[&[1], &[0]], &[(25, 15), (5, 15)]);
        let expected = Requests {
            offered: 30,
            served: 20,
            refused_here: 10,
            ..Requests::default()
        };
        assert_eq!(step(&instance, StrategyA::Base), expected);
    }

    #[test]
    fn static_sends_the_excess_in_proportion_to_the_limits() {
        // Node 0 has 60 too much. Of its neighbours 1 has room for 90 and 2 for 30, 3 is full, 4 lacks the function. All the limits
        // are divided by the same number, as all see the same nodes: three quarters go to 1. The draw keeps near.
        let links: [&[usize]; 5] = [&[1, 2, 3, 4], &[0], &[0], &[0], &[0]];
        let instance = world(&links, &[(100, 40), (10, 100), (70, 100), (50, 50), (0, 0)]);
        let requests = step(&instance, StrategyA::DfaasStatic);
        assert_eq!((requests.offered, requests.forwarded), (230, 60));
        assert_eq!(requests.served, 230);
        let mut step = Step {
            neighbours: &instance.neighbours,
            strategy: StrategyA::DfaasStatic,
            rng: ChaCha8Rng::seed_from_u64(1),
            weights: Vec::new(),
            incoming: vec![0; 5],
        };
        step.weigh(&instance.minutes[0], 0, Function::Funca);
        assert_eq!(step.weights, [30.0, 10.0, 0.0, 0.0]);
    }

    #[test]
    fn static_and_empirical_refuse_what_no_neighbour_has_room_for_and_random_does_not_look() {
        let links: [&[usize]; 3] = [&[1, 2], &[0], &[0]];
        let instance = world(&links, &[(25, 15), (15, 15), (0, 0)]);
        for strategy in [StrategyA::DfaasStatic, StrategyA::Empirical] {
            let requests = step(&instance, strategy);
            assert_eq!((requests.refused_here, requests.forwarded), (10, 0));
        }
        let requests = step(&instance, StrategyA::Random);
        assert_eq!((requests.forwarded, requests.refused_there), (10, 10));
    }

    #[test]
    fn empirical_prefers_whom_the_metrics_prefer() {
        // Without measurements five of the eight metrics are equal, and the replicas are. Margins are 90 and 10, and the inverse loads
        // 100 / 10 and 100 / 90: 0.9 of each to node 1, so that its weight is 6 / 2 + 1.8 of 8.
        let links: [&[usize]; 3] = [&[1, 2], &[0], &[0]];
        let instance = world(&links, &[(100, 10), (10, 100), (90, 100)]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut sum, draws) = ([0.0; 2], 4000);
        for _ in 0..draws {
            let helpers = Helpers {
                nodes: &instance.minutes[0],
                neighbours: &instance.neighbours[0],
                function: Function::Funca,
            };
            let mut weights = Vec::new();
            helpers.weigh(&mut weights, &mut rng);
            // A weight is shaken by 0.4 of it at most.
            assert!((4.8 * 0.6..=4.8 * 1.4).contains(&weights[0]), "{weights:?}");
            sum[0] += weights[0];
            sum[1] += weights[1];
        }
        // Noise of mean 0 with a standard deviation of 0.18 of a weight.
        let mean = sum.map(|sum| sum / f64::from(draws));
        assert!((mean[0] - 4.8).abs() < 0.06, "{mean:?}");
        assert!((mean[1] - 3.2).abs() < 0.04, "{mean:?}");
    }

    #[test]
    fn a_bound_makes_room_only_where_anything_may_be_sent() {
        // A row: the first has 60 too much, the second 10 left, the third 100.
        let instance = world(&[&[1], &[0, 2], &[1]], &[(100, 40), (30, 40), (0, 100)]);
        assert_eq!(
            bound(&instance, Sendable::Excess)[0][0].served,
            40 + 30 + 10
        );
        assert_eq!(
            bound(&instance, Sendable::Anything)[0][0].served,
            40 + 40 + 30
        );
    }

    #[test]
    fn every_request_is_served_or_refused_and_none_is_above_the_bound() {
        for seed in 0..40 {
            let instance = super::super::draw_a::draw(3 + seed as usize, 0.15, seed);
            let bounds = bound(&instance, Sendable::Excess);
            let anything = bound(&instance, Sendable::Anything);
            for strategy in StrategyA::ALL {
                let run = run(&instance, strategy, seed);
                for (minute, requests) in run.iter().enumerate() {
                    for (function, r) in requests.iter().enumerate() {
                        let what = format!("seed {seed}, {strategy:?}, minute {minute}");
                        assert_eq!(
                            r.served + r.refused_here + r.refused_there,
                            r.offered,
                            "{what}"
                        );
                        let bound = bounds[minute][function];
                        assert_eq!(bound.offered, r.offered, "{what}");
                        assert!(r.served <= bound.served, "{what}");
                        assert!(bound.served <= anything[minute][function].served, "{what}");
                    }
                }
            }
        }
    }
}
