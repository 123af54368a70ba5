//! Closed loop: what each target gives at most, and what a call costs it.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::load::{Load, Measured, Method, Pace};
use crate::proxies::Target;

/// The function that is called.
pub(crate) const PATH: &str = "/function/f0";

/// One cell of the comparison: a method and a number of connections.
pub(crate) type Case = (Method, usize);

/// What was measured of one target in one case, round by round.
pub(crate) struct Series {
    pub(crate) target: &'static str,
    pub(crate) case: Case,
    pub(crate) rounds: Vec<Measured>,
}

impl Series {
    /// Calls that failed in any round.
    pub(crate) fn failed(&self) -> u64 {
        self.rounds.iter().map(|m| m.failed).sum()
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    /// How many times that of `base` its value is. Both are measured in each round, one soon after the other, and what slows the
    /// machine down for a while slows down both: the median of the rounds' ratios tells more than the ratio of medians.
    pub(crate) fn times(&self, base: &Series, of: impl Fn(&Measured) -> f64) -> f64 {
        let rounds = self.rounds.iter().zip(&base.rounds);
        median(rounds.map(|(own, base)| of(own) / of(base)).collect())
    }
}

/// The value in the middle; the mean of the two in the middle if there are two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The order of a round. Each round begins elsewhere, so that nothing that recurs on the machine always hits the same target.
pub(crate) fn turns(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index + round) % count)
}

/// Loads every target in every case, once in each round.
pub(crate) async fn run(
    engine: &Engine,
    targets: &[Target],
    cases: &[Case],
    rounds: usize,
    time: Duration,
) -> Result<Vec<Series>> {
    let mut series = Vec::new();
    for case in cases {
        series.extend(targets.iter().map(|target| Series {
            target: target.name,
            case: *case,
            rounds: Vec::new(),
        }));
    }
    for round in 1..=rounds {
        eprintln!("closed loop, round {round} of {rounds}");
        for index in turns(round, series.len()) {
            let target = &targets[index % targets.len()];
            let series = &mut series[index];
            let (method, connections) = series.case;
            let load = Load {
                target: target.address,
                path: PATH.into(),
                method,
                connections,
                warm_up: time / 4,
                pace: Pace::Closed(time),
                watched: target.processes.clone(),
            };
            series
                .rounds
                .push(engine.run(load).await.context(target.name)?);
        }
    }
    Ok(series)
}
