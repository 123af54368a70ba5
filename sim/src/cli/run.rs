//! `dfaas-sim run`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use dfaas_protocol::Time;
use dfaas_sim::bound::bounds;
use dfaas_sim::engine::run;
use dfaas_sim::page::{About, of_run};
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
    /// Write a page to read into this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Run {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let scenario = self.chosen.load()?;
        let experiment = scenario.draw()?;
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
        if let Some(path) = &self.html {
            let more = self.strategy.map(|policy| format!("--strategy={policy}"));
            let about = About {
                purpose: &scenario.purpose,
                command: &self.chosen.command("run", &Vec::from_iter(more)),
            };
            super::write_page(path, &of_run(&report, &bounds(&experiment), about))?;
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
