//! The summary of the demo.

use std::collections::BTreeMap;
use std::io::Write;

use dfaas_protocol::NodeId;
use dfaas_protocol::strategy::StrategyName;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::{Counts, Tally};
use super::site::Site;
use crate::cli::table::table;

const HEADER: [&str; 13] = [
    "HALF",
    "NODE",
    ">SLOTS",
    ">OFFERED",
    ">SERVED",
    ">REFUSED",
    ">FAILED",
    ">SHARE",
    ">FORWARDED",
    ">EXECUTED",
    ">P50 MS",
    ">P95 MS",
    ">P99 MS",
];

/// Both halves. Field names are a contract with scripts.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// What is offered in all, in parts of what all sites can serve.
    pub(super) offered_of_capacity: f64,
    pub(super) phases: Vec<Phase>,
}

/// One half.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    strategy: StrategyName,
    seconds: u64,
    #[serde(flatten)]
    all: Figures,
    nodes: Vec<Node>,
}

/// One site in one half.
#[derive(Debug, Serialize)]
struct Node {
    node_id: NodeId,
    slots: u32,
    #[serde(flatten)]
    figures: Figures,
}

/// What became of calls. `executed` is counted at the functions: of a node, at its own function; so a node's served calls
/// are its own executions less those for others plus those that others did for it.
#[derive(Debug, Serialize)]
struct Figures {
    offered: u64,
    served: u64,
    refused: u64,
    failed: u64,
    served_share: f64,
    forwarded: u64,
    executed: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl Figures {
    fn new(counts: &Counts, executed: u64) -> Figures {
        let quantile = |q| counts.latency.value_at_quantile(q) as f64 / 1e3;
        Figures {
            offered: counts.offered,
            served: counts.served,
            refused: counts.refused,
            failed: counts.failed,
            served_share: counts.served as f64 / counts.offered.max(1) as f64,
            forwarded: counts.forwarded,
            executed,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
        }
    }

    fn row(&self, strategy: StrategyName, node: String, slots: u32) -> [String; 13] {
        [
            strategy.to_string(),
            node,
            slots.to_string(),
            self.offered.to_string(),
            self.served.to_string(),
            self.refused.to_string(),
            self.failed.to_string(),
            format!("{:.1} %", 100.0 * self.served_share),
            self.forwarded.to_string(),
            self.executed.to_string(),
            format!("{:.0}", self.p50_ms),
            format!("{:.0}", self.p95_ms),
            format!("{:.0}", self.p99_ms),
        ]
    }
}

impl Phase {
    pub(super) fn new(
        strategy: StrategyName,
        seconds: u64,
        sites: &[Site],
        tallies: &[Tally],
        executed: &BTreeMap<usize, u64>,
    ) -> Phase {
        let counts: Vec<Counts> = tallies.iter().map(Tally::read).collect();
        let nodes = sites
            .iter()
            .zip(&counts)
            .enumerate()
            .map(|(index, (site, counts))| Node {
                node_id: site.node_id(),
                slots: site.slots(),
                figures: Figures::new(counts, executed.get(&index).copied().unwrap_or(0)),
            })
            .collect();
        let all = counts.into_iter().fold(Counts::default(), add);
        Phase {
            strategy,
            seconds,
            all: Figures::new(&all, executed.values().sum()),
            nodes,
        }
    }
}

fn add(a: Counts, b: Counts) -> Counts {
    let mut latency: Histogram<u64> = a.latency;
    // Both have the same bounds, without which adding would fail.
    let _ = latency.add(&b.latency);
    Counts {
        offered: a.offered + b.offered,
        served: a.served + b.served,
        forwarded: a.forwarded + b.forwarded,
        refused: a.refused + b.refused,
        failed: a.failed + b.failed,
        latency,
    }
}

/// Prints the summary on standard output, as a table or as JSON.
pub(super) fn print(summary: &Summary, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, summary)?;
        writeln!(out)?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for phase in &summary.phases {
        let strategy = phase.strategy;
        for node in &phase.nodes {
            rows.push(node.figures.row(strategy, node.node_id.short(), node.slots));
        }
        let slots = phase.nodes.iter().map(|node| node.slots).sum();
        rows.push(phase.all.row(strategy, "all".to_owned(), slots));
    }
    write!(out, "{}", table(HEADER, rows))?;
    let offered = 100.0 * summary.offered_of_capacity;
    writeln!(
        out,
        "Offered in all: {offered:.0} % of what all sites can serve together."
    )?;
    for phase in &summary.phases {
        writeln!(
            out,
            "{}: {:.1} % served; {} calls served, {} executions counted at the functions.",
            phase.strategy,
            100.0 * phase.all.served_share,
            phase.all.served,
            phase.all.executed,
        )?;
    }
    Ok(())
}
