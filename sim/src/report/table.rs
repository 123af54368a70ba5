//! Reports as tables for people.

use comfy_table::{Table, presets};

use super::figures::Report;

/// Nodes that are listed at most.
const MOST_NODES: usize = 20;

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

impl Report {
    /// As tables: all nodes together, then each node, if there are few.
    pub fn table(&self) -> String {
        let totals = &self.totals;
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let by: Vec<String> = totals
            .refused_by
            .iter()
            .map(|(why, n)| format!("{why} {n}"))
            .collect();
        let rows = [
            ("scenario", format!("{}, seed {}", self.scenario, self.seed)),
            ("strategy", self.strategy.to_string()),
            (
                "offered",
                format!("{} in {} s", totals.offered, self.seconds),
            ),
            (
                "served",
                format!("{} ({})", totals.served, percent(totals.served_share)),
            ),
            ("refused", format!("{} {}", totals.refused, by.join(", "))),
            ("lost", totals.lost.to_string()),
            (
                "forwards",
                format!(
                    "{} ({:.3} a call)",
                    totals.forwards, totals.forwards_per_call
                ),
            ),
            (
                "refused by peers",
                format!(
                    "{} ({})",
                    totals.peer_refusals,
                    percent(totals.peer_refusal_share)
                ),
            ),
            ("hops", format!("{:.3} a served call", totals.hops)),
            (
                "waited",
                format!("{}, for {:.1} ms each", totals.waited, totals.wait_ms),
            ),
            ("cold starts", totals.cold_starts.to_string()),
            (
                "p50, p95, p99, p99.9",
                format!(
                    "{:.1}, {:.1}, {:.1}, {:.1} ms",
                    totals.p50_ms, totals.p95_ms, totals.p99_ms, totals.p999_ms
                ),
            ),
            ("fairness (Jain)", format!("{:.4}", totals.jain)),
            (
                "messages",
                format!("{}, {} bytes", totals.messages, totals.message_bytes),
            ),
            ("energy", format!("{:.0} J", totals.joules)),
        ];
        for (name, value) in rows {
            table.add_row([name.to_owned(), value]);
        }
        if self.nodes.len() > MOST_NODES {
            return table.to_string();
        }
        let mut nodes = Table::new();
        nodes.load_style(presets::UTF8_BORDERS_ONLY);
        nodes.set_header([
            "node", "offered", "served", "share", "ran", "forwards", "busy", "p50", "p99",
        ]);
        for node in &self.nodes {
            let ms = |ms: Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.0} ms"));
            nodes.add_row([
                node.node.clone(),
                node.offered.to_string(),
                node.served.to_string(),
                percent(node.served_share),
                node.ran.to_string(),
                node.forwards.to_string(),
                percent(node.busy_share),
                ms(node.p50_ms),
                ms(node.p99_ms),
            ]);
        }
        format!("{table}\n{nodes}")
    }
}
