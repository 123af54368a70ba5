//! `dfaas-sim import`: runs an instance of the reference's simulators and prints the reference's indices.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::indices::{IndicesA, IndicesB, SECONDS};
use super::instance_a::InstanceA;
use super::instance_b::InstanceB;
use super::models::{ModelTexts, Models};
use super::step_a::{self, Sendable, StrategyA};
use super::step_b::{self, Faults, StrategyB};

/// The arguments of the subcommand.
#[derive(Args, Debug)]
pub struct Import {
    /// Instance that one of the reference's simulators wrote (JSON)
    instance: PathBuf,
    /// The same instance with capacities and metrics resolved, for the first simulator; without it the metrics that
    /// only measurements give are the same on every node
    #[arg(long)]
    resolved: Option<PathBuf>,
    /// Directory of the models, for the second simulator: four *_node.lgbm.txt and scalers.json [default: models beside the instance]
    #[arg(long)]
    models: Option<PathBuf>,
    /// Keep the faults of the second simulator, by which requests vanish
    #[arg(long)]
    keep_faults: bool,
    /// Seed of what is random in the strategies of the first simulator
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<Row> {
    world: &'static str,
    nodes: usize,
    minutes: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct RowA {
    strategy: &'static str,
    #[serde(flatten)]
    indices: IndicesA,
    /// Requests sent to a neighbour; unknown of a bound.
    forwarded: Option<u64>,
}

#[derive(Serialize)]
struct RowB {
    strategy: &'static str,
    #[serde(flatten)]
    indices: IndicesB,
}

impl Import {
    /// Runs all strategies of the instance's world and writes their indices.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not of the reference's format, or the output cannot be written.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let text = read(&self.instance)?;
        if InstanceB::is_one(&text) {
            let instance = InstanceB::parse(&text)?;
            let beside = self
                .instance
                .parent()
                .unwrap_or(Path::new(""))
                .join("models");
            let models = read_models(self.models.as_ref().unwrap_or(&beside))?;
            self.write(&self.world_b(&instance, &models), table_b, out)
        } else {
            let resolved = self.resolved.as_deref().map(read).transpose()?;
            let instance = InstanceA::parse(&text, resolved.as_deref())?;
            self.write(&self.world_a(&instance), table_a, out)
        }
    }

    fn world_a(&self, instance: &InstanceA) -> Report<RowA> {
        let of_strategy = |strategy: StrategyA| {
            let run = step_a::run(instance, strategy, self.seed);
            let forwarded: u64 = run.iter().flatten().map(|r| r.forwarded).sum();
            RowA {
                strategy: strategy.name(),
                indices: IndicesA::of(&run),
                forwarded: Some(SECONDS * forwarded),
            }
        };
        let bound = |strategy, sendable| RowA {
            strategy,
            indices: IndicesA::of(&step_a::bound(instance, sendable)),
            forwarded: None,
        };
        let bounds = [
            bound("bound", Sendable::Excess),
            bound("bound_making_room", Sendable::Anything),
        ];
        let rows = StrategyA::ALL.into_iter().map(of_strategy);
        Report {
            world: "a",
            nodes: instance.nodes(),
            minutes: instance.minutes.len(),
            rows: rows.chain(bounds).collect(),
        }
    }

    fn world_b(&self, instance: &InstanceB, models: &Models) -> Report<RowB> {
        let faults = if self.keep_faults {
            Faults::Kept
        } else {
            Faults::Mended
        };
        let of_strategy = |strategy: StrategyB| RowB {
            strategy: strategy.name(),
            indices: IndicesB::of(&step_b::run(instance, models, strategy, faults)),
        };
        Report {
            world: "b",
            nodes: instance.types.len(),
            minutes: instance.minutes.len(),
            rows: StrategyB::ALL.into_iter().map(of_strategy).collect(),
        }
    }

    fn write<Row: Serialize>(
        &self,
        report: &Report<Row>,
        table: fn(&[Row]) -> Table,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *out, report)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", table(&report.rows))?;
        }
        Ok(())
    }
}

fn read(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The models of world B from their directory.
///
/// # Errors
///
/// When a file cannot be read or is not a model.
pub fn read_models(directory: &Path) -> anyhow::Result<Models> {
    let model = |name| {
        let text = read(directory.join(format!("{name}.lgbm.txt")));
        text.context(
            "the second simulator's instances need its models: give their directory with --models",
        )
    };
    Ok(Models::parse(&ModelTexts {
        overloaded: model("overloaded_node")?,
        cpu: model("cpu_usage_node")?,
        ram: model("ram_usage_node")?,
        power: model("power_usage_node")?,
        scalers: read(directory.join("scalers.json"))?,
    })?)
}

fn empty_table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(heads);
    table
}

fn table_a(rows: &[RowA]) -> Table {
    let mut table = empty_table(&[
        "strategy",
        "success %",
        "variance",
        "median %",
        "p90 %",
        "stress: success %",
        "variance",
        "median %",
        "p90 %",
        "rejected",
        "forwarded",
    ]);
    for row in rows {
        let of = &row.indices;
        table.add_row([
            row.strategy.to_owned(),
            format!("{:.3}", of.mean_success),
            format!("{:.3}", of.variance),
            format!("{:.3}", of.median),
            format!("{:.3}", of.percentile_90),
            format!("{:.3}", of.stress_mean_success),
            format!("{:.3}", of.stress_variance),
            format!("{:.3}", of.stress_median),
            format!("{:.3}", of.stress_percentile_90),
            of.rejected.to_string(),
            row.forwarded
                .map_or_else(|| "-".to_owned(), |f| f.to_string()),
        ]);
    }
    table
}

fn table_b(rows: &[RowB]) -> Table {
    let mut table = empty_table(&[
        "strategy",
        "success %",
        "median %",
        "stress: success %",
        "median %",
        "mean power W",
        "max power W",
        "rejected",
        "forwarded",
        "lost",
    ]);
    for row in rows {
        let of = &row.indices;
        table.add_row([
            row.strategy.to_owned(),
            format!("{:.3}", of.mean_success),
            format!("{:.3}", of.median),
            format!("{:.3}", of.stress_mean_success),
            format!("{:.3}", of.stress_median),
            format!("{:.4}", of.mean_power / 1e6),
            format!("{:.4}", of.max_power / 1e6),
            of.rejected.to_string(),
            of.forwarded.to_string(),
            of.lost.to_string(),
        ]);
    }
    table
}
