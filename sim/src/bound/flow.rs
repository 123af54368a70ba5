//! Maximum flow (Dinic's algorithm).

use std::collections::VecDeque;

/// A graph of residual capacities. Each edge stands beside its reverse, which has the index with the last bit flipped.
pub(crate) struct Graph {
    edges: Vec<Edge>,
    leaving: Vec<Vec<usize>>,
}

struct Edge {
    to: usize,
    left: u64,
}

impl Graph {
    pub(crate) fn new(vertices: usize) -> Graph {
        Graph {
            edges: Vec::new(),
            leaving: vec![Vec::new(); vertices],
        }
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize, capacity: u64) {
        self.leaving[from].push(self.edges.len());
        self.edges.push(Edge { to, left: capacity });
        self.leaving[to].push(self.edges.len());
        self.edges.push(Edge { to: from, left: 0 });
    }

    pub(crate) fn max_flow(&mut self, source: usize, sink: usize) -> u64 {
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
    fn what_was_pushed_is_pushed_back_where_that_serves_more() {
        // 0 is the source, 5 the sink. 1 may go by 3 or 4, 2 only by 3.
        let mut graph = Graph::new(6);
        let edges = [
            (0, 1, 10),
            (0, 2, 10),
            (1, 3, 99),
            (1, 4, 99),
            (2, 3, 99),
            (3, 5, 10),
            (4, 5, 10),
        ];
        for (from, to, capacity) in edges {
            graph.connect(from, to, capacity);
        }
        assert_eq!(graph.max_flow(0, 5), 20);
    }
}
