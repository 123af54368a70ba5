//! The charts over time of one run.

use crate::report::{Interval, Report};

use super::chart::{Chart, Line};
use super::scale::Room;

/// What the upright axes reach at least: the largest of the runs that stand beside each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    calls: f64,
    ms: f64,
}

/// The intervals in which clients brought calls, their middles, and how long each is.
struct Times<'a> {
    intervals: &'a [Interval],
    middles: Vec<f64>,
    seconds: Vec<f64>,
}

impl Times<'_> {
    fn of(report: &Report) -> Times<'_> {
        let from = |place: usize| report.intervals.get(place).map(|interval| interval.from_s);
        let until = report
            .intervals
            .iter()
            .take_while(|i| i.from_s < report.seconds)
            .count();
        let end = |place| {
            from(place + 1)
                .unwrap_or(report.seconds)
                .min(report.seconds)
        };
        let spans = report.intervals[..until].iter().enumerate();
        let spans = spans.map(|(place, interval)| (interval.from_s, end(place)));
        Times {
            intervals: &report.intervals[..until],
            middles: spans.clone().map(|(from, to)| (from + to) / 2.0).collect(),
            seconds: spans.map(|(from, to)| (to - from).max(1e-9)).collect(),
        }
    }

    fn a_second(&self, of: fn(&Interval) -> u64) -> Vec<f64> {
        let pairs = self.intervals.iter().zip(&self.seconds);
        pairs
            .map(|(interval, seconds)| of(interval) as f64 / seconds)
            .collect()
    }
}

impl Reach {
    pub(super) fn of(reports: &[Report]) -> Reach {
        let mut reach = Reach::default();
        for report in reports {
            let times = Times::of(report);
            for of in [|i: &Interval| i.offered, |i: &Interval| i.served] {
                reach.calls = times.a_second(of).into_iter().fold(reach.calls, f64::max);
            }
            let p99 = times.intervals.iter().map(|interval| interval.p99_ms);
            reach.ms = p99.fold(reach.ms, f64::max);
        }
        reach
    }
}

/// Calls a second: what clients brought, and what became of it.
pub(super) fn calls(report: &Report, room: Room, reach: Reach) -> String {
    let times = Times::of(report);
    let line = |name, of| Line {
        name,
        class: name,
        values: times.a_second(of),
    };
    let mut lines = vec![
        line("offered", |i| i.offered),
        line("served", |i| i.served),
        line("refused", |i| i.refused),
    ];
    if report.totals.lost > 0 {
        lines.push(line("lost", |i| i.lost));
    }
    chart(report, &times, "Calls a second", lines, (room, reach.calls))
}

/// How long answers took.
pub(super) fn latency(report: &Report, room: Room, reach: Reach) -> String {
    let times = Times::of(report);
    let line = |name, class, of: fn(&Interval) -> f64| Line {
        name,
        class,
        values: times.intervals.iter().map(of).collect(),
    };
    let lines = vec![
        line("median", "q1", |i| i.p50_ms),
        line("95 %", "q2", |i| i.p95_ms),
        line("99 %", "q3", |i| i.p99_ms),
    ];
    chart(
        report,
        &times,
        "Time to an answer, in ms",
        lines,
        (room, reach.ms),
    )
}

/// What was sent to neighbours, and refused there.
pub(super) fn forwards(report: &Report) -> String {
    let times = Times::of(report);
    let line = |name, class, of| Line {
        name,
        class,
        values: times.a_second(of),
    };
    let lines = vec![
        line("sent to a neighbour", "served", |i| i.forwards),
        line("refused there", "refused", |i| i.peer_refusals),
    ];
    chart(
        report,
        &times,
        "Forwards a second",
        lines,
        (Room::Whole, 0.0),
    )
}

fn chart(
    report: &Report,
    times: &Times<'_>,
    title: &str,
    lines: Vec<Line>,
    (room, at_least): (Room, f64),
) -> String {
    if times.middles.len() < 2 {
        return format!(
            "<p>{title}: the run is too short, or too quiet, to show it over time.</p>\n"
        );
    }
    let chart = Chart {
        title,
        times: &times.middles,
        until: report.seconds,
        lines,
        room,
        at_least,
    };
    chart.figure()
}
