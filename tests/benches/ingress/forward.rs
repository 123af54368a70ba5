//! What a forward over mutual TLS costs in both nodes together, beside a call that is run where it came in.

use std::time::Duration;

use anyhow::Result;
use comfy_table::Table;
use dfaas_tests::Site;
use serde::Serialize;

use crate::closed::{Case, PATH, Series};
use crate::engine::Engine;
use crate::load::{Load, Measured, Pace};
use crate::proxies::pin;

/// The comparison, one line a method.
#[derive(Debug, Serialize)]
pub(crate) struct Forward {
    method: &'static str,
    connections: usize,
    /// CPU seconds of the node for 100,000 calls that it runs itself.
    local_cpu_s_per_100k: f64,
    /// CPU seconds of both nodes for 100,000 calls that one hands to the other.
    forward_cpu_s_per_100k: f64,
    /// How many times the CPU of a local call a forward costs, both nodes together.
    ratio: f64,
    /// The same for each of the two nodes, on average.
    ratio_per_node: f64,
    local_p99_us: f64,
    forward_p99_us: f64,
    failed: u64,
}

/// Loads a node that has the function, and one that has not and must forward every call, by turns.
pub(crate) async fn run(
    engine: &Engine,
    cases: &[Case],
    rounds: usize,
    time: Duration,
) -> Result<Vec<Forward>> {
    let with = format!("http://{}", engine.gateway(1).await?);
    let without = format!("http://{}", engine.gateway(0).await?);
    let there = Site::new().openfaas(&with).start().await;
    let here = Site::new().openfaas(&without).joins(&there).start().await;
    here.knows("f0", 1).await;
    for agent in [&there, &here] {
        pin(agent.pid())?;
    }
    let mut rows = Vec::new();
    for &(method, connections) in cases {
        let series = |target| Series {
            target,
            case: (method, connections),
            rounds: Vec::new(),
        };
        let (mut local, mut forwarded) = (series("local"), series("forward"));
        for round in 1..=rounds {
            let name = method.as_str();
            eprintln!("forward, {name}, {connections} connections, round {round} of {rounds}");
            let mut both = [
                (&there, vec![there.pid()], &mut local),
                (&here, vec![here.pid(), there.pid()], &mut forwarded),
            ];
            both.rotate_left(round % 2);
            for (agent, watched, series) in both {
                let load = Load {
                    target: agent.ingress().parse()?,
                    path: PATH.into(),
                    method,
                    connections,
                    warm_up: time / 4,
                    pace: Pace::Closed(time),
                    watched,
                };
                series.rounds.push(engine.run(load).await?);
            }
        }
        let ratio = forwarded.times(&local, Measured::cpu_per_100k);
        rows.push(Forward {
            method: method.as_str(),
            connections,
            local_cpu_s_per_100k: local.median(Measured::cpu_per_100k),
            forward_cpu_s_per_100k: forwarded.median(Measured::cpu_per_100k),
            ratio,
            ratio_per_node: ratio / 2.0,
            local_p99_us: local.median(|m| m.micros(0.99)),
            forward_p99_us: forwarded.median(|m| m.micros(0.99)),
            failed: local.failed() + forwarded.failed(),
        });
    }
    Ok(rows)
}

/// The comparison as a table.
pub(crate) fn table(rows: &[Forward]) -> Table {
    let mut table = Table::new();
    table.set_header([
        "method",
        "conns",
        "local CPU s/100k",
        "forward CPU s/100k",
        "ratio",
        "per node",
        "local p99 µs",
        "forward p99 µs",
        "failed",
    ]);
    for row in rows {
        table.add_row([
            row.method.to_owned(),
            row.connections.to_string(),
            format!("{:.3}", row.local_cpu_s_per_100k),
            format!("{:.3}", row.forward_cpu_s_per_100k),
            format!("{:.2}", row.ratio),
            format!("{:.2}", row.ratio_per_node),
            format!("{:.0}", row.local_p99_us),
            format!("{:.0}", row.forward_p99_us),
            row.failed.to_string(),
        ]);
    }
    table
}
