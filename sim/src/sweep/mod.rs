//! Many runs of one scenario: each value of each key with each other, each strategy, each seed; over all cores, over
//! many machines, and on from where it was stopped.

mod grid;
mod journal;
mod perform;
mod shard;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::RunError;
use crate::scenario::ScenarioError;

pub use grid::{Column, Grid, Settings};
pub use journal::Outcome;
pub use perform::{Row, perform};
pub use shard::{Shard, ShardError};

/// Why a sweep ends before its end.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A file or directory cannot be used.
    #[error("{path} cannot be read or written: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The text is no grid.
    #[error("{path} is not a grid: {error}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<toml::de::Error>,
    },
    /// A rule does not hold.
    #[error("the grid does not keep a rule: {0}")]
    Invalid(String),
    /// A point of the grid is no scenario.
    #[error("with {settings}: {error}")]
    Point {
        /// What is set there.
        settings: String,
        /// What is wrong with it.
        error: ScenarioError,
    },
    /// A run cannot be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What earlier runs wrote is not what they write.
    #[error(
        "line {line} of {path} is not one of a sweep; delete the line, and its run is run again"
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

impl SweepError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> SweepError {
        |error| SweepError::File {
            path: path.to_owned(),
            error,
        }
    }
}
