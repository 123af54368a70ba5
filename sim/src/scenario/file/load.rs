//! What clients bring.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scenario::amount::Amount;

/// What clients bring to some nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSection {
    /// To which nodes, by their names or their groups' names; all if it is left out.
    #[serde(default)]
    pub nodes: Option<Vec<String>>,
    /// Of which functions; all if it is left out.
    #[serde(default)]
    pub functions: Option<Vec<String>>,
    /// How calls follow each other.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// What rates are counted in.
    #[serde(default)]
    pub unit: Unit,
    /// The rate over time.
    pub shape: Shape,
}

/// How calls follow each other at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Independently of each other.
    #[default]
    Poisson,
    /// At even distances.
    Constant,
}

/// What rates are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Calls a second.
    #[default]
    Calls,
    /// Parts of what the node sustains of the function: at 2 it is brought twice what it can serve.
    Capacity,
}

/// A rate over time, for each of the nodes and functions of its load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shape {
    /// The same all the time.
    Constant {
        /// The rate; drawn once for each node and function.
        rate: Amount,
    },
    /// A share of the nodes at a multiple of their capacity, the others below it; drawn anew from time to time. Always in
    /// parts of the capacity, whatever the unit.
    Hot {
        /// The share of hot nodes.
        share: f64,
        /// What a hot node is brought.
        #[serde(default = "two")]
        times: f64,
        /// What the others are brought: uniform between these.
        #[serde(default = "others")]
        others: [f64; 2],
        /// Seconds until it is drawn anew.
        redraw_s: f64,
    },
    /// A wave, such as a day: `mean + amplitude * sin(2 pi (t / period + phase))`, never below zero.
    Sinusoid {
        /// The mean rate.
        mean: f64,
        /// How far it goes above and below.
        amplitude: f64,
        /// The length of a wave in seconds.
        period_s: f64,
        /// Where in the wave it starts, in parts of it; drawn once for each node.
        #[serde(default = "zero")]
        phase: Amount,
    },
    /// One rate, then another.
    Step {
        /// The first.
        before: f64,
        /// The second.
        after: f64,
        /// When, in seconds.
        at_s: f64,
    },
    /// From one rate to another, steadily.
    Ramp {
        /// The first rate.
        from: f64,
        /// The last.
        to: f64,
        /// When it starts to change, in seconds.
        start_s: f64,
        /// When it has changed, in seconds.
        end_s: f64,
    },
    /// A peak that comes again and again.
    Bursts {
        /// The rate between peaks.
        base: f64,
        /// The rate in them.
        peak: f64,
        /// Seconds from the start of one to the start of the next.
        every_s: f64,
        /// Seconds that one lasts.
        length_s: f64,
        /// When the first starts, in parts of `every_s`; drawn once for each node.
        #[serde(default = "zero")]
        phase: Amount,
    },
    /// Rates as they were recorded, one after the other; afterwards nothing.
    Trace {
        /// The rates.
        rates: Vec<f64>,
        /// Seconds that each lasts.
        step_s: f64,
    },
    /// Rates from a JSON file `{FUNCTION: {NODE: [rate, rate, ...]}}`, the shape of the reference's traces for k6. Who is not
    /// named there is brought nothing.
    TraceFile {
        /// The file.
        path: PathBuf,
        /// Seconds that each rate lasts.
        #[serde(default = "minute")]
        step_s: f64,
    },
}

fn zero() -> Amount {
    Amount::Fixed(0.0)
}

const fn two() -> f64 {
    2.0
}

const fn others() -> [f64; 2] {
    [0.2, 0.6]
}

const fn minute() -> f64 {
    60.0
}
