//! What is done already: a line of JSON for each run, in a file for each shard.
//!
//! A line is written in one piece when its run has ended. What was cut off in the middle of one is the last line of a
//! file and has no end, so it is known and dropped.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::report::Totals;

use super::{Shard, SweepError};

/// What one run came to, and the one-hop bound of its experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Virtual seconds for which clients brought calls.
    pub seconds: f64,
    /// Virtual seconds until the last call was answered.
    pub ended_s: f64,
    /// Events that were taken from the calendar.
    pub events: u64,
    /// Calls that could be served if each goes one hop at most.
    pub one_hop_bound: f64,
    /// All nodes together.
    #[serde(flatten)]
    pub totals: Totals,
}

#[derive(Serialize, Deserialize)]
struct Line {
    run: String,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) struct Journal {
    known: HashMap<String, Outcome>,
    own: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Reads what all shards have done, and goes on with the file of ours. The directory is made if it is not there.
    pub(super) fn open(directory: &Path, shard: Shard) -> Result<Journal, SweepError> {
        let failed = SweepError::file;
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        let own = directory.join(format!("done-{shard}.jsonl"));
        let mut known = HashMap::new();
        for entry in std::fs::read_dir(directory).map_err(failed(directory))? {
            let path = entry.map_err(failed(directory))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                let whole = read(&path, &mut known)?;
                if path == own {
                    let file = OpenOptions::new().write(true).open(&own);
                    file.and_then(|file| file.set_len(whole))
                        .map_err(failed(&own))?;
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&own);
        let file = Mutex::new(file.map_err(failed(&own))?);
        Ok(Journal { known, own, file })
    }

    /// What that run came to, if it was there when the journal was opened.
    pub(super) fn outcome(&self, run: &str) -> Option<&Outcome> {
        self.known.get(run)
    }

    pub(super) fn write(&self, run: &str, outcome: &Outcome) -> Result<(), SweepError> {
        let line = Line {
            run: run.to_owned(),
            outcome: outcome.clone(),
        };
        let mut text = serde_json::to_string(&line)
            .map_err(|error| SweepError::file(&self.own)(error.into()))?;
        text.push('\n');
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        file.write_all(text.as_bytes())
            .map_err(SweepError::file(&self.own))
    }
}

/// Reads the whole lines of a file, and tells how many bytes these are.
fn read(path: &Path, known: &mut HashMap<String, Outcome>) -> Result<u64, SweepError> {
    let bytes = std::fs::read(path).map_err(SweepError::file(path))?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    for (place, line) in bytes[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
    {
        let line: Line = serde_json::from_slice(line).map_err(|_| SweepError::Journal {
            path: path.to_owned(),
            line: place + 1,
        })?;
        known.insert(line.run, line.outcome);
    }
    Ok(whole as u64)
}
