//! Random instances of world A, for want of the reference's traces: its graph, its mix of nodes, and rates that rise and fall.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::capacity_law::{Function, NodeType, max_rate};
use super::instance_a::{FunctionMinute, InstanceA, NodeMinute};

/// How many minutes the reference's instances have.
const MINUTES: usize = 7;
/// How often a node has a function.
const DEPLOYED: f64 = 0.8;
/// The peak of a function's rate is drawn up to this part of what it sustains.
const HIGHEST_PEAK: f64 = 1.6;

/// An instance of so many nodes, all of it from the seed. The probability of an edge is from 0 to 1.
pub fn draw(nodes: usize, edge_probability: f64, seed: u64) -> InstanceA {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let neighbours = draw_graph(nodes, edge_probability, &mut rng);
    let mut minutes = vec![Vec::new(); MINUTES];
    for _ in 0..nodes {
        let node_type = match rng.random::<f64>() {
            x if x < 0.5 => NodeType::Weak,
            x if x < 0.8 => NodeType::Medium,
            _ => NodeType::Strong,
        };
        let deployed = Function::ALL.map(|function| {
            let replicas = rng.random_range(1..=4);
            let max_rate = max_rate(node_type, function, replicas);
            let peak = rng.random_range(0.0..HIGHEST_PEAK) * max_rate as f64;
            rng.random_bool(DEPLOYED)
                .then_some((replicas, max_rate, peak))
        });
        for (minute, nodes) in minutes.iter_mut().enumerate() {
            // Nothing at first, the peak in the middle.
            let middle = MINUTES / 2;
            let height = 1.0 - minute.abs_diff(middle) as f64 / middle as f64;
            nodes.push(NodeMinute {
                functions: deployed.map(|deployed| {
                    deployed.map(|(replicas, max_rate, peak)| FunctionMinute {
                        rate: (height * peak).round() as u64,
                        max_rate,
                        replicas,
                        execution: 0.0,
                        usage: [0.0; 2],
                    })
                }),
                usage: [0.0; 2],
            });
        }
    }
    InstanceA {
        neighbours,
        minutes,
    }
}

/// One edge from each node but the last to a later one, so that the graph is connected, and each other with the probability.
fn draw_graph(nodes: usize, edge_probability: f64, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); nodes];
    for a in 0..nodes.saturating_sub(1) {
        let certain = rng.random_range(a + 1..nodes);
        for b in a + 1..nodes {
            if rng.random_bool(edge_probability) || b == certain {
                neighbours[a].push(b);
                neighbours[b].push(a);
            }
        }
    }
    neighbours
}
