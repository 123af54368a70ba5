//! The page of a sweep: for each key that is varied, small charts of each strategy over its values.

use std::fmt::Write;

use crate::compare::mean_and_width;
use crate::policy::Policy;
use crate::sweep::{Grid, Outcome, Row};

use super::multiple::{self, Point};
use super::scale::End;
use super::{About, Escaped, page, table};

/// A figure: what it is and in what it is counted, how to get it, and its digits and unit.
struct Figure {
    title: &'static str,
    of: fn(&Outcome) -> f64,
    digits: usize,
    unit: &'static str,
}

const FIGURES: [Figure; 4] = [
    Figure {
        title: "Served of what was offered, in percent",
        of: |run| run.totals.served_share * 100.0,
        digits: 2,
        unit: " %",
    },
    Figure {
        title: "What 95 % of answers keep to, in milliseconds",
        of: |run| run.totals.p95_ms,
        digits: 0,
        unit: " ms",
    },
    Figure {
        title: "What 99 % of answers keep to, in milliseconds",
        of: |run| run.totals.p99_ms,
        digits: 0,
        unit: " ms",
    },
    Figure {
        title: "Forwards a call",
        of: |run| run.totals.forwards_per_call,
        digits: 3,
        unit: "",
    },
];

/// The page of those runs of a sweep that are there.
pub fn of_sweep(grid: &Grid, rows: &[Row], about: About<'_>) -> String {
    let all: Vec<&Row> = rows.iter().collect();
    let seeds = grid.seeds;
    let mut sections = format!(
        "<h2>Strategies</h2>\n<p>{} of {} runs. Means over all points of the grid{}</p>\n",
        rows.len(),
        grid.points.len() as u64 * grid.strategies.len() as u64 * seeds,
        if seeds > 1 {
            format!(
                "; after ± half the width of the 95 % confidence interval over {seeds} seeds, of each of which the mean \
                 over the points is one sample."
            )
        } else {
            " with one seed, which says nothing of chance.".to_owned()
        },
    );
    let head: Vec<&str> = std::iter::once("strategy")
        .chain(FIGURES.iter().map(|figure| figure.title))
        .collect();
    let cells = |strategy: &Policy| {
        let cells = FIGURES.iter().map(|figure| figure.text(&all, *strategy));
        std::iter::once(strategy.to_string()).chain(cells).collect()
    };
    sections += &table(
        &head,
        &grid.strategies.iter().map(cells).collect::<Vec<_>>(),
    );
    for (place, key) in grid.keys.iter().enumerate() {
        let _ = writeln!(sections, "<h2>By {}</h2>", Escaped(key));
        let settings = settings(grid, place, rows);
        for figure in &FIGURES {
            let _ = writeln!(sections, "<h3>{}</h3>", figure.title);
            sections += &figure.multiples(grid, key, &settings);
        }
    }
    page(&format!("{}: a sweep", grid.name), about, &sections)
}

/// The values of a key in the order of the grid, each with the runs that have it.
fn settings<'a>(grid: &Grid, key: usize, rows: &'a [Row]) -> Vec<(String, Vec<&'a Row>)> {
    let mut settings: Vec<(String, Vec<&Row>)> = Vec::new();
    for point in 0..grid.points.len() {
        let label = grid.label(key, point);
        let place = settings.iter().position(|(known, _)| *known == label);
        let place = place.unwrap_or_else(|| {
            settings.push((label, Vec::new()));
            settings.len() - 1
        });
        settings[place]
            .1
            .extend(rows.iter().filter(|row| row.point == point));
    }
    settings
}

impl Figure {
    /// The mean over the seeds of the means over the points, and half the width of its interval; nothing without runs.
    fn of(&self, rows: &[&Row], strategy: Policy) -> Option<(f64, Option<f64>)> {
        let own = rows.iter().filter(|row| row.strategy == strategy);
        let mut by_seed: Vec<(u64, f64, f64)> = Vec::new();
        for row in own {
            // Points may have seeds of their own; equal ones are paired.
            let value = (self.of)(&row.outcome);
            match by_seed.iter_mut().find(|(seed, ..)| *seed == row.seed) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1.0),
                None => by_seed.push((row.seed, value, 1.0)),
            }
        }
        let means: Vec<f64> = by_seed.iter().map(|(_, sum, count)| sum / count).collect();
        (!means.is_empty()).then(|| mean_and_width(&means))
    }

    fn text(&self, rows: &[&Row], strategy: Policy) -> String {
        let (digits, unit) = (self.digits, self.unit);
        match self.of(rows, strategy) {
            Some((mean, Some(width))) => {
                format!("{mean:.digits$}{unit} <small>±{width:.digits$}</small>")
            }
            Some((mean, None)) => format!("{mean:.digits$}{unit}"),
            None => String::new(),
        }
    }

    /// A chart for each strategy, all with the same upright axis.
    fn multiples(&self, grid: &Grid, key: &str, settings: &[(String, Vec<&Row>)]) -> String {
        let (digits, unit) = (self.digits, self.unit);
        let points = |strategy: &Policy| -> Vec<Point> {
            let point = |(at, rows): &(String, Vec<&Row>)| {
                let (mean, width) = self.of(rows, *strategy)?;
                let or = width.map_or_else(String::new, |width| format!(" ± {width:.digits$}"));
                Some(Point {
                    at: at.clone(),
                    mean,
                    width,
                    text: format!("{mean:.digits$}{or}{unit}"),
                })
            };
            settings.iter().filter_map(point).collect()
        };
        let all: Vec<(String, Vec<Point>)> = grid
            .strategies
            .iter()
            .map(|strategy| (strategy.to_string(), points(strategy)))
            .collect();
        let ends = all.iter().flat_map(|(_, points)| points);
        let highest = ends.map(|point| point.mean + point.width.unwrap_or(0.0));
        let end = match unit {
            " %" => End::Hundred,
            _ => End::AtLeast(0.0),
        };
        let highest = end.of(highest.fold(0.0, f64::max));
        let charts = all
            .iter()
            .map(|(name, points)| multiple::figure(name, self.title, key, points, highest));
        format!(
            "<div class=\"small\">\n{}</div>\n",
            charts.collect::<String>()
        )
    }
}
