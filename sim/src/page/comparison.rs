//! The page of a comparison.

use std::fmt::Write;

use crate::compare::{Comparison, Means, Row};

use super::bars::{self, Mark, Value};
use super::intervals::{self, Reach};
use super::scale::{End, Room};
use super::{About, page, table};

/// A figure of the table: its name, how to get it, what to multiply it with, digits, and unit.
type Figure = (&'static str, fn(&Means) -> f64, f64, usize, &'static str);

const FIGURES: [Figure; 10] = [
    ("served", |m| m.served_share, 100.0, 2, " %"),
    ("of bound", |m| m.of_bound, 100.0, 2, " %"),
    ("of dispatcher", |m| m.of_dispatcher, 100.0, 2, " %"),
    ("peer refusals", |m| m.peer_refusal_share, 100.0, 2, " %"),
    ("p50", |m| m.p50_ms, 1.0, 0, " ms"),
    ("p95", |m| m.p95_ms, 1.0, 0, " ms"),
    ("p99", |m| m.p99_ms, 1.0, 0, " ms"),
    ("forwards a call", |m| m.forwards_per_call, 1.0, 3, ""),
    ("fairness", |m| m.jain, 1.0, 4, ""),
    ("joules a call", |m| m.joules_per_call, 1.0, 2, ""),
];

/// The page of a comparison, with the runs of its first seed over time.
pub fn of_comparison(comparison: &Comparison, about: About<'_>) -> String {
    let mut sections = String::new();
    let seeds = comparison.seeds;
    let _ = writeln!(
        sections,
        "<h2>Strategies</h2>\n<p>Means over {seeds} {}.{}</p>",
        if seeds == 1 { "seed" } else { "seeds" },
        if seeds == 1 {
            ""
        } else {
            " After ±: half the width of the 95 % confidence interval."
        },
    );
    let headings = [&["strategy"][..], &FIGURES.map(|figure| figure.0)].concat();
    sections += &table(
        &headings,
        &comparison.rows.iter().map(cells).collect::<Vec<_>>(),
    );
    sections += "<p><small>The bound is the maximum flow over one hop, without chance; the dispatcher has the rule of \
                 headroom and sees what is left at every candidate without delay.</small></p>\n";
    for (title, figure, end) in [
        (
            "Served of what was offered, in percent",
            FIGURES[0],
            End::Hundred,
        ),
        (
            "What 99 % of answers keep to, in milliseconds",
            FIGURES[6],
            End::AtLeast(0.0),
        ),
        ("Forwards a call", FIGURES[7], End::AtLeast(0.0)),
    ] {
        sections += &dots(comparison, title, figure, end);
    }
    if let Some(first) = comparison.first.first() {
        let _ = writeln!(sections, "<h2>Over time, seed {}</h2>", first.seed);
    }
    let reach = Reach::of(&comparison.first);
    for report in &comparison.first {
        let _ = writeln!(
            sections,
            "<h3>{}</h3>\n<div class=\"pair\">\n{}{}</div>",
            report.strategy,
            intervals::calls(report, Room::Half, reach),
            intervals::latency(report, Room::Half, reach),
        );
    }
    page(
        &format!("{}: strategies compared", comparison.scenario),
        about,
        &sections,
    )
}

fn cells(row: &Row) -> Vec<String> {
    let cell = |(_, of, scale, digits, unit): &Figure| {
        let width = row.ci95.as_ref().map_or_else(String::new, |widths| {
            format!(" <small>±{:.digits$}</small>", of(widths) * scale)
        });
        format!("{:.digits$}{unit}{width}", of(&row.means) * scale)
    };
    let name = std::iter::once(row.strategy.to_string());
    name.chain(FIGURES.iter().map(cell)).collect()
}

fn dots(comparison: &Comparison, title: &str, figure: Figure, end: End) -> String {
    let (_, of, scale, digits, unit) = figure;
    let values = comparison.rows.iter().map(|row| Value {
        name: row.strategy.to_string(),
        value: of(&row.means) * scale,
        width: row.ci95.as_ref().map(|widths| of(widths) * scale),
        text: format!("{:.digits$}{unit}", of(&row.means) * scale),
    });
    bars::figure(
        title,
        Mark::Dot,
        &values.collect::<Vec<_>>(),
        Room::Whole,
        end,
    )
}
