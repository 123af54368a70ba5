//! How long the reference's worlds take: 100 nodes, seven minutes, four strategies of the first simulator, which take the
//! reference 7.1 s, and a prediction of the second one's models where they are at hand.
//!
//! `cargo bench -p dfaas-sim --bench reference -- [MODELS]`, with the directory of the models.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use dfaas_sim::reference::draw_a::draw;
use dfaas_sim::reference::import::read_models;
use dfaas_sim::reference::indices::IndicesA;
use dfaas_sim::reference::instance_b::{FUNCTIONS, NodeType};
use dfaas_sim::reference::step_a::{self, Sendable, StrategyA};

const ROUNDS: usize = 101;

fn main() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let instance = draw(100, 0.1, 1);
    let strategies = median(|| {
        for strategy in StrategyA::ALL {
            black_box(IndicesA::of(&step_a::run(&instance, strategy, 1)));
        }
    });
    writeln!(
        out,
        "100 nodes, 7 minutes, 4 strategies: {:.3} ms",
        strategies.as_secs_f64() * 1e3
    )?;
    let bound = median(|| {
        black_box(IndicesA::of(&step_a::bound(&instance, Sendable::Excess)));
    });
    writeln!(out, "their bound: {:.3} ms", bound.as_secs_f64() * 1e3)?;

    // Cargo adds `--bench`.
    if let Some(directory) = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
    {
        let models = read_models(Path::new(&directory))?;
        const ROWS: u64 = 1000;
        let predictions = median(|| {
            for row in 0..ROWS {
                let rates = std::array::from_fn::<_, { FUNCTIONS.len() }, _>(|f| {
                    row * 7 % (40 + 10 * f as u64)
                });
                black_box(models.power(NodeType::Mid, &rates));
            }
        });
        let micros = predictions.as_secs_f64() * 1e6 / ROWS as f64;
        writeln!(out, "a prediction of power: {micros:.2} µs")?;
    }
    Ok(())
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}
