//! Scenarios: the file that a person writes, and what is drawn of it.
//!
//! A [`Scenario`] is read, changed by overrides and validated; [`Scenario::draw`] makes an [`Experiment`] of it, in which
//! every node, link and rate is known. Nothing here knows how it is run.

mod amount;
mod experiment;
mod faults;
mod file;
mod load;
pub mod random;
mod resolve;
mod select;
mod topology;
mod validate;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use amount::{Amount, Choice, Spread, Uniform};
pub use experiment::{
    Clock, Cold, Experiment, Function, Incident, Link, Links, Periods, Placement, Rate, Service,
    Site, Source, Trouble,
};
pub use file::{
    Arrivals, ClocksSection, ColdSection, Fault, FaultSection, FunctionSection, LinksSection,
    ListedLink, LoadSection, NodesSection, Power, Scenario, ServiceModel, Shape, StrategySection,
    Topology, Unit,
};

/// Why a scenario cannot be used.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The text is no scenario.
    #[error("{of} is not a scenario: {error}")]
    Parse {
        /// The file, or the name of a shipped scenario.
        of: String,
        /// What is wrong with it.
        error: Box<toml::de::Error>,
    },
    /// An override is not `KEY=VALUE`, or names no place.
    #[error("--set {0}: write KEY=VALUE with a key such as nodes.count or load.0.shape.share")]
    Override(String),
    /// A rule does not hold.
    #[error("the scenario does not keep a rule: {0}")]
    Invalid(String),
    /// There is neither a file nor a shipped scenario of that name.
    #[error(
        "there is no file and no shipped scenario {0:?}; `dfaas-sim list` names those that are shipped"
    )]
    Unknown(String),
}

impl ScenarioError {
    pub(crate) fn invalid(sentence: impl Into<String>) -> ScenarioError {
        ScenarioError::Invalid(sentence.into())
    }
}

fn read(path: &Path) -> Result<String, ScenarioError> {
    std::fs::read_to_string(path).map_err(|error| ScenarioError::Read {
        path: path.to_owned(),
        error,
    })
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// The scenarios that come with the program: their names, and their files in `configs/scenarios`.
        pub const SHIPPED: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../configs/scenarios/", $name, ".toml")))),*
        ];
    };
}

shipped![
    "grid",
    "lab-bursts",
    "lab-far-cloud",
    "lab-full",
    "lab-hot-spot",
    "lab-ills",
    "lab-line",
    "lab-restart",
    "one-step",
    "moving-hot-spot",
    "flash-crowd",
    "diurnal-wave",
    "reference-110-on-100",
    "reference-three-nodes",
    "heterogeneous-boards",
    "far-cloud",
    "scale-free-bursts",
    "partition",
    "rolling-restart",
    "slow-and-lossy",
    "lying-node",
    "healing",
];

impl Scenario {
    /// The scenario in that file or, where there is none, the shipped one of that name; changed by overrides `KEY=VALUE`.
    ///
    /// # Errors
    /// If it cannot be read or used.
    pub fn load(name: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        let path = Path::new(name);
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        match shipped {
            _ if path.is_file() => {
                let directory = path.parent().unwrap_or(Path::new("."));
                Scenario::parse(name, &read(path)?, overrides, directory)
            }
            Some((_, text)) => Scenario::parse(name, text, overrides, Path::new(".")),
            None => Err(ScenarioError::Unknown(name.to_owned())),
        }
    }

    /// The scenario in a text, which names files relative to `directory`; `of` stands in errors.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn parse(
        of: &str,
        text: &str,
        overrides: &[String],
        directory: &Path,
    ) -> Result<Scenario, ScenarioError> {
        let wrong = |error| ScenarioError::Parse {
            of: of.to_owned(),
            error: Box::new(error),
        };
        // Without overrides the error shows the line.
        let mut scenario: Scenario = if overrides.is_empty() {
            toml::from_str(text).map_err(wrong)?
        } else {
            let mut table: toml::Table = toml::from_str(text).map_err(wrong)?;
            for change in overrides {
                set(&mut table, change)?;
            }
            table.try_into().map_err(wrong)?
        };
        scenario.directory = directory.to_owned();
        scenario.validate()?;
        Ok(scenario)
    }
}

impl Scenario {
    /// The files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        let services = self.functions.iter().filter_map(|f| match &f.service {
            ServiceModel::Trace { file, .. } => file.as_deref(),
            _ => None,
        });
        let topology = match &self.topology {
            Topology::File { path } => Some(path.as_path()),
            _ => None,
        };
        let loads = self.load.iter().filter_map(|load| match &load.shape {
            Shape::TraceFile { path, .. } => Some(path.as_path()),
            _ => None,
        });
        let named = services.chain(topology).chain(loads);
        named.map(|path| self.directory.join(path)).collect()
    }
}

/// Sets `a.b.0.c=VALUE` in a table; what is no TOML value is text.
fn set(table: &mut toml::Table, change: &str) -> Result<(), ScenarioError> {
    let wrong = || ScenarioError::Override(change.to_owned());
    let (key, value) = change.split_once('=').ok_or_else(wrong)?;
    let (key, value) = (key.trim(), value.trim());
    let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(mut parsed) => parsed.remove("value").ok_or_else(wrong)?,
        Err(_) => toml::Value::String(value.to_owned()),
    };
    let (path, last) = match key.rsplit_once('.') {
        Some((path, last)) => (Some(path), last),
        None => (None, key),
    };
    if let Some(path) = path {
        let mut parts = path.split('.');
        let first = parts.next().ok_or_else(wrong)?;
        let empty = || toml::Value::Table(toml::Table::new());
        let mut at = table.entry(first).or_insert_with(empty);
        for part in parts {
            at = match at {
                toml::Value::Table(table) => table.entry(part).or_insert_with(empty),
                toml::Value::Array(array) => {
                    let index: usize = part.parse().map_err(|_| wrong())?;
                    array.get_mut(index).ok_or_else(wrong)?
                }
                _ => return Err(wrong()),
            };
        }
        match at {
            toml::Value::Table(table) => {
                table.insert(last.to_owned(), value);
            }
            toml::Value::Array(array) => {
                let index: usize = last.parse().map_err(|_| wrong())?;
                *array.get_mut(index).ok_or_else(wrong)? = value;
            }
            _ => return Err(wrong()),
        }
    } else {
        table.insert(last.to_owned(), value);
    }
    Ok(())
}
