//! `dfaas lab`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::Scenario;
use tokio::signal::unix::{SignalKind, signal};

use super::table::table;
use crate::lab;
use crate::lab::compare::{Comparison, compare};

/// Runs scenarios of the simulator with real agents on this machine, and sets both side by side.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas lab run lab-hot-spot --out /tmp/lab
  dfaas-sim run lab-hot-spot --csv /tmp/sim
  dfaas lab compare /tmp/lab /tmp/sim")]
pub(super) struct Lab {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
    Compare(Compare),
}

/// Starts the nodes of a scenario as agents, joins them through relays that delay and cut, brings them the scenario's calls in
/// real time, and writes the report that the simulator writes.
#[derive(Args, Debug)]
struct Run {
    /// A scenario's file, or the name of a shipped one (`dfaas-sim list`).
    scenario: String,
    /// Writes totals.csv, nodes.csv and intervals.csv into this directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The seed, instead of the scenario's own.
    #[arg(long)]
    seed: Option<u64>,
    /// The strategy, instead of the scenario's own.
    #[arg(long)]
    strategy: Option<StrategyName>,
    /// Changes a value, such as nodes.count=5 or duration_s=10; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Gives each agent a network of its own, a Linux network namespace; needs root and iproute2.
    #[arg(long)]
    netns: bool,
    /// Prints the whole report as JSON.
    #[arg(long)]
    json: bool,
}

/// Compares a run of the lab with one of the simulator, and fails if they do not agree: share served within 2 points, forwards a
/// call within 5 points, p95 within 15 %.
#[derive(Args, Debug)]
struct Compare {
    /// The directory that `dfaas lab run --out` wrote.
    lab: PathBuf,
    /// The directory that `dfaas-sim run --csv` wrote, with the same scenario, seed and strategy.
    sim: PathBuf,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Lab {
    /// # Errors
    /// If there is no run or comparison; the exit code is 1 for runs that do not agree.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Run(run) => run.run().map(|()| ExitCode::SUCCESS),
            Command::Compare(compare) => compare.run(),
        }
    }
}

impl Run {
    fn run(&self) -> anyhow::Result<()> {
        let mut changes = self.set.clone();
        changes.extend(self.seed.map(|seed| format!("seed={seed}")));
        let experiment = Scenario::load(&self.scenario, &changes)?.draw()?;
        let strategy = self.strategy.unwrap_or(experiment.strategy);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let name = experiment.name.clone();
        let is_terminal = std::io::stderr().is_terminal();
        let progress = move |text: &str| {
            if is_terminal {
                eprint!("\r\x1b[K{name}: {text}");
            }
        };
        let report: Report = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            // Whichever way this ends, the agents are dropped and with them their processes and files.
            tokio::select! {
                report = lab::run(experiment, strategy, self.netns, progress) => report,
                _ = terminate.recv() => bail!("terminated; every agent was stopped"),
                _ = interrupt.recv() => bail!("interrupted; every agent was stopped"),
            }
        })?;
        if is_terminal {
            eprint!("\r\x1b[K");
        }
        report.write_csv(&self.out)?;
        if self.json {
            return print_json(&report);
        }
        super::print(&format!("{}\n", report.table()))
    }
}

impl Compare {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let comparison = compare(&self.lab, &self.sim)?;
        if self.json {
            print_json(&comparison)?;
        } else {
            super::print(&render(&comparison))?;
        }
        Ok(match comparison.agree {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out).context("cannot write to standard output")
}

fn render(comparison: &Comparison) -> String {
    let of_one = |value: f64, is_relative: bool| match is_relative {
        true => format!("{:+.1} %", value * 100.0),
        false => format!("{value:+.4}"),
    };
    let rows = comparison
        .figures
        .iter()
        .map(|figure| {
            let allowed = |tolerance| of_one(tolerance, figure.is_relative).replace('+', "");
            [
                figure.name.to_owned(),
                format!("{:.4}", figure.lab),
                format!("{:.4}", figure.sim),
                of_one(figure.difference, figure.is_relative),
                figure.tolerance.map_or_else(String::new, allowed),
                match (figure.tolerance, figure.agrees) {
                    (None, _) => "",
                    (_, true) => "agrees",
                    (_, false) => "DIFFERS",
                }
                .to_owned(),
            ]
        })
        .collect();
    let header = [
        "FIGURE",
        ">LAB",
        ">SIMULATOR",
        ">DIFFERENCE",
        ">ALLOWED",
        "",
    ];
    format!(
        "{}, seed {}, {}\n{}",
        comparison.scenario,
        comparison.seed,
        comparison.strategy,
        table(header, rows)
    )
}
