//! Policy of a function: where its calls may run, how soon they should be answered, and who goes first.
//!
//! It is declared by the function's labels on the platform. A fence that cannot be read closes the function in, as
//! nobody can take back a call that has left; an objective that cannot be read is none.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::neighbours::Neighbour;
use crate::{NodeLabels, Time};

/// The label that keeps a function on its node: `local`, or `any`, the default.
pub const PRIVACY_LABEL: &str = "dfaas.privacy";
/// The label with the regions in which a function may run: `REGION,...`.
pub const REGION_LABEL: &str = "dfaas.region";
/// The label with the node labels that a function needs: `KEY=VALUE,...`.
pub const REQUIRE_LABEL: &str = "dfaas.require";
/// The label with the data that a function needs where it runs: `NAME,...`. A node that holds it has the label
/// [`HELD_DATA`] followed by the name, with any value.
pub const DATA_LABEL: &str = "dfaas.data";
/// What the key of a node label begins with that names data which the node holds.
pub const HELD_DATA: &str = "data.";
/// The label with the time, in milliseconds, that 95 % of a function's calls should keep to.
pub const P95_LABEL: &str = "dfaas.slo.p95_ms";
/// The label with the priority of a function's calls.
pub const PRIORITY_LABEL: &str = "dfaas.priority";
/// The node label with the region that a node is in.
pub const NODE_REGION: &str = "region";

/// The longest objective, an hour, in milliseconds.
const MAX_OBJECTIVE_MS: u64 = 3_600_000;
/// The part of an objective that is spared for what the node where a call waits does not know: the way to it and back, and
/// the error of the time that its calls take. Without it the p95 was up to 3 % above the objective in simulation.
const SPARED: f64 = 0.05;

/// Who goes first where calls wait: from 0 to 9, the higher the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The highest.
    pub const HIGHEST: Priority = Priority(9);

    /// That priority, or nothing if it is above 9.
    pub const fn new(priority: u8) -> Option<Priority> {
        if priority <= Priority::HIGHEST.0 {
            Some(Priority(priority))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    /// Five.
    fn default() -> Priority {
        Priority(5)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a function's calls may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fence {
    /// Anywhere.
    #[default]
    Open,
    /// On the node that they came to.
    Local,
    /// On nodes in one of these regions, and on the node that they came to.
    Regions(Vec<String>),
}

/// The policy of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Where its calls may run.
    pub fence: Fence,
    /// The labels that a node needs to be sent its calls.
    pub required: Vec<(String, String)>,
    /// The keys of the labels of the data that a node must hold.
    pub data: Vec<String>,
    /// The time that 95 % of its calls should keep to.
    pub p95: Option<Duration>,
    /// Who goes first.
    pub priority: Priority,
}

/// A policy label with a value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("label {label}={value} is not usable: give {expected}; {instead}")]
pub struct PolicyError {
    label: &'static str,
    value: String,
    expected: &'static str,
    instead: &'static str,
}

/// Why a neighbour is not sent a function's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// It takes no forwarded calls.
    Cordoned,
    /// The function does not leave its node.
    Local,
    /// It is in no region where the function may run.
    Region,
    /// A label that the function needs is missing there.
    Label,
    /// Data that the function needs is not there.
    Data,
}

impl Excluded {
    /// A word for logs and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Excluded::Cordoned => "cordoned",
            Excluded::Local => "local",
            Excluded::Region => "region",
            Excluded::Label => "label",
            Excluded::Data => "data",
        }
    }
}

impl Policy {
    /// The policy that a function's labels declare, and the labels that cannot be used.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> (Policy, Vec<PolicyError>) {
        let mut policy = Policy::default();
        let mut errors = Vec::new();
        let mut unusable = |label, expected, instead| {
            let value = labels.get(label).cloned().unwrap_or_default();
            errors.push(PolicyError {
                label,
                value,
                expected,
                instead,
            });
        };
        let value = |label: &str| labels.get(label).map(|value| value.trim());
        const CLOSED: &str = "until then its calls stay on this node";

        let mut closed = false;
        match value(PRIVACY_LABEL) {
            None | Some("any") => {}
            Some("local") => closed = true,
            Some(_) => {
                closed = true;
                unusable(PRIVACY_LABEL, "local or any", CLOSED);
            }
        }
        if let Some(text) = value(REGION_LABEL) {
            let regions = list(text);
            if regions.is_empty() {
                closed = true;
                unusable(REGION_LABEL, "regions with commas between them", CLOSED);
            }
            policy.fence = Fence::Regions(regions);
        }
        if let Some(text) = value(REQUIRE_LABEL) {
            let pairs = list(text);
            let required: Vec<_> = pairs
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect();
            if required.is_empty() || required.len() < pairs.len() {
                closed = true;
                unusable(REQUIRE_LABEL, "KEY=VALUE with commas between them", CLOSED);
            }
            policy.required = required;
        }
        if let Some(text) = value(DATA_LABEL) {
            policy.data = list(text)
                .iter()
                .map(|name| format!("{HELD_DATA}{name}"))
                .collect();
            // Data that no node could say it holds is nowhere.
            if policy.data.is_empty() || !policy.data.iter().all(|key| NodeLabels::may_have(key)) {
                closed = true;
                unusable(DATA_LABEL, "names of data with commas between them", CLOSED);
            }
        }
        if closed {
            policy.fence = Fence::Local;
        }
        if let Some(text) = value(P95_LABEL) {
            match text.parse() {
                Ok(ms @ 1..=MAX_OBJECTIVE_MS) => policy.p95 = Some(Duration::from_millis(ms)),
                _ => unusable(
                    P95_LABEL,
                    "whole milliseconds from 1 to 3600000",
                    "until then there is no objective",
                ),
            }
        }
        if let Some(text) = value(PRIORITY_LABEL) {
            match text.parse().ok().and_then(Priority::new) {
                Some(priority) => policy.priority = priority,
                None => unusable(
                    PRIORITY_LABEL,
                    "a whole number from 0 to 9",
                    "until then it is 5",
                ),
            }
        }
        (policy, errors)
    }

    /// Why a neighbour may not be sent calls of the function; nothing if it may.
    pub fn excludes(&self, neighbour: &Neighbour) -> Option<Excluded> {
        if neighbour.cordoned {
            return Some(Excluded::Cordoned);
        }
        self.excludes_node(&neighbour.labels)
    }

    /// Whether a node with those labels may offer the function to its neighbours.
    pub fn is_offered_by(&self, labels: &NodeLabels) -> bool {
        self.excludes_node(labels).is_none()
    }

    fn excludes_node(&self, labels: &NodeLabels) -> Option<Excluded> {
        match &self.fence {
            Fence::Open => {}
            Fence::Local => return Some(Excluded::Local),
            Fence::Regions(regions) => {
                let region = labels.get(NODE_REGION);
                if !regions.iter().any(|r| Some(r.as_str()) == region) {
                    return Some(Excluded::Region);
                }
            }
        }
        let has = |(key, value): &(String, String)| labels.get(key) == Some(value);
        if !self.required.iter().all(has) {
            return Some(Excluded::Label);
        }
        let holds = |key: &String| labels.get(key).is_some();
        (!self.data.iter().all(holds)).then_some(Excluded::Data)
    }

    /// How long a call may wait so that 95 % of the function's calls keep to its objective: what is left of it beside the
    /// [time](crate::estimate::Tail) that 95 % take to run, and beside a twentieth of it for the way and for the error of that
    /// time. If none waits longer, the objective holds however times are distributed; and if even those that need not
    /// wait miss it, nothing holds it. Until that time is known, half of the objective. Nothing without an objective.
    pub fn patience(&self, tail: Option<Duration>) -> Option<Duration> {
        let objective = self.p95?.mul_f64(1.0 - SPARED);
        Some(match tail {
            Some(tail) => objective.saturating_sub(tail),
            None => objective / 2,
        })
    }
}

/// What a call asks for beside its function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Who goes first.
    pub priority: Priority,
    /// The answer is of no use after that time.
    pub deadline: Option<Time>,
    /// It is to be refused if it cannot start by then; from the function's objective.
    pub start_by: Option<Time>,
}

impl Terms {
    /// Whether no answer is of use any more.
    pub fn are_over(&self, now: Time) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// What is asked for of a node to which the call is sent `now`: it reckons from the call's arrival there, and the answer has
    /// to come back, so that the time of the way there and back is not its own.
    pub fn asked(&self, now: Time, round_trip: Duration) -> Asked {
        let left = |deadline: Time| deadline.since(now).saturating_sub(round_trip);
        Asked {
            priority: self.priority,
            within: self.deadline.map(left),
        }
    }

    /// The latest start, with a mean service time of `service`.
    pub fn latest_start(&self, service: Option<Duration>) -> Option<Time> {
        let service = service.unwrap_or_default();
        let deadline = self.deadline.map(|deadline| deadline.before(service));
        match (deadline, self.start_by) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// What a call asks for of the node that it is sent to. A span of time, as clocks differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Who goes first.
    pub priority: Priority,
    /// Within what time its answer is of use, from when it arrives there.
    pub within: Option<Duration>,
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(pairs: &[(&str, &str)]) -> (Policy, usize) {
        let labels = pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let (policy, errors) = Policy::from_labels(&labels);
        (policy, errors.len())
    }

    fn node(pairs: &[(&str, &str)]) -> NodeLabels {
        NodeLabels::new(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()))).unwrap()
    }

    #[test]
    fn a_function_without_labels_may_run_anywhere() {
        let (policy, errors) = policy(&[("other", "x")]);
        assert_eq!((&policy, errors), (&Policy::default(), 0));
        assert!(policy.is_offered_by(&node(&[])));
        assert_eq!(policy.priority.get(), 5);
        assert_eq!(policy.patience(Some(Duration::from_millis(100))), None);
    }

    #[test]
    fn regions_and_required_labels_are_all_asked_for() {
        let (policy, errors) = policy(&[
            (REGION_LABEL, "north, south"),
            (REQUIRE_LABEL, "gpu=a1,disk=ssd"),
        ]);
        assert_eq!(errors, 0);
        for (labels, excluded) in [
            (
                &[("region", "north"), ("gpu", "a1"), ("disk", "ssd")][..],
                None,
            ),
            (&[("region", "north"), ("gpu", "a1")], Some(Excluded::Label)),
            (
                &[("region", "nor"), ("gpu", "a1"), ("disk", "ssd")],
                Some(Excluded::Region),
            ),
            (&[("gpu", "a1"), ("disk", "ssd")], Some(Excluded::Region)),
        ] {
            assert_eq!(policy.excludes_node(&node(labels)), excluded, "{labels:?}");
        }
    }

    #[test]
    fn data_is_asked_for_after_fences_and_labels() {
        let (policy, errors) = policy(&[
            (REGION_LABEL, "north"),
            (REQUIRE_LABEL, "disk=ssd"),
            (DATA_LABEL, "maps, tiles"),
        ]);
        assert_eq!(errors, 0);
        let (region, disk) = (("region", "north"), ("disk", "ssd"));
        let (maps, tiles) = (("data.maps", ""), ("data.tiles", "2026-11"));
        for (labels, excluded) in [
            (&[region, disk, maps, tiles][..], None),
            (&[region, disk, maps], Some(Excluded::Data)),
            (&[region, maps, tiles], Some(Excluded::Label)),
            (&[disk, maps, tiles], Some(Excluded::Region)),
            (&[region, disk, ("maps", "")], Some(Excluded::Data)),
        ] {
            assert_eq!(policy.excludes_node(&node(labels)), excluded, "{labels:?}");
        }
    }

    #[test]
    fn a_fence_that_cannot_be_read_closes_the_function_in() {
        for (label, value) in [
            (PRIVACY_LABEL, "lcoal"),
            (REGION_LABEL, " ,"),
            (REQUIRE_LABEL, "gpu"),
            (REQUIRE_LABEL, ""),
            (DATA_LABEL, ""),
            (DATA_LABEL, "maps of 2026"),
        ] {
            let (policy, errors) = policy(&[(label, value), (REGION_LABEL, value)]);
            assert_eq!(policy.fence, Fence::Local, "{label}={value}");
            assert!(errors > 0);
        }
        let (local, errors) = policy(&[(PRIVACY_LABEL, "local"), (REGION_LABEL, "north")]);
        assert_eq!((local.fence, errors), (Fence::Local, 0));
    }

    #[test]
    fn an_objective_leaves_what_the_calls_leave_of_it() {
        let (policy, errors) = policy(&[(P95_LABEL, "500"), (PRIORITY_LABEL, "9")]);
        assert_eq!((errors, policy.priority), (0, Priority::HIGHEST));
        assert_eq!(policy.patience(None), Some(Duration::from_micros(237_500)));
        // 475 ms less 300.
        let patience = policy.patience(Some(Duration::from_millis(300)));
        assert_eq!(patience, Some(Duration::from_millis(175)));
        let long = policy.patience(Some(Duration::from_secs(1)));
        assert_eq!(long, Some(Duration::ZERO));
    }

    #[test]
    fn numbers_out_of_range_are_reported() {
        for (label, value) in [
            (P95_LABEL, "0"),
            (P95_LABEL, "3600001"),
            (P95_LABEL, "fast"),
            (PRIORITY_LABEL, "10"),
            (PRIORITY_LABEL, "-1"),
        ] {
            assert_eq!(policy(&[(label, value)]), (Policy::default(), 1), "{value}");
        }
    }

    #[test]
    fn what_is_asked_for_is_what_the_way_leaves() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let ms = Duration::from_millis;
        let terms = Terms {
            deadline: Some(at(300)),
            ..Terms::default()
        };
        let within = |now| terms.asked(at(now), ms(10)).within;
        assert_eq!(within(100), Some(ms(190)));
        assert_eq!(within(295), Some(ms(0)));
        assert_eq!(Terms::default().asked(at(1), ms(0)), Asked::default());
    }

    #[test]
    fn the_latest_start_is_the_earlier_of_two() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let service = Some(Duration::from_millis(100));
        let terms = |deadline: Option<u64>, start_by: Option<u64>| Terms {
            deadline: deadline.map(at),
            start_by: start_by.map(at),
            ..Terms::default()
        };
        assert_eq!(terms(None, None).latest_start(service), None);
        assert_eq!(terms(Some(300), None).latest_start(service), Some(at(200)));
        assert_eq!(
            terms(Some(300), Some(150)).latest_start(service),
            Some(at(150))
        );
        assert_eq!(terms(Some(50), None).latest_start(service), Some(at(0)));
    }
}
