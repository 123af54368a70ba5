//! Randomness that is the same on every machine: ChaCha streams of one seed, and logarithms that do not depend on the
//! system's mathematics library.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The independent rows of randomness of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Nodes and links.
    Network,
    /// The load over time.
    Load,
    /// When each node first plans.
    Phases,
    /// What happens on links: jitter and losses.
    Links,
    /// Arrivals and service times of a source of calls: the same whatever the strategy.
    Source(usize),
    /// Decisions of a node.
    Decisions(usize),
    /// What the nodes' clocks do.
    Clocks,
}

impl Stream {
    /// The row of that seed.
    pub fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            Stream::Network => 0,
            Stream::Load => 1,
            Stream::Phases => 2,
            Stream::Links => 3,
            Stream::Source(source) => 4 + 2 * source as u64,
            Stream::Decisions(node) => 5 + 2 * node as u64,
            Stream::Clocks => u64::MAX,
        });
        rng
    }
}

/// Exponentially distributed with that mean.
pub fn exponential(mean: f64, rng: &mut impl Rng) -> f64 {
    let uniform: f64 = rng.random();
    -mean * libm::log(1.0 - uniform)
}

/// Normally distributed with mean 0 and standard deviation 1 (Box and Muller).
pub fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, turn): (f64, f64) = (rng.random(), rng.random());
    libm::sqrt(-2.0 * libm::log(1.0 - radius)) * libm::cos(std::f64::consts::TAU * turn)
}
