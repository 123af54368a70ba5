//! What a run came to.

use std::time::Duration;

use comfy_table::{Table, presets};
use dfaas_protocol::strategy::StrategyName;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told from longer ones: an hour.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// The counts of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The strategy of every node.
    pub strategy: StrategyName,
    /// Calls that clients brought.
    pub offered: u64,
    /// Calls that were run and answered.
    pub served: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// How often a call was sent to a neighbour.
    pub forwards: u64,
    /// How often a neighbour refused one.
    pub peer_refusals: u64,
    /// Calls that could have been served, of the one-hop bound.
    pub bound: f64,
    /// From the arrival of a served call to its answer, in microseconds.
    latency: Histogram<u64>,
}

/// One row of a comparison, as it is printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The strategy's name.
    pub strategy: StrategyName,
    /// Calls that clients brought.
    pub offered: u64,
    /// Calls that were served.
    pub served: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Served of offered.
    pub served_share: f64,
    /// Served of what the one-hop bound allows.
    pub of_bound: f64,
    /// Refused by a neighbour of what was sent to one.
    pub peer_refusal_share: f64,
    /// Median time from arrival to answer of served calls, in milliseconds.
    pub p50_ms: f64,
    /// The time that 95 % of them keep to, likewise.
    pub p95_ms: f64,
    /// The time that 99 % of them keep to, likewise.
    pub p99_ms: f64,
    /// How often a call was sent to a neighbour, on average.
    pub forwards_per_call: f64,
}

/// Runs of several strategies on one network with one load.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// One row a strategy.
    pub rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(strategy: StrategyName, bound: f64) -> Report {
        Report {
            strategy,
            offered: 0,
            served: 0,
            refused: 0,
            forwards: 0,
            peer_refusals: 0,
            bound,
            latency: Histogram::new_with_bounds(1, LONGEST_MICROS, 3)
                .expect("the bounds are in order and 3 significant digits are at most 5"),
        }
    }

    pub(crate) fn serve(&mut self, latency: Duration) {
        self.served += 1;
        self.latency.saturating_record(latency.as_micros() as u64);
    }

    /// The row of this run.
    pub fn row(&self) -> Row {
        let ms = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        Row {
            strategy: self.strategy,
            offered: self.offered,
            served: self.served,
            refused: self.refused,
            served_share: share(self.served, self.offered as f64),
            of_bound: share(self.served, self.bound),
            peer_refusal_share: share(self.peer_refusals, self.forwards as f64),
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
            forwards_per_call: share(self.forwards, self.offered as f64),
        }
    }
}

/// Zero where there is nothing to take a share of.
fn share(part: u64, whole: f64) -> f64 {
    if whole > 0.0 {
        part as f64 / whole
    } else {
        0.0
    }
}

impl Comparison {
    /// As a table for people.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "strategy",
            "served",
            "of bound",
            "peer refusals",
            "p50",
            "p95",
            "p99",
            "forwards a call",
        ]);
        for row in &self.rows {
            table.add_row([
                row.strategy.to_string(),
                format!("{:.2} %", row.served_share * 100.0),
                format!("{:.4}", row.of_bound),
                format!("{:.2} %", row.peer_refusal_share * 100.0),
                format!("{:.0} ms", row.p50_ms),
                format!("{:.0} ms", row.p95_ms),
                format!("{:.0} ms", row.p99_ms),
                format!("{:.3}", row.forwards_per_call),
            ]);
        }
        table
    }
}
