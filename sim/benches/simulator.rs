//! How fast the simulator is: events a second, the cost of a call by the number of nodes, and how large a run may be.
//!
//! `cargo bench -p dfaas-sim --bench simulator -- [--rounds N] [--large]`; `--large` adds the runs of ten million calls and of
//! a hundred thousand nodes. A figure is the median over the rounds, of which each runs every case once.
//!
//! The seconds of a run are all of it. A call in the run is what it costs once each node has heard its neighbours, until the last
//! telling of the progress: so without the time in which the nodes are made, hear each other for the first time and are taken down again, which
//! a longer run has once, too.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use comfy_table::{Table, presets};
use dfaas_protocol::Time;
use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::engine::{PROGRESS_EVENTS, run};
use dfaas_sim::policy::Policy;
use dfaas_sim::scenario::{Experiment, Scenario};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    /// How often each case runs
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Runs of ten million calls and of a hundred thousand nodes, once
    #[arg(long)]
    large: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// By then each node has heard the first offers of its neighbours, which take ten milliseconds at most.
const HEARD: Time = Time::from_nanos(20_000_000);

struct Case {
    name: &'static str,
    experiment: Experiment,
    took: Vec<Duration>,
    /// Seconds that an event took of those after the first offers.
    event: Vec<f64>,
    events: u64,
    calls: u64,
}

/// Random graphs with eight neighbours a node, 30 % of the nodes at twice their capacity.
fn case(name: &'static str, nodes: usize, seconds: f64) -> anyhow::Result<Case> {
    let changes = [
        format!("nodes.count={nodes}"),
        format!("topology.p={:?}", 6.0 / nodes as f64),
        format!("duration_s={seconds:?}"),
    ];
    Ok(Case {
        name,
        experiment: Scenario::load("grid", &changes)?.draw()?,
        took: Vec::new(),
        event: Vec::new(),
        events: 0,
        calls: 0,
    })
}

impl Case {
    fn measure(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let policy = Policy::Strategy(StrategyName::Headroom);
        let mut tellings: Vec<Duration> = Vec::new();
        let mut told = |now| {
            if now >= HEARD {
                tellings.push(began.elapsed());
            }
        };
        let report = run(&self.experiment, policy, &mut told)?;
        self.took.push(began.elapsed());
        if let [first, .., last] = tellings[..] {
            let events = (tellings.len() - 1) as f64 * PROGRESS_EVENTS as f64;
            self.event.push((last - first).as_secs_f64() / events);
        }
        (self.events, self.calls) = (report.events, report.totals.offered);
        Ok(())
    }

    fn row(&mut self) -> anyhow::Result<[String; 7]> {
        self.took.sort();
        let took = self
            .took
            .get(self.took.len() / 2)
            .context("give at least one round")?;
        let seconds = took.as_secs_f64();
        self.event.sort_by(f64::total_cmp);
        let event = self.event.get(self.event.len() / 2);
        let event = event.context("a run is too short to be told of twice")?;
        let calls = self.calls.max(1) as f64;
        Ok([
            self.name.to_owned(),
            self.calls.to_string(),
            self.events.to_string(),
            format!("{seconds:.3}"),
            format!("{:.2}", self.events as f64 / seconds / 1e6),
            format!("{:.2}", seconds * 1e6 / calls),
            format!("{:.2}", event * 1e6 * self.events as f64 / calls),
        ])
    }
}

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut cases = vec![
        case("100 nodes", 100, 60.0)?,
        case("1,000 nodes", 1_000, 6.0)?,
        case("10,000 nodes", 10_000, 2.0)?,
    ];
    for _ in 0..arguments.rounds {
        for case in &mut cases {
            case.measure()?;
        }
    }
    if arguments.large {
        for mut case in [
            case("10,000 nodes, 10 million calls", 10_000, 12.3)?,
            case("100,000 nodes", 100_000, 1.0)?,
        ] {
            case.measure()?;
            cases.push(case);
        }
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "case",
        "calls",
        "events",
        "seconds",
        "million events/s",
        "µs a call",
        "µs a call in the run",
    ]);
    for case in &mut cases {
        table.add_row(case.row()?);
    }
    println!("{table}");
    Ok(())
}
