//! The indices by which the reference compares strategies.
//!
//! They are means over functions and minutes, not over requests: a minute of one function in which nothing arrives
//! counts as a full success.

use std::ops::Range;

use serde::Serialize;

use super::step_a::{self, MinutesA};
use super::step_b::{self, MinutesB};

/// Seconds in a minute, by which world A multiplies its rates.
pub(super) const SECONDS: u64 = 60;

/// Indices of a run of world A. Success is in percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndicesA {
    /// Mean over functions and minutes of the share served.
    pub mean_success: f64,
    /// Variance of it, in percent squared.
    pub variance: f64,
    /// Median of it.
    pub median: f64,
    /// What nine tenths of the functions and minutes keep below.
    pub percentile_90: f64,
    /// Mean over the period of stress: the second to the sixth minute.
    pub stress_mean_success: f64,
    /// Variance over the period of stress.
    pub stress_variance: f64,
    /// Median over the period of stress.
    pub stress_median: f64,
    /// 90th percentile over the period of stress.
    pub stress_percentile_90: f64,
    /// Requests refused, over all minutes of sixty seconds.
    pub rejected: u64,
}

impl IndicesA {
    /// The minutes of the period of stress.
    const STRESS: Range<usize> = 1..6;

    /// The indices of a run.
    pub fn of(run: &MinutesA) -> IndicesA {
        let success = |minutes: &[[step_a::Requests; 3]]| -> Vec<f64> {
            let requests = minutes.iter().flatten();
            requests.map(|r| percent(r.served, r.offered)).collect()
        };
        let all = success(run);
        let stress = success(run.get(Self::STRESS).unwrap_or_default());
        let rejected: u64 = run.iter().flatten().map(|r| r.offered - r.served).sum();
        IndicesA {
            mean_success: mean(&all),
            variance: variance(&all),
            median: percentile(&all, 50),
            percentile_90: percentile(&all, 90),
            stress_mean_success: mean(&stress),
            stress_variance: variance(&stress),
            stress_median: percentile(&stress, 50),
            stress_percentile_90: percentile(&stress, 90),
            rejected: SECONDS * rejected,
        }
    }
}

/// Indices of a run of world B. Success is in percent, power in microwatts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndicesB {
    /// Mean over functions and minutes of the share not refused of what reached a node.
    pub mean_success: f64,
    /// Median of it.
    pub median: f64,
    /// Mean over the period of stress: the third and the fourth minute.
    pub stress_mean_success: f64,
    /// Median over the period of stress.
    pub stress_median: f64,
    /// Mean over nodes and minutes of a node's power, after it has refused what is too much.
    pub mean_power: f64,
    /// The largest power of a node in a minute.
    pub max_power: f64,
    /// Requests refused. Rates are counted once a minute, not by sixty.
    pub rejected: u64,
    /// Requests sent to a neighbour, likewise.
    pub forwarded: u64,
    /// Requests that arrived at no node, less those that arrived without a user: none unless the reference's faults are kept.
    pub lost: i64,
}

impl IndicesB {
    /// The minutes of the period of stress.
    const STRESS: Range<usize> = 2..4;

    /// The indices of a run.
    pub fn of(run: &MinutesB) -> IndicesB {
        let success = |minutes: &[step_b::Minute]| -> Vec<f64> {
            let requests = minutes.iter().flat_map(|minute| &minute.requests);
            requests
                .map(|r| percent(r.received - r.refused, r.received))
                .collect()
        };
        let all = success(run);
        let stress = success(run.get(Self::STRESS).unwrap_or_default());
        let power: Vec<f64> = run.iter().flat_map(|minute| minute.power.clone()).collect();
        let total = |count: fn(&step_b::Requests) -> u64| -> u64 {
            run.iter()
                .flat_map(|minute| &minute.requests)
                .map(count)
                .sum()
        };
        IndicesB {
            mean_success: mean(&all),
            median: percentile(&all, 50),
            stress_mean_success: mean(&stress),
            stress_median: percentile(&stress, 50),
            mean_power: mean(&power),
            max_power: power.iter().copied().fold(0.0, f64::max),
            rejected: total(|r| r.refused),
            forwarded: total(|r| r.forwarded),
            lost: total(|r| r.offered).cast_signed() - total(|r| r.received).cast_signed(),
        }
    }
}

/// What part of a whole is, in percent; of nothing it is all.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        100.0
    } else {
        100.0 * part as f64 / whole as f64
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the whole population.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
}

/// Linear between the two nearest values.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return f64::NAN;
    };
    let (below, rest) = (last * percent / 100, last * percent % 100);
    let above = values[(below + 1).min(last)];
    values[below] + (above - values[below]) * rest as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_values() {
        assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 50), 2.5);
        assert_eq!(percentile(&[0.0, 100.0], 90), 90.0);
        assert_eq!(percentile(&[7.0], 90), 7.0);
        assert_eq!(variance(&[90.0, 100.0, 80.0, 90.0]), 50.0);
    }

    #[test]
    fn a_function_without_load_counts_as_served() {
        let requests = |offered, served| step_a::Requests {
            offered,
            served,
            refused_here: offered - served,
            ..step_a::Requests::default()
        };
        // The stress of the last minute is outside its period.
        let quiet = [requests(0, 0); 3];
        let mut run = vec![quiet; 7];
        run[2][0] = requests(10, 5);
        run[6][1] = requests(4, 3);
        let indices = IndicesA::of(&run);
        assert_eq!(indices.mean_success, 100.0 - (50.0 + 25.0) / 21.0);
        assert_eq!(indices.stress_mean_success, 100.0 - 50.0 / 15.0);
        assert_eq!(indices.median, 100.0);
        assert_eq!(indices.rejected, 60 * 6);
    }
}
