//! A value for each of some names: as bars or, with how far off it may be, as dots.

use std::fmt::Write;

use super::Escaped;
use super::scale::{End, Room, Scale};

const ROW: f64 = 20.0;
/// Left free on the right, for the value as it is written.
const MARGIN: f64 = 80.0;
/// Width of a character of a name, about.
const CHARACTER: f64 = 7.0;

/// One value.
pub(super) struct Value {
    pub(super) name: String,
    pub(super) value: f64,
    /// Half the width of the 95 % confidence interval; with it, a dot is drawn and no bar.
    pub(super) width: Option<f64>,
    /// As it is written.
    pub(super) text: String,
}

/// How values are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Bar,
    Dot,
}

/// A row for each value, from zero on.
pub(super) fn figure(title: &str, mark: Mark, values: &[Value], room: Room, end: End) -> String {
    let width = room.width();
    let right = width - MARGIN;
    let longest = values.iter().map(|value| value.name.chars().count()).max();
    let left = (longest.unwrap_or(0) as f64 * CHARACTER + 10.0).min(240.0);
    let highest = values
        .iter()
        .map(|value| value.value + value.width.unwrap_or(0.0))
        .fold(0.0, f64::max);
    let scale = Scale::reaching(end.of(highest), 4.0);
    let bottom = values.len() as f64 * ROW + 4.0;
    let mut drawn = String::new();
    for (value, name) in scale.names() {
        let x = scale.place(value, left, right);
        let _ = writeln!(
            drawn,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            bottom + 14.0,
        );
    }
    for (row, value) in values.iter().enumerate() {
        let y = row as f64 * ROW + ROW / 2.0;
        let x = scale.place(value.value, left, right);
        let name = Escaped(&value.name);
        let _ = write!(
            drawn,
            "<g class=\"served\"><title>{name}: {}</title><text class=\"name\" x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            value.text,
            left - 6.0,
            y + 4.0,
        );
        let _ = match (mark, value.width) {
            (Mark::Bar, _) => write!(
                drawn,
                "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"2\"/>",
                y - 6.0,
                (x - left).max(0.5),
            ),
            (Mark::Dot, reach) => {
                let reach = reach.unwrap_or(0.0);
                let (from, to) = (value.value - reach, value.value + reach);
                write!(
                    drawn,
                    "<line class=\"reach\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                     <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
                    scale.place(from, left, right),
                    scale.place(to, left, right),
                )
            }
        };
        let _ = writeln!(
            drawn,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            right + 8.0,
            y + 4.0,
            value.text,
        );
    }
    format!(
        "<figure>\n<figcaption>{title}</figcaption>\n\
         <svg viewBox=\"0 0 {width} {:.0}\" role=\"img\" aria-label=\"{title}\">\n{drawn}</svg>\n\
         </figure>\n",
        bottom + 20.0,
    )
}
