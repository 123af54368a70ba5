//! The live table, on standard error where that is a terminal.

use std::io::{IsTerminal, Write};

use dfaas_protocol::strategy::StrategyName;

use super::load::Tally;
use super::site::Site;
use crate::cli::table::table;

const HEADER: [&str; 9] = [
    "STRATEGY",
    "NODE",
    ">CAN SERVE/S",
    ">OFFERED/S",
    ">OFFERED",
    ">SERVED",
    ">REFUSED",
    ">FORWARDED",
    ">P99 MS",
];

/// Draws over what it drew before.
#[derive(Debug)]
pub(super) struct LiveTable {
    terminal: bool,
    lines: usize,
    /// The half that was last announced where there is no terminal.
    announced: Option<StrategyName>,
}

impl LiveTable {
    pub(super) fn new() -> LiveTable {
        LiveTable {
            terminal: std::io::stderr().is_terminal(),
            lines: 0,
            announced: None,
        }
    }

    /// Shows where the half stands. Without a terminal it says only that the half began.
    pub(super) fn draw(
        &mut self,
        strategy: StrategyName,
        sites: &[Site],
        offered: &[f64],
        tallies: &[Tally],
    ) {
        if !self.terminal {
            if self.announced.replace(strategy) != Some(strategy) {
                eprintln!("sending load under {strategy}");
            }
            return;
        }
        let rows = sites.iter().zip(offered).zip(tallies);
        let rows = rows
            .map(|((site, rate), tally)| {
                let counts = tally.read();
                let p99 = counts.latency.value_at_quantile(0.99) as f64 / 1e3;
                [
                    strategy.to_string(),
                    site.node_id().short(),
                    format!("{:.0}", site.capacity()),
                    format!("{rate:.0}"),
                    counts.offered.to_string(),
                    counts.served.to_string(),
                    counts.refused.to_string(),
                    counts.forwarded.to_string(),
                    format!("{p99:.0}"),
                ]
            })
            .collect();
        let text = table(HEADER, rows);
        self.clear();
        self.lines = text.lines().count();
        eprint!("{text}");
    }

    /// Takes the table off the screen.
    pub(super) fn clear(&mut self) {
        if self.lines > 0 {
            // Up by so many lines, then clear to the end of the screen (ECMA-48 CPL and ED).
            eprint!("\x1b[{}F\x1b[J", self.lines);
            let _ = std::io::stderr().flush();
            self.lines = 0;
        }
    }
}
