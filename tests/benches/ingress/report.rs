//! The figures, for people and for programs.

use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::Table;
use serde::Serialize;

use crate::closed::{Case, Series};
use crate::proxies::{LOAD_CORE, PROXY_CORE};

/// The target that the others are compared with.
const BASE: &str = "haproxy-keepalive";

/// One line of the comparison: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    target: &'static str,
    method: &'static str,
    connections: usize,
    rps: f64,
    cpu_s_per_100k: f64,
    p50_us: f64,
    p99_us: f64,
    /// How many times as many calls a second as HAProxy with keep-alive; nothing where that is not installed.
    rps_vs_haproxy: Option<f64>,
    /// How many times less CPU for a call than HAProxy with keep-alive.
    cpu_vs_haproxy: Option<f64>,
    /// The share of its time in which the proxies' core worked.
    proxy_core: f64,
    /// The same of the core of load and backend.
    load_core: f64,
    failed: u64,
}

/// Medians and their ratios.
pub(crate) fn rows(series: &[Series]) -> Vec<Row> {
    series
        .iter()
        .map(|of| {
            let base = base(series, of.case);
            let rps = of.median(|m| m.rate());
            let cpu = cpu(of);
            let core = |core: usize| of.median(|m| m.used.cores.get(core).copied().unwrap_or(0.0));
            Row {
                target: of.target,
                method: of.case.0.as_str(),
                connections: of.case.1,
                rps,
                cpu_s_per_100k: cpu,
                p50_us: of.median(|m| m.micros(0.5)),
                p99_us: of.median(|m| m.micros(0.99)),
                rps_vs_haproxy: base.map(|base| rps / base.median(|m| m.rate())),
                cpu_vs_haproxy: base.map(|base| self::cpu(base) / cpu),
                proxy_core: core(PROXY_CORE),
                load_core: core(LOAD_CORE),
                failed: of.rounds.iter().map(|m| m.failed).sum(),
            }
        })
        .collect()
}

fn base(series: &[Series], case: Case) -> Option<&Series> {
    series.iter().find(|s| s.target == BASE && s.case == case)
}

/// CPU seconds for 100,000 calls: of the proxy, or of load and backend where there is none between them.
fn cpu(series: &Series) -> f64 {
    if series.target == "direct" {
        series.median(|m| m.own_per_100k())
    } else {
        series.median(|m| m.cpu_per_100k())
    }
}

/// The rows as a table.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.set_header([
        "target",
        "method",
        "conns",
        "rps",
        "CPU s/100k",
        "p50 µs",
        "p99 µs",
        "rps vs haproxy",
        "CPU vs haproxy",
        "core 0",
        "core 1",
        "failed",
    ]);
    let ratio = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
    for row in rows {
        table.add_row([
            row.target.to_owned(),
            row.method.to_owned(),
            row.connections.to_string(),
            format!("{:.0}", row.rps),
            format!("{:.3}", row.cpu_s_per_100k),
            format!("{:.0}", row.p50_us),
            format!("{:.0}", row.p99_us),
            ratio(row.rps_vs_haproxy),
            ratio(row.cpu_vs_haproxy),
            format!("{:.0} %", row.proxy_core * 100.0),
            format!("{:.0} %", row.load_core * 100.0),
            row.failed.to_string(),
        ]);
    }
    table
}

/// Writes the figures as JSON.
pub(crate) fn write(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
