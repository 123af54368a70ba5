//! What could be served at most: the one-hop bound.
//!
//! A node's calls may run on itself and on its neighbours, and each node sustains its capacity. The calls a second that can
//! then be served are a maximum flow from the nodes as sources to the nodes as sinks (Dinic's algorithm). Randomness of
//! arrivals and service and the finite queues are left out, so a run may come a little above it.

use std::collections::VecDeque;

use crate::scenario::{Network, Scenario, sustained};

/// Flows are whole numbers of millionths of a call a second.
const MICRO: f64 = 1e6;

/// Calls that could be served in a scenario, with each call sent one hop at most.
pub fn one_hop(scenario: &Scenario, network: &Network) -> f64 {
    let links: Vec<Vec<usize>> = network
        .links
        .iter()
        .map(|links| links.keys().copied().collect())
        .collect();
    over_time(scenario, network, &links)
}

/// Calls that could be served in a scenario without forwarding.
pub fn no_forwarding(scenario: &Scenario, network: &Network) -> f64 {
    over_time(scenario, network, &vec![Vec::new(); network.slots.len()])
}

fn over_time(scenario: &Scenario, network: &Network, links: &[Vec<usize>]) -> f64 {
    let capacities: Vec<f64> = network.slots.iter().map(|s| sustained(*s)).collect();
    network
        .load
        .iter()
        .enumerate()
        .map(|(interval, load)| {
            let seconds = scenario.interval_length(interval).as_secs_f64();
            served_rate(load, &capacities, links) * seconds
        })
        .sum()
}

/// Calls a second that can be served of `load`, by nodes of those capacities with those neighbours.
pub(crate) fn served_rate(load: &[f64], capacities: &[f64], links: &[Vec<usize>]) -> f64 {
    let n = load.len();
    let micro = |rate: f64| (rate * MICRO).round() as u64;
    // 0 is the source, 1 the sink; then the nodes where calls arrive, then the nodes where they run.
    let (arriving, running) = (|node: usize| 2 + node, |node: usize| 2 + n + node);
    let mut graph = Graph::new(2 + 2 * n);
    for node in 0..n {
        graph.connect(0, arriving(node), micro(load[node]));
        graph.connect(arriving(node), running(node), u64::MAX);
        for neighbour in &links[node] {
            graph.connect(arriving(node), running(*neighbour), u64::MAX);
        }
        graph.connect(running(node), 1, micro(capacities[node]));
    }
    graph.max_flow(0, 1) as f64 / MICRO
}

/// A graph of residual capacities. Each edge stands beside its reverse, which has the index with the last bit flipped.
struct Graph {
    edges: Vec<Edge>,
    leaving: Vec<Vec<usize>>,
}

struct Edge {
    to: usize,
    left: u64,
}

impl Graph {
    fn new(vertices: usize) -> Graph {
        Graph {
            edges: Vec::new(),
            leaving: vec![Vec::new(); vertices],
        }
    }

    fn connect(&mut self, from: usize, to: usize, capacity: u64) {
        self.leaving[from].push(self.edges.len());
        self.edges.push(Edge { to, left: capacity });
        self.leaving[to].push(self.edges.len());
        self.edges.push(Edge { to: from, left: 0 });
    }

    fn max_flow(&mut self, source: usize, sink: usize) -> u64 {
        let mut flow = 0;
        loop {
            let levels = self.levels(source);
            if levels[sink].is_none() {
                return flow;
            }
            let mut next = vec![0; self.leaving.len()];
            loop {
                let pushed = self.push(source, sink, u64::MAX, &levels, &mut next);
                if pushed == 0 {
                    break;
                }
                flow += pushed;
            }
        }
    }

    /// Edges from the source to each vertex, over those that have something left.
    fn levels(&self, source: usize) -> Vec<Option<u32>> {
        let mut levels = vec![None; self.leaving.len()];
        levels[source] = Some(0);
        let mut queue = VecDeque::from([(source, 0)]);
        while let Some((vertex, level)) = queue.pop_front() {
            for edge in &self.leaving[vertex] {
                let Edge { to, left } = self.edges[*edge];
                if left > 0 && levels[to].is_none() {
                    levels[to] = Some(level + 1);
                    queue.push_back((to, level + 1));
                }
            }
        }
        levels
    }

    /// Pushes up to `most` along one path of growing levels. `next` remembers the edges that lead nowhere any more.
    fn push(
        &mut self,
        vertex: usize,
        sink: usize,
        most: u64,
        levels: &[Option<u32>],
        next: &mut [usize],
    ) -> u64 {
        if vertex == sink {
            return most;
        }
        while let Some(&edge) = self.leaving[vertex].get(next[vertex]) {
            let Edge { to, left } = self.edges[edge];
            let is_ahead = levels[vertex].map(|level| level + 1) == levels[to];
            if left > 0 && is_ahead {
                let pushed = self.push(to, sink, most.min(left), levels, next);
                if pushed > 0 {
                    self.edges[edge].left -= pushed;
                    let back = &mut self.edges[edge ^ 1].left;
                    *back = back.saturating_add(pushed);
                    return pushed;
                }
            }
            next[vertex] += 1;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_a_node_serves_its_capacity_at_most() {
        let rate = served_rate(&[50.0, 10.0], &[40.0, 40.0], &[vec![], vec![]]);
        assert_eq!(rate, 50.0);
    }

    #[test]
    fn neighbours_serve_what_is_left_and_nobody_serves_two_hops_away() {
        // A row of three: the first is over its capacity by 60, the second has 10 left, the third 100.
        let links = [vec![1], vec![0, 2], vec![1]];
        let rate = served_rate(&[100.0, 30.0, 0.0], &[40.0, 40.0, 100.0], &links);
        // The second makes all its 40 free for the first, as the third takes its 30.
        assert_eq!(rate, 40.0 + 40.0 + 30.0);
    }

    #[test]
    fn what_was_pushed_is_pushed_back_where_that_serves_more() {
        // Both may use the third, only the first may use the fourth.
        let links = [vec![2, 3], vec![2], vec![0, 1], vec![0]];
        let capacities = [0.0, 0.0, 10.0, 10.0];
        assert_eq!(
            served_rate(&[10.0, 10.0, 0.0, 0.0], &capacities, &links),
            20.0
        );
    }

    #[test]
    fn it_is_the_smallest_cut() {
        // For each set of sources, what they can bring is at most the capacity that they reach, and the rest at most what
        // arrives there; the smallest such sum is the flow.
        let links = [vec![1, 4], vec![0, 2], vec![1, 3], vec![2, 4], vec![0, 3]];
        let load = [70.0, 5.0, 90.0, 20.0, 33.0];
        let capacities = [40.0, 40.0, 30.0, 50.0, 20.0];
        let cut = |cut_off: u32| -> f64 {
            let is_in = |node: usize| cut_off >> node & 1 == 1;
            let arrives: f64 = (0..5).filter(|n| !is_in(*n)).map(|n| load[n]).sum();
            let reached = |n: usize| is_in(n) || links[n].iter().any(|m| is_in(*m));
            let capacity: f64 = (0..5).filter(|n| reached(*n)).map(|n| capacities[n]).sum();
            arrives + capacity
        };
        let smallest = (0..32).map(cut).fold(f64::INFINITY, f64::min);
        assert_eq!(served_rate(&load, &capacities, &links), smallest);
    }
}
