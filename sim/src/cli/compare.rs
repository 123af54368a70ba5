//! `dfaas-sim compare`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use clap::Args;
use dfaas_sim::compare::compare;
use dfaas_sim::page::{About, of_comparison};
use dfaas_sim::policy::Policy;

use super::Chosen;
use super::progress::Progress;

#[derive(Args)]
pub(super) struct Compare {
    #[command(flatten)]
    chosen: Chosen,
    /// What to compare, separated by commas; everything that there is, if it is left out
    #[arg(long, value_delimiter = ',')]
    strategies: Vec<Policy>,
    /// How many seeds, from the scenario's own on
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// How many threads; one for each core, if it is left out
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Write a page to read into this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Compare {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let scenario = self.chosen.load()?;
        let policies = match &self.strategies[..] {
            [] => Policy::all().collect(),
            some => some.to_vec(),
        };
        let progress = Progress::new(&scenario.name);
        let count = AtomicU64::new(0);
        let pool = super::pool(self.threads)?;
        let comparison = pool.install(|| {
            compare(&scenario, &policies, self.seeds, &|of| {
                progress.at(count.fetch_add(1, Relaxed) + 1, of);
            })
        })?;
        drop(progress);
        if let Some(path) = &self.html {
            let names: Vec<String> = policies.iter().map(Policy::to_string).collect();
            let more = [
                format!("--strategies={}", names.join(",")),
                format!("--seeds={}", self.seeds),
            ];
            let about = About {
                purpose: &scenario.purpose,
                command: &self.chosen.command("compare", &more),
            };
            super::write_page(path, &of_comparison(&comparison, about))?;
        }
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &comparison)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", comparison.table())?;
        }
        Ok(())
    }
}
