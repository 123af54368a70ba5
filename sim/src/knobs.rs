//! What is simulated: a random graph of nodes, and load that is redrawn from time to time.

use std::collections::BTreeMap;
use std::time::Duration;

use dfaas_protocol::{Slots, Time};
use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Mean time of a call; the times are exponentially distributed.
pub const MEAN_SERVICE: Duration = Duration::from_millis(100);
/// How many calls may wait on a node.
pub const QUEUE: u32 = 8;

/// The slots that a node may have.
const SLOTS: [u32; 3] = [4, 8, 16];
/// Load of a hot node, in parts of its capacity.
const HOT_LOAD: f64 = 2.0;
/// Load of the others, likewise; uniform between these.
const COLD_LOAD: std::ops::Range<f64> = 0.2..0.6;
/// Time from one end of a link to the other, in milliseconds; uniform between these.
const LINK_DELAY_MS: std::ops::Range<f64> = 2.5..10.0;

/// The knobs of a simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many nodes; at least one.
    pub nodes: usize,
    /// The probability of a link between two nodes, from 0 to 1, beside the links that keep the graph connected.
    pub edge_probability: f64,
    /// The share of nodes at about twice their capacity, from 0 to 1.
    pub hot: f64,
    /// How long a drawn load lasts.
    pub redraw: Duration,
    /// How long clients bring calls. What is in flight then is brought to its end.
    pub duration: Duration,
    /// How often `recalc` plans. The other strategies plan every second.
    pub recalc_period: Duration,
    /// All randomness comes from it.
    pub seed: u64,
}

/// What was drawn of a scenario. It does not depend on the strategy.
#[derive(Clone, Debug)]
pub struct Network {
    /// The slots of each node.
    pub slots: Vec<Slots>,
    /// The links of each node: to which node, and how long it takes one way. The same in both directions.
    pub links: Vec<BTreeMap<usize, Duration>>,
    /// For each interval between two redraws, calls a second that clients bring to each node.
    pub load: Vec<Vec<f64>>,
}

/// The independent rows of randomness of a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Network,
    Load,
    /// Arrivals and service times at a node: the same whatever the strategy.
    Arrivals(usize),
    /// Decisions of a node.
    Decisions(usize),
}

impl Stream {
    pub(crate) fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            Stream::Network => 0,
            Stream::Load => 1,
            Stream::Arrivals(node) => 2 + 2 * node as u64,
            Stream::Decisions(node) => 3 + 2 * node as u64,
        });
        rng
    }
}

impl Scenario {
    /// Draws the network and its load.
    pub fn draw(&self) -> Network {
        let mut rng = Stream::Network.rng(self.seed);
        let slots: Vec<Slots> = (0..self.nodes)
            .filter_map(|_| Slots::new(SLOTS[rng.random_range(0..SLOTS.len())]))
            .collect();
        let links = self.draw_links(&mut rng);
        let mut rng = Stream::Load.rng(self.seed);
        let load = (0..self.intervals())
            .map(|_| self.draw_load(&slots, &mut rng))
            .collect();
        Network { slots, links, load }
    }

    /// How many loads are drawn; the last may be cut short.
    fn intervals(&self) -> u64 {
        let redraw = self.redraw.as_nanos().max(1);
        self.duration.as_nanos().div_ceil(redraw) as u64
    }

    /// How long the interval with that index lasts.
    pub(crate) fn interval_length(&self, index: usize) -> Duration {
        let start = self.interval_start(index);
        (Time::ZERO + self.duration).since(start).min(self.redraw)
    }

    fn interval_start(&self, index: usize) -> Time {
        let nanos = self.redraw.as_nanos() as u64;
        Time::from_nanos(nanos.saturating_mul(index as u64))
    }

    /// One edge from each node but the last to a later one, so that the graph is connected; then each pair with the
    /// edge probability.
    fn draw_links(&self, rng: &mut ChaCha8Rng) -> Vec<BTreeMap<usize, Duration>> {
        let n = self.nodes;
        let mut links = vec![BTreeMap::new(); n];
        let mut link = |a: usize, b: usize, rng: &mut ChaCha8Rng| {
            let delay = Duration::from_secs_f64(rng.random_range(LINK_DELAY_MS) / 1e3);
            links[a].insert(b, delay);
            links[b].insert(a, delay);
        };
        for node in 0..n.saturating_sub(1) {
            let later = rng.random_range(node + 1..n);
            link(node, later, rng);
        }
        for a in 0..n {
            for b in a + 1..n {
                if rng.random_bool(self.edge_probability) {
                    link(a, b, rng);
                }
            }
        }
        links
    }

    fn draw_load(&self, slots: &[Slots], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let hot = (self.hot * self.nodes as f64).round() as usize;
        let mut load: Vec<f64> = slots.iter().map(|_| rng.random_range(COLD_LOAD)).collect();
        for node in sample(rng, self.nodes, hot.min(self.nodes)) {
            load[node] = HOT_LOAD;
        }
        load.iter()
            .zip(slots)
            .map(|(load, slots)| load * sustained(*slots))
            .collect()
    }
}

/// Calls a second that so many slots sustain.
pub fn sustained(slots: Slots) -> f64 {
    f64::from(slots.get()) / MEAN_SERVICE.as_secs_f64()
}

/// The calls that clients bring to one node: a Poisson process whose rate changes with each interval.
#[derive(Debug)]
pub(crate) struct Arrivals {
    rng: ChaCha8Rng,
    node: usize,
    interval: usize,
    now: Time,
}

impl Arrivals {
    pub(crate) fn new(seed: u64, node: usize) -> Arrivals {
        Arrivals {
            rng: Stream::Arrivals(node).rng(seed),
            node,
            interval: 0,
            now: Time::ZERO,
        }
    }

    /// When the next call arrives and how long it will run; nothing after the last interval.
    pub(crate) fn next(
        &mut self,
        scenario: &Scenario,
        network: &Network,
    ) -> Option<(Time, Duration)> {
        while let Some(load) = network.load.get(self.interval) {
            let end =
                scenario.interval_start(self.interval) + scenario.interval_length(self.interval);
            let at = self.now + exponential(1.0 / load[self.node], &mut self.rng);
            if at < end {
                self.now = at;
                return Some((at, exponential(MEAN_SERVICE.as_secs_f64(), &mut self.rng)));
            }
            // The process has no memory, so it may begin anew with the new rate.
            self.now = end;
            self.interval += 1;
        }
        None
    }
}

fn exponential(mean_seconds: f64, rng: &mut ChaCha8Rng) -> Duration {
    let uniform: f64 = rng.random();
    Duration::from_secs_f64(-mean_seconds * (1.0 - uniform).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(nodes: usize, edge_probability: f64) -> Scenario {
        Scenario {
            nodes,
            edge_probability,
            hot: 0.3,
            redraw: Duration::from_secs(30),
            duration: Duration::from_secs(100),
            recalc_period: Duration::from_secs(5),
            seed: 1,
        }
    }

    #[test]
    fn every_node_is_reached_from_the_first() {
        for seed in 0..20 {
            let network = Scenario {
                seed,
                ..scenario(40, 0.0)
            }
            .draw();
            let mut reached = vec![0];
            let mut next = 0;
            while next < reached.len() {
                for to in network.links[reached[next]].keys() {
                    if !reached.contains(to) {
                        reached.push(*to);
                    }
                }
                next += 1;
            }
            assert_eq!(reached.len(), 40);
        }
    }

    #[test]
    fn links_have_the_same_delay_both_ways() {
        let network = scenario(30, 0.2).draw();
        for (a, links) in network.links.iter().enumerate() {
            for (b, delay) in links {
                assert_eq!(network.links[*b][&a], *delay);
                assert!((2.5..=10.0).contains(&(delay.as_secs_f64() * 1e3)));
            }
        }
    }

    #[test]
    fn the_hot_share_has_twice_its_capacity_and_the_last_interval_is_cut() {
        let scenario = scenario(50, 0.1);
        let network = scenario.draw();
        assert_eq!(network.load.len(), 4);
        assert_eq!(scenario.interval_length(3), Duration::from_secs(10));
        for load in &network.load {
            let parts = load
                .iter()
                .zip(&network.slots)
                .map(|(l, s)| l / sustained(*s));
            let (hot, cold): (Vec<f64>, Vec<f64>) = parts.partition(|part| *part > 1.0);
            assert_eq!(hot, [2.0; 15]);
            assert!(cold.iter().all(|part| (0.2..0.6).contains(part)));
        }
        assert_ne!(network.load[0], network.load[1]);
    }

    #[test]
    fn arrivals_keep_the_rate_of_each_interval() {
        let mut scenario = scenario(1, 0.0);
        scenario.duration = Duration::from_secs(60);
        let mut network = scenario.draw();
        network.load = vec![vec![100.0], vec![300.0]];
        let mut arrivals = Arrivals::new(1, 0);
        let mut counts = [0; 2];
        let mut seconds = 0.0;
        while let Some((at, service)) = arrivals.next(&scenario, &network) {
            counts[usize::from(at.since(Time::ZERO) >= scenario.redraw)] += 1;
            seconds += service.as_secs_f64();
        }
        // 3000 and 9000, with standard deviations of 55 and 95.
        assert!((2700..3300).contains(&counts[0]), "{counts:?}");
        assert!((8500..9500).contains(&counts[1]), "{counts:?}");
        let mean = seconds / f64::from(counts[0] + counts[1]);
        assert!((0.095..0.105).contains(&mean), "{mean}");
    }
}
