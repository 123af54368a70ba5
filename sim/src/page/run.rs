//! The page of one run.

use crate::bound::Bounds;
use crate::report::{NodeFigures, Report};

use super::bars::{self, Mark, Value};
use super::intervals::{self, Reach};
use super::scale::{End, Room};
use super::{About, Escaped, page, percent, table};

/// Nodes that are shown at most; of more, those that were served worst.
const MOST_NODES: usize = 40;

/// The page of a run beside what could be served at most.
pub fn of_run(report: &Report, bounds: &Bounds, about: About<'_>) -> String {
    let sections = [
        tiles(report, bounds),
        "<h2>Over time</h2>\n".to_owned(),
        intervals::calls(report, Room::Whole, Reach::default()),
        intervals::latency(report, Room::Whole, Reach::default()),
        intervals::forwards(report),
        nodes(report),
        all(report, bounds),
    ];
    let title = format!(
        "{}: {}, seed {}",
        report.scenario, report.strategy, report.seed
    );
    page(&title, about, &sections.concat())
}

fn tiles(report: &Report, bounds: &Bounds) -> String {
    let totals = &report.totals;
    let of_bound = totals.served as f64 / bounds.one_hop.max(1.0);
    let tiles = [
        (
            "served",
            percent(totals.served_share),
            format!("{} of {} calls", totals.served, totals.offered),
        ),
        (
            "of the one-hop bound",
            percent(of_bound),
            format!("{:.0} calls", bounds.one_hop),
        ),
        (
            "median answer",
            format!("{:.0} ms", totals.p50_ms),
            format!("99 % within {:.0} ms", totals.p99_ms),
        ),
        (
            "forwards a call",
            format!("{:.3}", totals.forwards_per_call),
            format!("{} refused there", percent(totals.peer_refusal_share)),
        ),
        (
            "fairness",
            format!("{:.4}", totals.jain),
            "Jain's index of served shares".to_owned(),
        ),
        (
            "energy",
            format!("{:.0} J", totals.joules),
            format!(
                "{:.2} J a served call",
                totals.joules / (totals.served as f64).max(1.0)
            ),
        ),
    ];
    let tile = |(name, value, more): &(&str, String, String)| {
        format!("<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>\n")
    };
    let tiles: String = tiles.iter().map(tile).collect();
    format!("<dl class=\"tiles\">\n{tiles}</dl>\n")
}

fn nodes(report: &Report) -> String {
    let mut shown: Vec<&NodeFigures> = report.nodes.iter().collect();
    let mut left_out = String::new();
    if shown.len() > MOST_NODES {
        shown.sort_by(|a, b| a.served_share.total_cmp(&b.served_share));
        shown.truncate(MOST_NODES);
        left_out = format!(
            "<p>The {MOST_NODES} of {} nodes whose clients were served worst.</p>\n",
            report.nodes.len()
        );
    }
    let share = |of: fn(&NodeFigures) -> f64| -> Vec<Value> {
        let value = |node: &&NodeFigures| Value {
            name: node.node.clone(),
            value: of(node) * 100.0,
            width: None,
            text: percent(of(node)),
        };
        shown.iter().map(value).collect()
    };
    let served = share(|node| node.served_share);
    let busy = share(|node| node.busy_share);
    let ms = |ms: Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.0} ms"));
    let row = |node: &&NodeFigures| {
        vec![
            Escaped(&node.node).to_string(),
            node.offered.to_string(),
            node.served.to_string(),
            node.refused.to_string(),
            node.lost.to_string(),
            node.ran.to_string(),
            node.forwards.to_string(),
            node.refused_peers.to_string(),
            ms(node.p50_ms),
            ms(node.p99_ms),
        ]
    };
    let head = [
        "node",
        "offered",
        "served",
        "refused",
        "lost",
        "ran",
        "forwards",
        "refused peers",
        "p50",
        "p99",
    ];
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    format!(
        "<h2>By node</h2>\n{left_out}<div class=\"pair\">\n{}{}</div>\n\
         <details><summary>The figures of each</summary>\n{}</details>\n",
        bars::figure(
            "Served of what its clients brought, in percent",
            Mark::Bar,
            &served,
            Room::Half,
            End::Hundred
        ),
        bars::figure(
            "How much of its slots or cores was busy, in percent",
            Mark::Bar,
            &busy,
            Room::Half,
            End::Hundred
        ),
        table(&head, &rows),
    )
}

fn all(report: &Report, bounds: &Bounds) -> String {
    let totals = &report.totals;
    let by = totals
        .refused_by
        .iter()
        .map(|(why, n)| format!("{} {n}", Escaped(why)));
    let by: Vec<String> = by.collect();
    let rows = [
        (
            "offered",
            format!("{} in {} s", totals.offered, report.seconds),
        ),
        ("served", totals.served.to_string()),
        (
            "refused",
            format!("{} <small>{}</small>", totals.refused, by.join(", ")),
        ),
        ("lost to a crash or a partition", totals.lost.to_string()),
        (
            "could be served without forwarding",
            format!("{:.0}", bounds.no_forwarding),
        ),
        (
            "could be served over one hop",
            format!("{:.0}", bounds.one_hop),
        ),
        (
            "could be served over any hops",
            format!("{:.0}", bounds.multi_hop),
        ),
        ("forwards", totals.forwards.to_string()),
        ("refused by neighbours", totals.peer_refusals.to_string()),
        ("neighbour not reached", totals.unreached.to_string()),
        (
            "waited",
            format!("{}, for {:.1} ms each", totals.waited, totals.wait_ms),
        ),
        ("cold starts", totals.cold_starts.to_string()),
        ("mean answer", format!("{:.1} ms", totals.mean_ms)),
        (
            "p50, p90, p95, p99, p99.9",
            format!(
                "{:.1}, {:.1}, {:.1}, {:.1}, {:.1} ms",
                totals.p50_ms, totals.p90_ms, totals.p95_ms, totals.p99_ms, totals.p999_ms
            ),
        ),
        ("longest", format!("{:.1} ms", totals.max_ms)),
        (
            "messages",
            format!("{}, {} bytes", totals.messages, totals.message_bytes),
        ),
        ("events", report.events.to_string()),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(a, b)| vec![a.to_owned(), b])
        .collect();
    format!(
        "<h2>All figures</h2>\n{}",
        table(&["figure", "value"], &rows)
    )
}
