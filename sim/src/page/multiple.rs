//! Small charts beside each other: one value for each of some settings, with how far off it may be.

use std::fmt::Write;

use super::Escaped;
use super::scale::Scale;

const WIDTH: f64 = 230.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 226.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 140.0;
/// Width of a character, about.
const CHARACTER: f64 = 6.5;

/// The value at one setting.
pub(super) struct Point {
    /// The setting.
    pub(super) at: String,
    pub(super) mean: f64,
    /// Half the width of the 95 % confidence interval.
    pub(super) width: Option<f64>,
    /// As it is written.
    pub(super) text: String,
}

/// A chart of the points of one series. `upright` says what is shown and in what it is counted, `across` what is set.
pub(super) fn figure(
    name: &str,
    upright: &str,
    across: &str,
    points: &[Point],
    at_least: f64,
) -> String {
    let scale = Scale::reaching(at_least, 3.0);
    let (name, across) = (Escaped(name), Escaped(across));
    let mut drawn = String::new();
    for (value, label) in scale.names() {
        let y = scale.place(value, BOTTOM, TOP);
        let _ = writeln!(
            drawn,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            y + 4.0,
        );
    }
    let step = (RIGHT - LEFT) / points.len().max(1) as f64;
    let room = (step / CHARACTER) as usize;
    for (place, point) in points.iter().enumerate() {
        let x = LEFT + step * (place as f64 + 0.5);
        let width = point.width.unwrap_or(0.0);
        let y = |value: f64| scale.place(value, BOTTOM, TOP);
        let _ = writeln!(
            drawn,
            "<g class=\"served\"><title>{across} = {}: {}</title>\
             <line class=\"reach\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4\"/></g>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            Escaped(&point.at),
            Escaped(&point.text),
            y(point.mean - width),
            y(point.mean + width),
            y(point.mean),
            BOTTOM + 18.0,
            Escaped(&shortened(&point.at, room)),
        );
    }
    let middle = (LEFT + RIGHT) / 2.0;
    format!(
        "<figure>\n<figcaption>{name}</figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{upright} by {across}: {name}\">\n\
         {drawn}<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>\n</svg>\n</figure>\n",
        HEIGHT - 10.0,
    )
}

/// What has room of a text.
fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept = text.chars().take(room.saturating_sub(1));
    kept.chain(['…']).collect()
}
