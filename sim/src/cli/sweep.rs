//! `dfaas-sim sweep`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use dfaas_sim::page::{About, of_sweep};
use dfaas_sim::sweep::{Grid, Shard, perform};

use super::parquet;
use super::progress::Progress;

#[derive(Args)]
pub(super) struct Sweep {
    /// The file of the grid: a scenario, what is varied of it, strategies and seeds
    grid: PathBuf,
    /// Where the results go: shard-I-of-N.parquet, and what is needed to go on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Do part I of N only, counted from 0
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    shard: Shard,
    /// How many threads; one for each core, if it is left out
    #[arg(long)]
    threads: Option<usize>,
    /// Write a page to read into this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print each run as a line of JSON
    #[arg(long)]
    json: bool,
}

impl Sweep {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let grid = Grid::load(&self.grid)?;
        let path = self.out.join(format!("shard-{}.parquet", self.shard));
        self.refuse_another_split(&format!("{}", self.shard))?;
        let progress = Progress::new(&grid.name);
        let pool = super::pool(self.threads)?;
        let rows = pool.install(|| {
            perform(&grid, self.shard, &self.out, &|done, of| {
                progress.at(done, of);
            })
        })?;
        drop(progress);
        parquet::write(&path, &grid, &rows)?;
        if let Some(path) = &self.html {
            let words = ["dfaas-sim", "sweep"].map(str::to_owned).into_iter();
            let words = words.chain([super::quoted(&self.grid.display().to_string())]);
            let command: Vec<String> = words.collect();
            let about = About {
                purpose: &grid.purpose,
                command: &format!("{} --out DIR --html FILE", command.join(" ")),
            };
            super::write_page(path, &of_sweep(&grid, &rows, about))?;
        }
        let mut out = io::stdout().lock();
        if self.json {
            for row in &rows {
                serde_json::to_writer(&mut out, row)?;
                writeln!(out)?;
            }
        } else {
            writeln!(out, "{} runs are in {}", rows.len(), path.display())?;
        }
        Ok(())
    }

    /// Files of a sweep that was split in another way would say the same things twice.
    fn refuse_another_split(&self, own: &str) -> anyhow::Result<()> {
        let split = |shard: &str| shard.rsplit_once('-').map(|(_, count)| count.to_owned());
        let Ok(entries) = std::fs::read_dir(&self.out) else {
            return Ok(());
        };
        for entry in entries {
            let path = entry
                .with_context(|| format!("{} cannot be read", self.out.display()))?
                .path();
            let name = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            let is_ours = path
                .extension()
                .is_some_and(|extension| extension == "parquet");
            if let (true, Some(shard)) = (is_ours, name.strip_prefix("shard-"))
                && split(shard) != split(own)
            {
                bail!(
                    "{} is of the same sweep in other parts; remove {}/*.parquet, or choose another \
                     directory: nothing is run again that was",
                    path.display(),
                    self.out.display()
                );
            }
        }
        Ok(())
    }
}
