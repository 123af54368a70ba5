//! `dfaas-sim`: compares strategies in virtual time.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::reference::import::Import;
use dfaas_sim::scenario::Scenario;
use dfaas_sim::world::compare;

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
    /// Run strategies on the same random network with the same calls, and compare what they serve
    Compare(Compare),
    /// Run an instance of the reference's simulators, minute by minute as they do, and print their indices
    Import(Import),
}

#[derive(Args)]
struct Compare {
    /// Number of nodes
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    nodes: usize,
    /// Probability of a link between two nodes, beside those that keep the graph connected
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    edge_probability: f64,
    /// Share of nodes at twice their capacity
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    hot: f64,
    /// Seconds after which the load is drawn anew
    #[arg(long, default_value = "30", value_parser = seconds)]
    redraw: Duration,
    /// Seconds for which clients bring calls
    #[arg(long, default_value = "120", value_parser = seconds)]
    seconds: Duration,
    /// Seconds from one plan of recalc to the next; the other strategies plan every second
    #[arg(long, default_value = "5", value_parser = seconds)]
    period: Duration,
    /// Seed of all randomness: the same seed gives the same output
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Strategies to compare
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "headroom,recalc,static,all-local"
    )]
    strategies: Vec<StrategyName>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a whole number from 1".to_owned()),
        Ok(n) => Ok(n),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "give a number from 0 to 1".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| (0.1..=1e6).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give seconds from 0.1 to 1000000".to_owned())
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Compare(args) => run_comparison(&args),
        Command::Import(args) => args.run(&mut io::stdout().lock()),
    }
}

fn run_comparison(args: &Compare) -> anyhow::Result<()> {
    let scenario = Scenario {
        nodes: args.nodes,
        edge_probability: args.edge_probability,
        hot: args.hot,
        redraw: args.redraw,
        duration: args.seconds,
        recalc_period: args.period,
        seed: args.seed,
    };
    let comparison = compare(&scenario, &args.strategies)?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &comparison)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", comparison.table())?;
    }
    Ok(())
}
