//! A run of the lab beside one of the simulator.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

/// The figures of all nodes, by their names, as `totals.csv` has them.
struct Totals(BTreeMap<String, String>);

/// How two runs agree.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// The scenario of both.
    pub(crate) scenario: String,
    /// The seed of both.
    pub(crate) seed: String,
    /// The strategy of both.
    pub(crate) strategy: String,
    /// Whether every figure that has a tolerance keeps to it.
    pub(crate) agree: bool,
    pub(crate) figures: Vec<Figure>,
}

/// One figure in both.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) lab: f64,
    pub(crate) sim: f64,
    /// How far apart they are: in shares of the simulator's, or as a plain difference.
    pub(crate) difference: f64,
    pub(crate) is_relative: bool,
    /// How far apart they may be, if that is judged.
    pub(crate) tolerance: Option<f64>,
    pub(crate) agrees: bool,
}

/// How far apart a figure may be.
#[derive(Clone, Copy)]
enum Measure {
    /// By a difference.
    Points(Option<f64>),
    /// By a share of what the simulator has.
    Share(Option<f64>),
}

const MEASURES: [(&str, Measure); 12] = [
    ("served_share", Measure::Points(Some(0.02))),
    ("forwards_per_call", Measure::Points(Some(0.05))),
    ("p95_ms", Measure::Share(Some(0.15))),
    ("peer_refusal_share", Measure::Points(None)),
    ("hops", Measure::Points(None)),
    ("offered", Measure::Share(None)),
    ("served", Measure::Share(None)),
    ("refused", Measure::Share(None)),
    ("lost", Measure::Share(None)),
    ("p50_ms", Measure::Share(None)),
    ("p99_ms", Measure::Share(None)),
    ("mean_ms", Measure::Share(None)),
];

impl Totals {
    fn read(directory: &Path) -> anyhow::Result<Totals> {
        let path = directory.join("totals.csv");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{} cannot be read: give the --out of `dfaas lab run` and the --csv of `dfaas-sim run`",
                path.display()
            )
        })?;
        let rows = text.lines().filter_map(|line| line.split_once(','));
        Ok(Totals(
            rows.map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ))
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.text(name);
        text.parse()
            .with_context(|| format!("totals.csv has no number {name}, but {text:?}"))
    }
}

/// Compares the reports in two directories.
///
/// # Errors
/// If one of them cannot be read, or they are not of the same experiment.
pub(crate) fn compare(lab: &Path, sim: &Path) -> anyhow::Result<Comparison> {
    let (lab, sim) = (Totals::read(lab)?, Totals::read(sim)?);
    for name in ["scenario", "seed", "strategy", "offered"] {
        let (a, b) = (lab.text(name), sim.text(name));
        if a != b {
            bail!(
                "these are not runs of one experiment: the {name} of the lab is {a}, of the simulator {b}"
            );
        }
    }
    let mut figures = Vec::new();
    for (name, measure) in MEASURES {
        figures.push(figure(name, measure, lab.number(name)?, sim.number(name)?));
    }
    Ok(Comparison {
        scenario: lab.text("scenario").to_owned(),
        seed: lab.text("seed").to_owned(),
        strategy: lab.text("strategy").to_owned(),
        agree: figures.iter().all(|figure| figure.agrees),
        figures,
    })
}

fn figure(name: &'static str, measure: Measure, lab: f64, sim: f64) -> Figure {
    let (is_relative, tolerance) = match measure {
        Measure::Points(tolerance) => (false, tolerance),
        Measure::Share(tolerance) => (true, tolerance),
    };
    let difference = match is_relative && sim != 0.0 {
        true => (lab - sim) / sim,
        false => lab - sim,
    };
    Figure {
        name,
        lab,
        sim,
        difference,
        is_relative,
        tolerance,
        agrees: tolerance.is_none_or(|tolerance| difference.abs() <= tolerance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(seed: u64, served_share: f64, p95_ms: f64) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let mut text = format!("figure,value\nscenario,x\nseed,{seed}\nstrategy,headroom\n");
        for (name, _) in MEASURES {
            let value = match name {
                "served_share" => served_share,
                "p95_ms" => p95_ms,
                _ => 1.0,
            };
            text.push_str(&format!("{name},{value}\n"));
        }
        std::fs::write(directory.path().join("totals.csv"), text).unwrap();
        directory
    }

    fn agree(served_share: f64, p95_ms: f64) -> bool {
        let (lab, sim) = (totals(1, served_share, p95_ms), totals(1, 0.9, 100.0));
        compare(lab.path(), sim.path()).unwrap().agree
    }

    #[test]
    fn figures_keep_to_their_tolerances() {
        assert!(agree(0.9, 100.0));
        assert!(agree(0.885, 114.0) && agree(0.915, 86.0));
        assert!(!agree(0.87, 100.0) && !agree(0.93, 100.0));
        assert!(!agree(0.9, 116.0) && !agree(0.9, 84.0));
    }

    #[test]
    fn runs_of_different_experiments_are_not_compared() {
        let (lab, sim) = (totals(1, 1.0, 1.0), totals(2, 1.0, 1.0));
        let error = compare(lab.path(), sim.path()).unwrap_err();
        assert!(
            error.to_string().contains("the seed of the lab is 1"),
            "{error}"
        );
        let nothing = tempfile::tempdir().unwrap();
        let error = compare(nothing.path(), sim.path()).unwrap_err();
        assert!(error.to_string().contains("--csv"), "{error}");
    }
}
