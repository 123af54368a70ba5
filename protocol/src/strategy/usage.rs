//! Usage of a node's CPU, memory and power: what is predicted, and what is too much.

use std::collections::BTreeMap;

use crate::FunctionName;

use super::Observation;

/// How much a function uses of a node; the reference groups functions by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadGroup {
    /// High usage.
    High,
    /// Medium usage; functions that are in no group are taken for this.
    #[default]
    Medium,
    /// Low usage.
    Low,
}

/// Which functions are in which group.
pub type Groups = BTreeMap<FunctionName, LoadGroup>;

/// Calls a second by group: high, medium, low.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load(pub [f64; 3]);

impl Load {
    /// Adds calls of a group.
    pub fn add(&mut self, group: LoadGroup, rate: f64) {
        self.0[group as usize] += rate;
    }

    /// The calls of a group.
    pub fn of(&self, group: LoadGroup) -> f64 {
        self.0[group as usize]
    }

    /// What clients bring and what runs for peers.
    pub(super) fn offered(seen: &Observation<'_>, groups: &Groups) -> Load {
        Load::sum(seen, groups, |function| {
            function.from_clients + function.for_all_peers()
        })
    }

    /// What a function makes of a node's measurements, summed by group.
    pub(super) fn sum(
        seen: &Observation<'_>,
        groups: &Groups,
        rate: impl Fn(&super::Seen) -> f64,
    ) -> Load {
        let mut load = Load::default();
        for function in seen.functions {
            load.add(group_of(groups, &function.function), rate(function));
        }
        load
    }
}

pub(super) fn group_of(groups: &Groups, function: &FunctionName) -> LoadGroup {
    groups.get(function).copied().unwrap_or_default()
}

/// What a node uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of its CPUs, in percent.
    pub cpu_percent: f64,
    /// Of its memory, in bytes.
    pub memory_bytes: f64,
    /// Power drawn, in microwatts.
    pub power_microwatts: f64,
}

/// How much a node may use. What has no limit is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Of its CPUs, in percent.
    pub cpu_percent: Option<f64>,
    /// Of its memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// Power drawn, in microwatts.
    pub power_microwatts: Option<f64>,
}

impl Limits {
    /// What is used and what may be, of what has a limit.
    fn limited(&self, usage: &Usage) -> impl Iterator<Item = (f64, f64)> {
        [
            (usage.cpu_percent, self.cpu_percent),
            (usage.memory_bytes, self.memory_bytes),
            (usage.power_microwatts, self.power_microwatts),
        ]
        .into_iter()
        .filter_map(|(used, limit)| Some((used, limit?)))
    }

    /// Whether any limit is exceeded.
    pub fn exceeded(&self, usage: &Usage) -> bool {
        self.limited(usage).any(|(used, limit)| used > limit)
    }

    /// Usage in points of a hundred: the mean over what has a limit. Zero where nothing has.
    pub fn points(&self, usage: &Usage) -> f64 {
        let (sum, count) = self
            .limited(usage)
            .fold((0.0, 0u32), |(sum, count), (used, limit)| {
                (sum + used / limit, count + 1)
            });
        100.0 * sum / f64::from(count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_the_mean_and_one_limit_is_enough() {
        let usage = Usage {
            cpu_percent: 45.0,
            memory_bytes: 3e9,
            power_microwatts: 1e6,
        };
        let mut limits = Limits {
            cpu_percent: Some(90.0),
            memory_bytes: Some(4e9),
            power_microwatts: None,
        };
        // 50 % and 75 %.
        assert_eq!(limits.points(&usage), 62.5);
        assert!(!limits.exceeded(&usage));
        limits.power_microwatts = Some(0.9e6);
        assert!(limits.exceeded(&usage));
        assert_eq!(Limits::default().points(&usage), 0.0);
        assert!(!Limits::default().exceeded(&usage));
    }
}
