//! Many policies over many seeds, side by side.

use comfy_table::{Table, presets};
use rayon::prelude::*;
use serde::Serialize;

use crate::RunError;
use crate::bound::{Reach, bound};
use crate::engine::run;
use crate::policy::Policy;
use crate::report::{Report, Totals};
use crate::scenario::Scenario;

/// Runs of several policies on the same experiments.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The scenario's name.
    pub scenario: String,
    /// How many seeds.
    pub seeds: u64,
    /// One row a policy.
    pub rows: Vec<Row>,
    /// The runs of the first seed, one a policy.
    #[serde(skip)]
    pub first: Vec<Report>,
}

/// One policy: means over the seeds, and how far off they may be.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The policy.
    pub strategy: Policy,
    /// The means.
    #[serde(flatten)]
    pub means: Means,
    /// Half the width of the 95 % confidence interval of each mean, by Student's t; nothing with one seed.
    pub ci95: Option<Means>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Means {
    /// Calls that clients brought.
    pub offered: f64,
    /// Calls that were served.
    pub served: f64,
    /// Calls that were refused.
    pub refused: f64,
    /// Calls that were lost.
    pub lost: f64,
    /// Served of offered.
    pub served_share: f64,
    /// Served of what the one-hop bound allows.
    pub of_bound: f64,
    /// Served of what the dispatcher without delay serves.
    pub of_dispatcher: f64,
    /// Refused by a neighbour of what was sent to one.
    pub peer_refusal_share: f64,
    /// Median time to an answer in milliseconds.
    pub p50_ms: f64,
    /// What 95 % keep to.
    pub p95_ms: f64,
    /// What 99 % keep to.
    pub p99_ms: f64,
    /// What 99.9 % keep to.
    pub p999_ms: f64,
    /// How often a call was sent to a neighbour.
    pub forwards_per_call: f64,
    /// Jain's index of the nodes' served shares.
    pub jain: f64,
    /// Bytes of control messages for each call.
    pub message_bytes_per_call: f64,
    /// Joules for each served call.
    pub joules_per_call: f64,
}

impl Means {
    fn of(totals: &Totals, bound: f64, dispatcher: &Totals) -> Means {
        let (offered, served) = (totals.offered as f64, totals.served as f64);
        let share = |whole: f64| if whole > 0.0 { served / whole } else { 1.0 };
        Means {
            offered,
            served,
            refused: totals.refused as f64,
            lost: totals.lost as f64,
            served_share: share(offered),
            of_bound: share(bound),
            of_dispatcher: share(dispatcher.served as f64),
            peer_refusal_share: totals.peer_refusal_share,
            p50_ms: totals.p50_ms,
            p95_ms: totals.p95_ms,
            p99_ms: totals.p99_ms,
            p999_ms: totals.p999_ms,
            forwards_per_call: totals.forwards_per_call,
            jain: totals.jain,
            message_bytes_per_call: totals.message_bytes as f64 / offered.max(1.0),
            joules_per_call: totals.joules / served.max(1.0),
        }
    }

    fn fields(&mut self) -> [&mut f64; 16] {
        [
            &mut self.offered,
            &mut self.served,
            &mut self.refused,
            &mut self.lost,
            &mut self.served_share,
            &mut self.of_bound,
            &mut self.of_dispatcher,
            &mut self.peer_refusal_share,
            &mut self.p50_ms,
            &mut self.p95_ms,
            &mut self.p99_ms,
            &mut self.p999_ms,
            &mut self.forwards_per_call,
            &mut self.jain,
            &mut self.message_bytes_per_call,
            &mut self.joules_per_call,
        ]
    }

    /// The means of some samples, and half the widths of their 95 % confidence intervals.
    fn and_interval(mut samples: Vec<Means>) -> (Means, Option<Means>) {
        let (mut means, mut widths) = (Means::default(), Means::default());
        for place in 0..means.fields().len() {
            let values: Vec<f64> = samples.iter_mut().map(|s| *s.fields()[place]).collect();
            let (mean, width) = mean_and_width(&values);
            *means.fields()[place] = mean;
            *widths.fields()[place] = width.unwrap_or_default();
        }
        (means, (samples.len() > 1).then_some(widths))
    }
}

/// The mean of some samples, and half the width of its 95 % confidence interval; no width of one sample.
pub(crate) fn mean_and_width(samples: &[f64]) -> (f64, Option<f64>) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let squares: f64 = samples.iter().map(|v| (v - mean) * (v - mean)).sum();
    let deviation = libm::sqrt(squares / (n - 1.0).max(1.0));
    let width = student_t(samples.len()) * deviation / libm::sqrt(n);
    (mean, (samples.len() > 1).then_some(width))
}

/// The 97.5 % quantile of Student's t for so many samples.
fn student_t(samples: usize) -> f64 {
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    let freedom = samples.saturating_sub(1).max(1);
    T.get(freedom - 1).copied().unwrap_or(1.96)
}

/// What the runs of one seed came to, and the reports that are kept of them.
type Sample = (Vec<(Policy, Means)>, Vec<Report>);

/// Runs each policy with each of so many seeds, from the scenario's own on. The dispatcher runs in any case, to compare
/// with. It uses the threads of the rayon pool that it is called in, and the result does not depend on how many they are.
/// `done` is told after each run how many there are in all.
///
/// # Errors
/// If the scenario cannot be drawn, or a node says what another does not take.
pub fn compare(
    scenario: &Scenario,
    policies: &[Policy],
    seeds: u64,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Comparison, RunError> {
    let mut all = policies.to_vec();
    if !all.contains(&Policy::Dispatcher) {
        all.push(Policy::Dispatcher);
    }
    let runs = seeds * all.len() as u64;
    let of_seed = |index: u64| -> Result<Sample, RunError> {
        let experiment = Scenario {
            seed: scenario.seed.wrapping_add(index),
            ..scenario.clone()
        }
        .draw()?;
        let (bound, reports) = rayon::join(
            || bound(&experiment, Reach::OneHop),
            || {
                let run = |policy: &Policy| {
                    let report = run(&experiment, *policy, &mut |_| {})?;
                    done(runs);
                    Ok(report)
                };
                all.par_iter()
                    .map(run)
                    .collect::<Result<Vec<_>, RunError>>()
            },
        );
        let mut reports = reports?;
        let mut dispatcher = reports.iter();
        let dispatcher = dispatcher.find(|report| report.strategy == Policy::Dispatcher);
        let dispatcher = dispatcher.expect("the dispatcher is among the policies that run");
        let means = |report: &Report| {
            let means = Means::of(&report.totals, bound, &dispatcher.totals);
            (report.strategy, means)
        };
        let means = reports.iter().map(means).collect();
        // Of the others there would be too many to keep.
        reports.truncate(if index == 0 { policies.len() } else { 0 });
        Ok((means, reports))
    };
    let samples: Vec<Sample> = (0..seeds)
        .into_par_iter()
        .map(of_seed)
        .collect::<Result<_, _>>()?;
    let rows = policies
        .iter()
        .map(|strategy| {
            let own = samples
                .iter()
                .flat_map(|(means, _)| means)
                .filter(|(policy, _)| policy == strategy);
            let (means, ci95) = Means::and_interval(own.map(|(_, means)| *means).collect());
            Row {
                strategy: *strategy,
                means,
                ci95,
            }
        })
        .collect();
    Ok(Comparison {
        scenario: scenario.name.clone(),
        seeds,
        rows,
        first: samples.into_iter().flat_map(|(_, first)| first).collect(),
    })
}

impl Comparison {
    /// As a table for people.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "strategy",
            "served",
            "of bound",
            "of dispatcher",
            "peer refusals",
            "p50",
            "p95",
            "p99",
            "forwards a call",
            "fairness",
        ]);
        for row in &self.rows {
            let means = row.means;
            let width = |of: fn(&Means) -> f64, scale: f64, digits: usize| match &row.ci95 {
                Some(widths) => format!(" ±{:.digits$}", of(widths) * scale),
                None => String::new(),
            };
            let percent = |of: fn(&Means) -> f64| {
                format!("{:.2}{} %", of(&means) * 100.0, width(of, 100.0, 2))
            };
            let plain = |of: fn(&Means) -> f64, digits: usize| {
                format!("{:.digits$}{}", of(&means), width(of, 1.0, digits))
            };
            table.add_row([
                row.strategy.to_string(),
                percent(|m| m.served_share),
                plain(|m| m.of_bound, 4),
                plain(|m| m.of_dispatcher, 4),
                percent(|m| m.peer_refusal_share),
                plain(|m| m.p50_ms, 0),
                plain(|m| m.p95_ms, 0),
                plain(|m| m.p99_ms, 0),
                plain(|m| m.forwards_per_call, 3),
                plain(|m| m.jain, 4),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_student() {
        let sample = |p50_ms| Means {
            p50_ms,
            ..Means::default()
        };
        let (means, widths) = Means::and_interval([10.0, 12.0, 14.0].map(sample).to_vec());
        assert_eq!(means.p50_ms, 12.0);
        // Standard deviation 2, t of two degrees of freedom 4.303.
        assert!((widths.unwrap().p50_ms - 4.303 * 2.0 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(Means::and_interval(vec![sample(1.0)]).1, None);
    }
}
