//! Reports as tables of comma-separated values.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::figures::Report;

impl Report {
    /// Writes `totals.csv`, `nodes.csv` and `intervals.csv` into a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_csv(&self, directory: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be made", directory.display()))?;
        let totals = serde_json::to_value(&self.totals)?;
        let mut rows: Vec<(String, String)> = vec![
            ("scenario".into(), self.scenario.clone()),
            ("seed".into(), self.seed.to_string()),
            ("strategy".into(), self.strategy.to_string()),
            ("seconds".into(), self.seconds.to_string()),
        ];
        for (name, value) in totals.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(parts) => {
                    let part =
                        |(key, value): (&String, _)| (format!("{name}.{key}"), format!("{value}"));
                    rows.extend(parts.iter().map(part));
                }
                None => rows.push((name.clone(), value.to_string())),
            }
        }
        let path = directory.join("totals.csv");
        let mut writer = writer(&path)?;
        writer.write_record(["figure", "value"])?;
        for (name, value) in rows {
            writer.write_record([name, value])?;
        }
        writer.flush()?;
        write(&directory.join("nodes.csv"), &self.nodes)?;
        write(&directory.join("intervals.csv"), &self.intervals)
    }
}

fn writer(path: &Path) -> anyhow::Result<csv::Writer<std::fs::File>> {
    csv::Writer::from_path(path).with_context(|| format!("{} cannot be written", path.display()))
}

fn write(path: &Path, rows: &[impl Serialize]) -> anyhow::Result<()> {
    let mut writer = writer(path)?;
    for row in rows {
        writer.serialize(row)?;
    }
    writer.flush()?;
    Ok(())
}
