//! The command line. One file a command.

mod bound;
mod compare;
mod list;
mod parquet;
mod progress;
mod run;
mod sweep;

use std::path::Path;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use dfaas_sim::reference::import::Import;
use dfaas_sim::scenario::{Scenario, ScenarioError};

#[derive(Parser)]
#[command(
    name = "dfaas-sim",
    version,
    about = "Drives the decisions of dfaas in virtual time"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario once, and report what it came to
    Run(run::Run),
    /// Run strategies on the same experiments over several seeds, and compare them
    Compare(compare::Compare),
    /// Run a grid of variants, strategies and seeds, and go on where it was stopped
    Sweep(sweep::Sweep),
    /// Print what could be served at most
    Bound(bound::Bound),
    /// List the scenarios that come with the program
    List(list::List),
    /// Run an instance of the reference's simulators, minute by minute as they do, and print their indices
    Import(Import),
}

/// The scenario, and what is changed of it.
#[derive(Args)]
struct Chosen {
    /// A scenario's file, or the name of a shipped one (`dfaas-sim list`)
    scenario: String,
    /// Change a value, such as nodes.count=50 or load.0.shape.share=0.5; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The seed, instead of the scenario's own
    #[arg(long)]
    seed: Option<u64>,
}

impl Chosen {
    fn load(&self) -> Result<Scenario, ScenarioError> {
        let mut changes = self.set.clone();
        changes.extend(self.seed.map(|seed| format!("seed={seed}")));
        Scenario::load(&self.scenario, &changes)
    }

    /// What to type for the same scenario, and then `more`.
    fn command(&self, verb: &str, more: &[String]) -> String {
        let mut words = vec![
            "dfaas-sim".to_owned(),
            verb.to_owned(),
            self.scenario.clone(),
        ];
        for change in &self.set {
            words.extend(["--set".to_owned(), change.clone()]);
        }
        if let Some(seed) = self.seed {
            words.extend(["--seed".to_owned(), seed.to_string()]);
        }
        let words = words.iter().chain(more).map(|word| quoted(word));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+".contains(c);
    if word.chars().all(plain) && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Writes a page into a file.
fn write_page(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))
}

fn pool(threads: Option<usize>) -> anyhow::Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build()
        .context("the threads cannot be started; give fewer with --threads")
}

pub(crate) fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(run) => run.execute(),
        Command::Compare(compare) => compare.execute(),
        Command::Sweep(sweep) => sweep.execute(),
        Command::Bound(bound) => bound.execute(),
        Command::List(list) => list.execute(),
        Command::Import(import) => import.run(&mut std::io::stdout().lock()),
    }
}
