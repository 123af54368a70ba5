//! `dfaas-sim run`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use dfaas_protocol::Time;
use dfaas_sim::engine::run;
use dfaas_sim::policy::Policy;

use super::Chosen;
use super::progress::Progress;

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    chosen: Chosen,
    /// The strategy, instead of the scenario's own; `dispatcher` sees every queue without delay
    #[arg(long)]
    strategy: Option<Policy>,
    /// Print the whole report as JSON
    #[arg(long)]
    json: bool,
    /// Write totals.csv, nodes.csv and intervals.csv into this directory as well
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
}

impl Run {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let experiment = self.chosen.load()?.draw()?;
        let policy = self
            .strategy
            .unwrap_or(Policy::Strategy(experiment.strategy));
        let progress = Progress::new(&experiment.name);
        let end = experiment.duration.as_nanos() as u64;
        let report = run(&experiment, policy, &mut |now: Time| {
            progress.at(now.as_nanos().min(end), end);
        })?;
        drop(progress);
        if let Some(directory) = &self.csv {
            report.write_csv(directory)?;
        }
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", report.table())?;
        }
        Ok(())
    }
}
