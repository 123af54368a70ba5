//! The figures of the closed loop, and all figures for people and for programs.

use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::closed::{Case, Series};
use crate::flat::Flat;
use crate::forward::{self, Forward};
use crate::load::Measured;
use crate::open_loop::OpenLoop;
use crate::proxies::{LOAD_CORE, PROXY_CORE};
use crate::swap::Swap;

/// The target that the others are compared with.
const BASE: &str = "haproxy-keepalive";

/// All figures of a run; those of a section that did not run are missing.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cores: Vec<Cores>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) forward: Vec<Forward>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_loop: Option<OpenLoop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swap: Option<Swap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flat: Option<Flat>,
}

impl Figures {
    /// Writes the figures as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The figures as tables with a heading each.
    pub(crate) fn tables(&self, markdown: bool) -> String {
        let sections = [
            (!self.rows.is_empty()).then(|| ("Closed loop", table(&self.rows))),
            (!self.forward.is_empty()).then(|| ("Forward", forward::table(&self.forward))),
            self.open_loop.as_ref().map(|o| ("Open loop", o.table())),
            self.swap.as_ref().map(|s| ("Swaps", s.table())),
            self.flat.as_ref().map(|f| ("Counts", f.table())),
        ];
        let mut text = String::new();
        for (title, mut table) in sections.into_iter().flatten() {
            let mark = if markdown { "### " } else { "" };
            let preset = if markdown {
                presets::ASCII_MARKDOWN
            } else {
                presets::UTF8_FULL_CONDENSED
            };
            table.load_style(preset);
            text.push_str(&format!("{mark}{title}\n\n{table}\n\n"));
        }
        text
    }
}

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
    /// Reported apart, so that a row is what programs that compare runs expect.
    #[serde(skip)]
    pub(crate) cores: Cores,
}

/// How busy the cores were, by which to judge what limits a row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cores {
    target: &'static str,
    method: &'static str,
    connections: usize,
    /// The share of its time in which the proxies' core worked.
    proxy_core: f64,
    /// The share of that core's time that went to this proxy.
    proxy_share: f64,
    /// The share of its time in which the core of load and backend worked.
    load_core: f64,
    /// The share of that core's time that went to load and backend.
    load_share: f64,
    failed: u64,
}

/// Medians, and those of the ratios.
pub(crate) fn rows(series: &[Series]) -> Vec<Row> {
    series
        .iter()
        .map(|of| {
            let base = base(series, of.case);
            let core = |core: usize| of.median(|m| m.used.cores.get(core).copied().unwrap_or(0.0));
            Row {
                target: of.target,
                method: of.case.0.as_str(),
                connections: of.case.1,
                rps: of.median(Measured::rate),
                cpu_s_per_100k: of.median(Measured::cpu_per_100k),
                p50_us: of.median(|m| m.micros(0.5)),
                p99_us: of.median(|m| m.micros(0.99)),
                rps_vs_haproxy: base.map(|base| of.times(base, Measured::rate)),
                cpu_vs_haproxy: base.map(|base| base.times(of, Measured::cpu_per_100k)),
                cores: Cores {
                    target: of.target,
                    method: of.case.0.as_str(),
                    connections: of.case.1,
                    proxy_core: core(PROXY_CORE),
                    proxy_share: of.median(Measured::watched_share),
                    load_core: core(LOAD_CORE),
                    load_share: of.median(Measured::own_share),
                    failed: of.failed(),
                },
            }
        })
        .collect()
}

fn base(series: &[Series], case: Case) -> Option<&Series> {
    series.iter().find(|s| s.target == BASE && s.case == case)
}

fn table(rows: &[Row]) -> Table {
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
        "of it proxy",
        "core 1",
        "of it load",
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
            format!("{:.0} %", row.cores.proxy_core * 100.0),
            format!("{:.0} %", row.cores.proxy_share * 100.0),
            format!("{:.0} %", row.cores.load_core * 100.0),
            format!("{:.0} %", row.cores.load_share * 100.0),
            row.cores.failed.to_string(),
        ]);
    }
    table
}
