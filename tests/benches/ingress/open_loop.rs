//! Open loop: the time that a proxy adds to a call at a rate that all of them can serve.

use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::Table;
use serde::Serialize;

use crate::closed::{PATH, Series, turns};
use crate::engine::Engine;
use crate::load::{Load, Method, Pace};
use crate::proxies::Target;

/// Connections of the load: far more than are in use at one time.
const CONNECTIONS: usize = 32;
/// The share of the slowest target's capacity at which all are loaded.
const SHARE: f64 = 0.3;
/// The targets, the one that the others are compared with first.
const TARGETS: [&str; 3] = ["direct", "dfaas", "haproxy-keepalive"];

/// The comparison.
#[derive(Debug, Serialize)]
pub(crate) struct OpenLoop {
    /// Calls a second, at even distances.
    rate: f64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    target: &'static str,
    p50_us: f64,
    p99_us: f64,
    /// Above what the same calls take without a proxy.
    added_p50_us: f64,
    added_p99_us: f64,
    failed: u64,
}

/// Loads each target at the same rate, by turns. Nothing if there is no direct one among them.
pub(crate) async fn run(
    engine: &Engine,
    targets: &[Target],
    rounds: usize,
    time: Duration,
) -> Result<Option<OpenLoop>> {
    let chosen = TARGETS.iter();
    let targets: Vec<&Target> = chosen
        .filter_map(|name| targets.iter().find(|target| target.name == *name))
        .collect();
    if targets.first().is_none_or(|first| first.name != TARGETS[0]) {
        eprintln!("skipped: open loop, for want of the target {}", TARGETS[0]);
        return Ok(None);
    }
    let load = |target: &Target, pace| Load {
        target: target.address,
        path: PATH.into(),
        method: Method::Get,
        connections: CONNECTIONS,
        warm_up: time / 4,
        pace,
        watched: target.processes.clone(),
    };
    let mut capacity = f64::INFINITY;
    for target in &targets {
        let measured = engine.run(load(target, Pace::Closed(time))).await?;
        capacity = capacity.min(measured.rate());
    }
    let rate = (capacity * SHARE).round();
    let mut series: Vec<Series> = targets
        .iter()
        .map(|target| Series {
            target: target.name,
            case: (Method::Get, CONNECTIONS),
            rounds: Vec::new(),
        })
        .collect();
    for round in 1..=rounds {
        eprintln!("open loop at {rate} a second, round {round} of {rounds}");
        for index in turns(round, targets.len()) {
            let target = targets[index];
            let load = load(target, Pace::Open(rate, time));
            series[index]
                .rounds
                .push(engine.run(load).await.context(target.name)?);
        }
    }
    let quantile = |series: &Series, quantile| series.median(|m| m.micros(quantile));
    let direct = (quantile(&series[0], 0.5), quantile(&series[0], 0.99));
    let rows = series.iter().map(|series| {
        let (p50, p99) = (quantile(series, 0.5), quantile(series, 0.99));
        Row {
            target: series.target,
            p50_us: p50,
            p99_us: p99,
            added_p50_us: p50 - direct.0,
            added_p99_us: p99 - direct.1,
            failed: series.failed(),
        }
    });
    Ok(Some(OpenLoop {
        rate,
        rows: rows.collect(),
    }))
}

impl OpenLoop {
    /// The comparison as a table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.set_header([
            "target",
            "calls/s",
            "p50 µs",
            "p99 µs",
            "added p50 µs",
            "added p99 µs",
            "failed",
        ]);
        for row in &self.rows {
            table.add_row([
                row.target.to_owned(),
                format!("{:.0}", self.rate),
                format!("{:.0}", row.p50_us),
                format!("{:.0}", row.p99_us),
                format!("{:.0}", row.added_p50_us),
                format!("{:.0}", row.added_p99_us),
                row.failed.to_string(),
            ]);
        }
        table
    }
}
