//! Values over time, as lines.

use std::fmt::Write;

use super::scale::{Room, Scale};

const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
/// Left free on the right, for half of the last time.
const MARGIN: f64 = 20.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 214.0;

/// One line: its name, its class in the style sheet, and a value for each time.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    pub(super) values: Vec<f64>,
}

/// Lines over the same times.
pub(super) struct Chart<'a> {
    /// What is shown, and in what it is counted.
    pub(super) title: &'a str,
    /// In seconds.
    pub(super) times: &'a [f64],
    /// Where the axis of time ends, in seconds.
    pub(super) until: f64,
    pub(super) lines: Vec<Line>,
    pub(super) room: Room,
    /// What the upright axis reaches at least, so that charts beside each other have the same.
    pub(super) at_least: f64,
}

impl Chart<'_> {
    pub(super) fn figure(&self) -> String {
        let width = self.room.width();
        let right = width - MARGIN;
        let mut drawn = String::new();
        let highest = self.lines.iter().flat_map(|line| &line.values);
        let upright = Scale::reaching(highest.copied().fold(self.at_least, f64::max), 4.0);
        for (value, name) in upright.names() {
            let y = upright.place(value, BOTTOM, TOP);
            let _ = writeln!(
                drawn,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                LEFT - 6.0,
                y + 4.0,
            );
        }
        // The axis of time ends where the run does, on no round number.
        let flat = Scale::reaching(self.until, 6.0);
        let across = |seconds: f64| LEFT + (right - LEFT) * (seconds / self.until).clamp(0.0, 1.0);
        for (seconds, name) in flat.names().filter(|(seconds, _)| *seconds <= self.until) {
            let _ = writeln!(
                drawn,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name} s</text>",
                across(seconds),
                BOTTOM + 18.0,
            );
        }
        for line in &self.lines {
            let points: Vec<String> = self
                .times
                .iter()
                .zip(&line.values)
                .map(|(time, value)| {
                    format!(
                        "{:.1},{:.1}",
                        across(*time),
                        upright.place(*value, BOTTOM, TOP)
                    )
                })
                .collect();
            let _ = writeln!(
                drawn,
                "<polyline class=\"{}\" points=\"{}\"/>",
                line.class,
                points.join(" ")
            );
        }
        let title = self.title;
        let legend: String = self
            .lines
            .iter()
            .map(|line| format!("<span><i class=\"{}\"></i>{}</span>", line.class, line.name))
            .collect();
        format!(
            "<figure>\n<figcaption>{title}{legend}</figcaption>\n\
             <svg viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{title} over time\">\n\
             {drawn}</svg>\n</figure>\n"
        )
    }
}
