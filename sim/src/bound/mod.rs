//! What could be served at most.
//!
//! A node's calls may run on itself and, by how far they may go, on others; each node sustains its capacity of each
//! function, and its cores where functions share them. The calls a second that can then be served are a maximum flow from
//! where calls arrive to where they run. It is taken for each stretch of time in which no rate changes, and what is down,
//! slow or cut off then is so here too. Randomness of arrivals and service and the finite queues are left out, so a run
//! may come a little above it. Where functions of different lengths share cores, the cores are counted in calls of the
//! shortest, and the bound is a loose one.

pub(crate) mod flow;

use dfaas_protocol::Time;
use serde::Serialize;

use crate::scenario::{Experiment, Trouble};

use flow::Graph;

/// Flows are whole numbers of millionths of a call a second.
const MICRO: f64 = 1e6;
/// More stretches of time than that are thinned out to as many of the same length.
const MOST_STRETCHES: usize = 500;

/// How far calls may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nowhere: they run where they arrive.
    Here,
    /// To a neighbour.
    OneHop,
    /// As far as links lead.
    Anywhere,
}

/// Calls that could be served over a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Calls that clients bring, on average.
    pub offered: f64,
    /// Those that could be served without forwarding.
    pub no_forwarding: f64,
    /// Those that could be served if each goes one hop at most.
    pub one_hop: f64,
    /// Those that could be served if each goes as far as it likes.
    pub multi_hop: f64,
}

/// All bounds of an experiment.
pub fn bounds(experiment: &Experiment) -> Bounds {
    Bounds {
        offered: stretches(experiment).iter().map(Stretch::offered).sum(),
        no_forwarding: bound(experiment, Reach::Here),
        one_hop: bound(experiment, Reach::OneHop),
        multi_hop: bound(experiment, Reach::Anywhere),
    }
}

/// Calls of an experiment that could be served at that reach.
pub fn bound(experiment: &Experiment, reach: Reach) -> f64 {
    let stretches = stretches(experiment);
    stretches
        .iter()
        .map(|stretch| stretch.served_rate(experiment, reach) * stretch.seconds)
        .sum()
}

/// A time in which nothing changes.
struct Stretch {
    seconds: f64,
    /// Calls a second, by node and function: the node's index times the number of functions, plus the function's.
    load: Vec<f64>,
    /// How much slower each node is; nothing where it is down.
    slower: Vec<Option<f64>>,
    partitions: Vec<Vec<usize>>,
}

fn stretches(experiment: &Experiment) -> Vec<Stretch> {
    let end = Time::ZERO + experiment.duration;
    let rates = experiment.sources.iter().flat_map(|source| &source.rates);
    let faults = experiment.faults.iter();
    let mut times: Vec<Time> = rates
        .map(|rate| rate.from)
        .chain(faults.flat_map(|fault| [Some(fault.at), fault.until].into_iter().flatten()))
        .chain([Time::ZERO])
        .filter(|time| *time < end)
        .collect();
    times.sort();
    times.dedup();
    if times.len() > MOST_STRETCHES {
        let part = |n| {
            Time::ZERO
                + experiment
                    .duration
                    .mul_f64(n as f64 / MOST_STRETCHES as f64)
        };
        times = (0..MOST_STRETCHES).map(part).collect();
    }
    let ends = times.iter().skip(1).copied().chain([end]);
    let pairs: Vec<(Time, Time)> = times.iter().copied().zip(ends).collect();
    pairs
        .into_iter()
        .map(|(from, to)| stretch(experiment, from, to))
        .collect()
}

fn stretch(experiment: &Experiment, from: Time, to: Time) -> Stretch {
    let nodes = experiment.nodes.len();
    let mut slower = vec![Some(1.0); nodes];
    let mut partitions = Vec::new();
    for fault in &experiment.faults {
        if fault.at > from || fault.until.is_some_and(|until| until <= from) {
            continue;
        }
        match &fault.what {
            Trouble::Crash(node) => slower[*node] = None,
            Trouble::Slow(node, factor) => slower[*node] = slower[*node].map(|s: f64| s * factor),
            Trouble::Partition(side) => partitions.push(side.clone()),
            // Without the cordon no less can be served, so the bound holds.
            Trouble::LoseMessages(..) | Trouble::Lie(_) | Trouble::Cordon(_) => {}
        }
    }
    let functions = experiment.functions.len();
    let mut load = vec![0.0; nodes * functions];
    let middle = from + to.since(from) / 2;
    for source in &experiment.sources {
        if slower[source.node].is_some() {
            load[source.node * functions + source.function] += source.rate_at(middle);
        }
    }
    Stretch {
        seconds: to.since(from).as_secs_f64(),
        load,
        slower,
        partitions,
    }
}

impl Stretch {
    fn offered(&self) -> f64 {
        self.load.iter().sum::<f64>() * self.seconds
    }

    fn joins(&self, a: usize, b: usize) -> bool {
        let on = |side: &Vec<usize>, node| side.binary_search(&node).is_ok();
        self.slower[a].is_some()
            && self.slower[b].is_some()
            && self
                .partitions
                .iter()
                .all(|side| on(side, a) == on(side, b))
    }

    /// Calls a second that can be served.
    fn served_rate(&self, experiment: &Experiment, reach: Reach) -> f64 {
        let micro = |rate: f64| (rate * MICRO).round() as u64;
        let (nodes, functions) = (experiment.nodes.len(), experiment.functions.len());
        // 0 is the source, 1 the sink; then where calls of a function arrive, where they run, and the nodes' cores.
        let (arriving, running) = (2, 2 + nodes * functions);
        let cores = running + nodes * functions;
        let mut graph = Graph::new(cores + nodes);
        let shortest = |node: usize| {
            let there = experiment.nodes[node]
                .functions
                .iter()
                .zip(&experiment.functions);
            let means = there.filter(|(placement, _)| placement.is_some());
            means
                .map(|(_, f)| f.service.mean())
                .fold(f64::INFINITY, f64::min)
        };
        for node in 0..nodes {
            let site = &experiment.nodes[node];
            let slower = self.slower[node];
            if let (Some(shared), Some(slower)) = (site.cores, slower) {
                let most = shared * site.speed / slower / shortest(node);
                graph.connect(cores + node, 1, micro(most));
            }
            for function in 0..functions {
                let place = node * functions + function;
                let load = self.load[place];
                graph.connect(0, arriving + place, micro(load));
                graph.connect(arriving + place, running + place, u64::MAX);
                let capacity = slower.map_or(0.0, |s| self.capacity(experiment, node, function, s));
                let to = if site.cores.is_some() {
                    cores + node
                } else {
                    1
                };
                graph.connect(running + place, to, micro(capacity));
                // Those that go on pass through where calls arrive; of those that do not, nobody needs an edge who is
                // brought nothing.
                if reach == Reach::Here || (reach == Reach::OneHop && load <= 0.0) {
                    continue;
                }
                for neighbour in experiment.links.neighbours(node) {
                    let neighbour = *neighbour as usize;
                    if self.joins(node, neighbour) {
                        let side = if reach == Reach::OneHop {
                            running
                        } else {
                            arriving
                        };
                        let to = side + neighbour * functions + function;
                        graph.connect(arriving + place, to, u64::MAX);
                    }
                }
            }
        }
        graph.max_flow(0, 1) as f64 / MICRO
    }

    /// Calls of a function a second that a node sustains; a rate does not change with how slow it is.
    fn capacity(&self, experiment: &Experiment, node: usize, function: usize, slower: f64) -> f64 {
        let rate = experiment.sustained(node, function);
        let placement = experiment.nodes[node].functions[function];
        let is_rate = placement.is_some_and(|placement| {
            matches!(placement.capacity, dfaas_protocol::Capacity::Rate(_))
        });
        if is_rate { rate } else { rate / slower }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::Scenario;

    /// Nodes of those capacities and loads, linked in that way.
    fn served(nodes: &[(f64, f64)], links: &[(usize, usize)], reach: Reach) -> f64 {
        let name = |node: &usize| format!("'n{node}'");
        let links: Vec<String> = links
            .iter()
            .map(|(a, b)| format!("{{from={},to={}}}", name(a), name(b)))
            .collect();
        let groups: Vec<String> = nodes
            .iter()
            .enumerate()
            .map(|(node, (capacity, _))| format!("{{name='n{node}',rate={capacity:?}}}"))
            .collect();
        let load: Vec<String> = nodes
            .iter()
            .enumerate()
            .map(|(node, (_, load))| {
                format!("{{nodes=['n{node}'],shape={{kind='constant',rate={load:?}}}}}")
            })
            .collect();
        let text = format!(
            "name='a'\npurpose='b'\nduration_s=1\nnodes={{groups=[{}]}}\n\
             functions=[{{name='f',service={{kind='constant',mean_ms=1}}}}]\n\
             topology={{kind='list',links=[{}]}}\nload=[{}]",
            groups.join(","),
            links.join(","),
            load.join(",")
        );
        let scenario = Scenario::parse("a test", &text, &[], Path::new(".")).unwrap();
        bound(&scenario.draw().unwrap(), reach)
    }

    #[test]
    fn alone_a_node_serves_its_capacity_at_most() {
        let nodes = [(40.0, 50.0), (40.0, 10.0)];
        assert_eq!(served(&nodes, &[(0, 1)], Reach::Here), 50.0);
        assert_eq!(served(&nodes, &[(0, 1)], Reach::OneHop), 60.0);
    }

    #[test]
    fn neighbours_serve_what_is_left_and_nobody_serves_two_hops_away() {
        // A row of four: the first is over its capacity by 60, the second has 10 left, the others 100 each.
        let nodes = [(40.0, 100.0), (40.0, 30.0), (100.0, 0.0), (100.0, 0.0)];
        let links = [(0, 1), (1, 2), (2, 3)];
        // The second makes all its 40 free for the first, as the third takes its 30.
        assert_eq!(served(&nodes, &links, Reach::OneHop), 40.0 + 40.0 + 30.0);
        assert_eq!(served(&nodes, &links, Reach::Anywhere), 130.0);
    }

    #[test]
    fn it_is_the_smallest_cut() {
        // For each set of sources, what they can bring is at most the capacity that they reach, and the rest at most what
        // arrives there; the smallest such sum is the flow.
        let nodes = [
            (40.0, 70.0),
            (40.0, 5.0),
            (30.0, 90.0),
            (50.0, 20.0),
            (20.0, 33.0),
        ];
        let links = [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)];
        let are_linked = |a, b| links.contains(&(a, b)) || links.contains(&(b, a));
        let cut = |cut_off: u32| -> f64 {
            let is_in = |node: usize| cut_off >> node & 1 == 1;
            let arrives: f64 = (0..5).filter(|n| !is_in(*n)).map(|n| nodes[n].1).sum();
            let reached = |n: usize| (0..5).any(|m| is_in(m) && (m == n || are_linked(n, m)));
            let capacity: f64 = (0..5).filter(|n| reached(*n)).map(|n| nodes[n].0).sum();
            arrives + capacity
        };
        let smallest = (0..32).map(cut).fold(f64::INFINITY, f64::min);
        assert_eq!(served(&nodes, &links, Reach::OneHop), smallest);
    }
}
