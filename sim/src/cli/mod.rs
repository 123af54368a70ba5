//! The command line. One file a command.

mod bound;
mod compare;
mod list;
mod progress;
mod run;

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
}

pub(crate) fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(run) => run.execute(),
        Command::Compare(compare) => compare.execute(),
        Command::Bound(bound) => bound.execute(),
        Command::List(list) => list.execute(),
        Command::Import(import) => import.run(&mut std::io::stdout().lock()),
    }
}
