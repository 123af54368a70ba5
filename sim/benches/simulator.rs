//! How fast the simulator is: events a second, the cost of a call by the number of nodes, and how large a run may be.
//!
//! `cargo bench -p dfaas-sim --bench simulator -- [--rounds N] [--large] [--instructions]`; `--large` adds the runs of ten million
//! calls and of a hundred thousand nodes. A figure is the median over the rounds, of which each runs every case once.
//!
//! The seconds of a run are all of it. A call in the run is what it costs once each node has heard its neighbours, until the last
//! telling of the progress: so without the time in which the nodes are made, hear each other for the first time and are taken down again, which
//! a longer run has once, too.
//!
//! With `--instructions` callgrind counts instead. A call's instructions are what a longer run has more than a shorter one, by the
//! calls that it has more. They are the same in each try, and know nothing of how long memory takes.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
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
    /// Count the instructions of a call by callgrind, of valgrind, in place of all else
    #[arg(long)]
    instructions: bool,
    /// One run of so many nodes and seconds, which is told by its calls
    #[arg(long, hide = true, num_args = 2, value_names = ["NODES", "SECONDS"])]
    alone: Option<Vec<usize>>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// By then each node has heard the first offers of its neighbours, which take ten milliseconds at most.
const HEARD: Time = Time::from_nanos(20_000_000);

const POLICY: Policy = Policy::Strategy(StrategyName::Headroom);

struct Case {
    name: &'static str,
    experiment: Experiment,
    took: Vec<Duration>,
    /// Seconds that an event took of those after the first offers.
    event: Vec<f64>,
    events: u64,
    calls: u64,
}

/// A random graph with eight neighbours a node, 30 % of the nodes at twice their capacity.
fn experiment(nodes: usize, seconds: f64) -> anyhow::Result<Experiment> {
    let changes = [
        format!("nodes.count={nodes}"),
        format!("topology.p={:?}", 6.0 / nodes as f64),
        format!("duration_s={seconds:?}"),
    ];
    Ok(Scenario::load("grid", &changes)?.draw()?)
}

fn case(name: &'static str, nodes: usize, seconds: f64) -> anyhow::Result<Case> {
    Ok(Case {
        name,
        experiment: experiment(nodes, seconds)?,
        took: Vec::new(),
        event: Vec::new(),
        events: 0,
        calls: 0,
    })
}

impl Case {
    fn measure(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut tellings: Vec<Duration> = Vec::new();
        let mut told = |now| {
            if now >= HEARD {
                tellings.push(began.elapsed());
            }
        };
        let report = run(&self.experiment, POLICY, &mut told)?;
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

/// The calls of a run that callgrind watches, and the instructions of all of it.
fn watched(nodes: usize, seconds: u32) -> anyhow::Result<(u64, u64)> {
    let directory = tempfile::tempdir()?;
    let counts = directory.path().join("counts");
    let done = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe()?)
        .args(["--alone", &nodes.to_string(), &seconds.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("install valgrind to have instructions counted")?;
    ensure!(done.status.success(), "the run under callgrind failed");
    let calls = String::from_utf8(done.stdout)?.trim().parse()?;
    let counts = std::fs::read_to_string(counts)?;
    let totals = counts.lines().find_map(|line| line.strip_prefix("totals:"));
    let totals = totals.context("callgrind wrote no totals")?;
    Ok((calls, totals.trim().parse()?))
}

fn instructions() -> anyhow::Result<Table> {
    let mut table = table(["nodes", "calls", "instructions a call"]);
    for (nodes, seconds) in [(100, [20, 40]), (1_000, [2, 4]), (10_000, [1, 2])] {
        let [short, long] = seconds.map(|seconds| watched(nodes, seconds));
        let (short, long) = (short?, long?);
        let (calls, instructions) = (long.0 - short.0, long.1 - short.1);
        table.add_row([nodes as u64, calls, instructions / calls]);
    }
    Ok(table)
}

fn table<const COLUMNS: usize>(header: [&'static str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some([nodes, seconds]) = arguments.alone.as_deref() {
        let experiment = experiment(*nodes, *seconds as f64)?;
        let report = run(&experiment, POLICY, &mut |_| {})?;
        println!("{}", report.totals.offered);
        return Ok(());
    }
    if arguments.instructions {
        println!("{}", instructions()?);
        return Ok(());
    }
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
    let mut table = table([
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
