//! Makes the runs that are not done yet.

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::RunError;
use crate::bound::{Reach, bound};
use crate::engine;
use crate::policy::Policy;
use crate::scenario::Scenario;

use super::journal::Journal;
use super::{Grid, Outcome, Shard, SweepError};

/// Bytes of a run's name; 2^64 runs are needed until two are likely to share one.
const NAME_BYTES: usize = 16;

/// A run of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name: the same for the same scenario, seed, strategy and version of this program, and for no other.
    pub run: String,
    /// The place of its point in the grid.
    pub point: usize,
    /// The seed.
    pub seed: u64,
    /// Who decided.
    pub strategy: Policy,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A point with a seed: what is drawn once, for all strategies.
struct Case {
    point: usize,
    scenario: Scenario,
    /// The name of the run of each strategy.
    names: Vec<String>,
}

/// Makes those runs of a shard that `directory` does not know yet, and returns all of the shard in the grid's order,
/// so that the result is the same wherever it was stopped and with any number of threads. `done` is told after
/// each run how many are done of how many.
///
/// # Errors
/// If the directory cannot be used, or a run cannot be made.
pub fn perform(
    grid: &Grid,
    shard: Shard,
    directory: &Path,
    done: &(dyn Fn(u64, u64) + Sync),
) -> Result<Vec<Row>, SweepError> {
    let journal = Journal::open(directory, shard)?;
    let places = (0..grid.points.len() * grid.seeds as usize).filter(|place| shard.has(*place));
    let cases = places
        .map(|place| Case::new(grid, place))
        .collect::<Result<Vec<_>, _>>()?;
    let names = cases.iter().flat_map(|case| &case.names);
    let known = names.filter(|name| journal.outcome(name).is_some()).count();
    let all = cases.len() * grid.strategies.len();
    let count = std::sync::atomic::AtomicU64::new(known as u64);
    let tick = || {
        let now = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        done(now, all as u64);
    };
    let rows = cases
        .par_iter()
        .map(|case| case.rows(grid, &journal, &tick))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

impl Case {
    fn new(grid: &Grid, place: usize) -> Result<Case, SweepError> {
        let (point, index) = (place / grid.seeds as usize, place as u64 % grid.seeds);
        let scenario = &grid.points[point].scenario;
        let scenario = Scenario {
            seed: scenario.seed.wrapping_add(index),
            ..scenario.clone()
        };
        let names = names(&scenario, &grid.strategies)?;
        Ok(Case {
            point,
            scenario,
            names,
        })
    }

    fn rows(
        &self,
        grid: &Grid,
        journal: &Journal,
        tick: &(dyn Fn() + Sync),
    ) -> Result<Vec<Row>, SweepError> {
        let row = |(name, strategy): (&String, &Policy), outcome: Outcome| Row {
            run: name.clone(),
            point: self.point,
            seed: self.scenario.seed,
            strategy: *strategy,
            outcome,
        };
        let runs = self.names.iter().zip(&grid.strategies);
        let known = runs
            .clone()
            .map(|run| Some(row(run, journal.outcome(run.0)?.clone())));
        if let Some(rows) = known.collect::<Option<Vec<_>>>() {
            return Ok(rows);
        }
        let experiment = self.scenario.draw().map_err(RunError::from)?;
        let one_hop_bound = bound(&experiment, Reach::OneHop);
        let outcome = |run: (&String, &Policy)| -> Result<Row, SweepError> {
            if let Some(known) = journal.outcome(run.0) {
                return Ok(row(run, known.clone()));
            }
            let report = engine::run(&experiment, *run.1, &mut |_| {}).map_err(RunError::from)?;
            let outcome = Outcome {
                seconds: report.seconds,
                ended_s: report.ended_s,
                events: report.events,
                one_hop_bound,
                totals: report.totals,
            };
            journal.write(run.0, &outcome)?;
            tick();
            Ok(row(run, outcome))
        };
        let runs: Vec<_> = runs.collect();
        runs.into_par_iter().map(outcome).collect()
    }
}

/// The names of the runs of a scenario: digests of all that decides what they come to.
fn names(scenario: &Scenario, strategies: &[Policy]) -> Result<Vec<String>, SweepError> {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    let text = serde_json::to_vec(scenario).map_err(|error| {
        SweepError::Invalid(format!("the scenario cannot be written as JSON: {error}"))
    })?;
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
    for path in scenario.files() {
        let bytes = std::fs::read(&path).map_err(SweepError::file(&path))?;
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    let name = |strategy: &Policy| {
        let digest = digest.clone().chain_update(strategy.as_str()).finalize();
        let hex = digest[..NAME_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"));
        hex.collect()
    };
    Ok(strategies.iter().map(name).collect())
}
