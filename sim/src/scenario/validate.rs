//! What a scenario must keep to: one plain sentence a rule.

use dfaas_protocol::policy::Policy;
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Capacity, FunctionName};

use super::ScenarioError;
use super::amount::Amount;
use super::file::{
    Fault, FaultSection, FunctionSection, LinksSection, LoadSection, NodesSection, Scenario,
    ServiceModel, Shape, Topology,
};

/// The longest run, in seconds: a year.
const LONGEST_S: f64 = 366.0 * 86_400.0;
/// The longest call, in milliseconds: an hour.
const LONGEST_MS: f64 = 3_600_000.0;
/// The most nodes.
const MOST_NODES: usize = 1_000_000;
/// The highest rate of calls, and the highest multiple of a capacity.
const HIGHEST_RATE: f64 = 1e6;

type Checked = Result<(), ScenarioError>;

fn rule(holds: bool, sentence: impl Into<String>) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(ScenarioError::invalid(sentence))
    }
}

fn seconds(value: f64, key: &str) -> Checked {
    rule(
        (0.0..=LONGEST_S).contains(&value),
        format!("{key} is seconds from 0 to a year"),
    )
}

fn positive_seconds(value: f64, key: &str) -> Checked {
    rule(
        (1e-3..=LONGEST_S).contains(&value),
        format!("{key} is seconds from 0.001 to a year"),
    )
}

fn share(value: f64, key: &str) -> Checked {
    rule(
        (0.0..=1.0).contains(&value),
        format!("{key} is a share from 0 to 1"),
    )
}

fn rate(value: f64, key: &str) -> Checked {
    rule(
        (0.0..=HIGHEST_RATE).contains(&value),
        format!("{key} is a rate from 0 to 1000000"),
    )
}

impl Scenario {
    /// Checks all that can be known without drawing anything.
    ///
    /// # Errors
    /// The first rule that does not hold, as a sentence.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        rule(!self.name.trim().is_empty(), "name is not empty")?;
        rule(
            !self.purpose.trim().is_empty(),
            "purpose is a sentence that says what the scenario is for",
        )?;
        rule(
            i64::try_from(self.seed).is_ok(),
            "seed is a number below 2 to the 63",
        )?;
        positive_seconds(self.duration_s, "duration_s")?;
        if let Some(interval) = self.interval_s {
            rule(
                (1e-3..=self.duration_s).contains(&interval),
                "interval_s is from a thousandth of a second to the duration",
            )?;
        }
        self.strategy()?;
        rule(!self.functions.is_empty(), "there is at least one function")?;
        for (place, function) in self.functions.iter().enumerate() {
            check_function(function)?;
            let before = self.functions[..place].iter();
            let twice = before.clone().any(|other| other.name == function.name);
            rule(
                !twice,
                format!("function {:?} is there once", function.name),
            )?;
        }
        let count = check_nodes(&self.nodes)?;
        rule(
            self.clocks.drift_ppm.within(-5e5, 1e6),
            "clocks.drift_ppm is from -500000 to 1000000 parts per million",
        )?;
        rule(
            self.clocks.offset_s.within(0.0, 1e6),
            "clocks.offset_s is seconds from 0 to 1000000",
        )?;
        check_topology(&self.topology, count)?;
        check_links(&self.links)?;
        rule(!self.load.is_empty(), "there is at least one load")?;
        self.load.iter().try_for_each(check_load)?;
        self.faults.iter().try_for_each(check_fault)
    }

    fn strategy(&self) -> Checked {
        positive_seconds(self.strategy.period_s, "strategy.period_s")?;
        for (name, period) in &self.strategy.periods_s {
            name.parse::<StrategyName>()
                .map_err(|error| ScenarioError::invalid(format!("strategy.periods_s: {error}")))?;
            positive_seconds(*period, "each of strategy.periods_s")?;
        }
        Ok(())
    }
}

fn check_function(function: &FunctionSection) -> Checked {
    let name = &function.name;
    FunctionName::parse(name)
        .map_err(|error| ScenarioError::invalid(format!("function {name:?}: {error}")))?;
    if let Err(error) = Capacity::declared(&function.labels) {
        return Err(ScenarioError::invalid(format!(
            "function {name:?}: {error}"
        )));
    }
    if let Some(error) = Policy::from_labels(&function.labels).1.first() {
        return Err(ScenarioError::invalid(format!(
            "function {name:?}: {error}"
        )));
    }
    let time = |ms: f64| {
        rule(
            (1e-3..=LONGEST_MS).contains(&ms),
            format!("function {name:?} takes from 0.001 milliseconds to an hour"),
        )
    };
    if let Some(deadline) = function.deadline_ms {
        rule(
            (0.0..=LONGEST_MS).contains(&deadline),
            format!("the deadline_ms of function {name:?} is from 0 to {LONGEST_MS}"),
        )?;
    }
    if let Some(cold) = function.cold {
        rule(
            (0.0..=LONGEST_MS).contains(&cold.start_ms),
            format!("function {name:?} starts within an hour"),
        )?;
        rule(
            (0.0..=1e9).contains(&cold.after_idle_s),
            format!("the cold.after_idle_s of function {name:?} is from 0 to 1e9"),
        )?;
    }
    match &function.service {
        ServiceModel::Constant { mean_ms } | ServiceModel::Exponential { mean_ms } => {
            time(*mean_ms)
        }
        ServiceModel::Lognormal { mean_ms, sigma } => {
            time(*mean_ms)?;
            rule(
                (0.0..=4.0).contains(sigma),
                format!("the sigma of function {name:?} is from 0 to 4"),
            )
        }
        ServiceModel::Trace { times_ms, file } => {
            rule(
                times_ms.is_empty() != file.is_none(),
                format!("function {name:?} has times_ms or a file of them, and not both"),
            )?;
            times_ms.iter().try_for_each(|ms| time(*ms))
        }
    }
}

fn check_nodes(nodes: &NodesSection) -> Result<usize, ScenarioError> {
    rule(
        nodes.count.is_none() || nodes.groups.is_empty(),
        "nodes has a count or groups, and not both",
    )?;
    rule(
        nodes.name.is_none() && nodes.at_km.is_none(),
        "a name and at_km are of a group, in nodes.groups",
    )?;
    let counts = nodes.groups.iter().map(|group| group.count.unwrap_or(1));
    let grouped = counts.fold(0, usize::saturating_add);
    let count = nodes.count.unwrap_or(grouped);
    rule(
        (1..=MOST_NODES).contains(&count),
        "there are from one to a million nodes, by nodes.count or nodes.groups",
    )?;
    check_make("nodes", nodes)?;
    for (place, group) in nodes.groups.iter().enumerate() {
        let name = group.name.as_deref().unwrap_or_default();
        let key = format!("group {name:?}");
        rule(!name.trim().is_empty(), "a group has a name")?;
        let twice = nodes.groups[..place]
            .iter()
            .any(|other| other.name == group.name);
        rule(!twice, format!("{key} is there once"))?;
        rule(
            group.count != Some(0),
            format!("{key} has at least one node"),
        )?;
        rule(
            group.groups.is_empty(),
            format!("{key} has no groups of its own"),
        )?;
        check_make(&key, group)?;
    }
    Ok(count)
}

fn check_make(key: &str, make: &NodesSection) -> Checked {
    rule(
        make.slots.is_none() || make.rate.is_none(),
        format!("{key} has slots or a rate, and not both"),
    )?;
    let within =
        |amount: &Option<Amount>, low, high| amount.as_ref().is_none_or(|a| a.within(low, high));
    rule(
        within(&make.slots, 1.0, 1e6),
        format!("the slots of {key} are from 1 to 1000000"),
    )?;
    rule(
        within(&make.rate, 1e-5, 1e6),
        format!("the rate of {key} is from 0.00001 to 1000000 calls a second"),
    )?;
    rule(
        within(&make.cores, 0.01, 1e5),
        format!("the cores of {key} are from 0.01 to 100000"),
    )?;
    rule(
        within(&make.speed, 1e-3, 1e3),
        format!("the speed of {key} is from 0.001 to 1000"),
    )?;
    rule(
        make.power.is_none_or(|p| {
            p.idle_watts >= 0.0 && p.max_watts >= p.idle_watts && p.max_watts <= 1e6
        }),
        format!("the power of {key} is at least 0 watts when idle and no less when busy"),
    )
}

fn check_topology(topology: &Topology, nodes: usize) -> Checked {
    match topology {
        Topology::Full | Topology::File { .. } => Ok(()),
        Topology::List { links } => rule(
            links
                .iter()
                .all(|link| link.delay_ms.as_ref().is_none_or(|ms| ms.within(0.0, 1e5))),
            "the delay of a listed link is from 0 to 100000 milliseconds",
        ),
        Topology::ErdosRenyi { p } => share(*p, "topology.p"),
        Topology::Regular { degree } => check_degree(*degree, nodes),
        Topology::SmallWorld { degree, rewire } => {
            check_degree(*degree, nodes)?;
            share(*rewire, "topology.rewire")
        }
        Topology::ScaleFree { edges } => rule(
            (1..nodes.max(2)).contains(edges),
            "topology.edges is from 1 to one less than there are nodes",
        ),
        Topology::Geographic {
            nearest,
            side_km,
            ms_per_km,
        } => {
            rule(
                (1..nodes.max(2)).contains(nearest),
                "topology.nearest is from 1 to one less than there are nodes",
            )?;
            rule(
                (1e-3..=1e5).contains(side_km) && (0.0..=1e3).contains(ms_per_km),
                "topology.side_km is from 0.001 to 100000, and topology.ms_per_km from 0 to 1000",
            )
        }
    }
}

fn check_degree(degree: usize, nodes: usize) -> Checked {
    rule(
        degree.is_multiple_of(2) && (2..nodes).contains(&degree),
        "topology.degree is even, at least 2 and less than there are nodes",
    )
}

fn check_links(links: &LinksSection) -> Checked {
    rule(
        links.delay_ms.within(0.0, 1e5),
        "links.delay_ms is from 0 to 100000",
    )?;
    rule(
        (0.0..=1e5).contains(&links.jitter_ms),
        "links.jitter_ms is from 0 to 100000",
    )?;
    rule(
        links.mbps.is_none_or(|mbps| (1e-3..=1e6).contains(&mbps)),
        "links.mbps is from 0.001 to 1000000",
    )?;
    rule(
        (0.0..=0.9).contains(&links.loss),
        "links.loss is a share from 0 to 0.9",
    )
}

fn check_load(load: &LoadSection) -> Checked {
    match &load.shape {
        Shape::Constant { rate } => rule(
            rate.within(0.0, HIGHEST_RATE),
            "the rate of a load is from 0 to 1000000",
        ),
        Shape::Hot {
            share: part,
            times,
            others,
            redraw_s,
        } => {
            share(*part, "the share of hot nodes")?;
            rate(*times, "times")?;
            rate(others[0], "the lower end of others")?;
            rate(others[1], "the upper end of others")?;
            rule(others[0] <= others[1], "others is written from low to high")?;
            positive_seconds(*redraw_s, "redraw_s")
        }
        Shape::Sinusoid {
            mean,
            amplitude,
            period_s,
            phase,
        } => {
            rate(*mean, "mean")?;
            rate(*amplitude, "amplitude")?;
            positive_seconds(*period_s, "period_s")?;
            rule(phase.within(0.0, 1.0), "phase is from 0 to 1 wave")
        }
        Shape::Step {
            before,
            after,
            at_s,
        } => {
            rate(*before, "before")?;
            rate(*after, "after")?;
            seconds(*at_s, "at_s")
        }
        Shape::Ramp {
            from,
            to,
            start_s,
            end_s,
        } => {
            rate(*from, "from")?;
            rate(*to, "to")?;
            seconds(*start_s, "start_s")?;
            seconds(*end_s, "end_s")?;
            rule(start_s < end_s, "a ramp starts before it ends")
        }
        Shape::Bursts {
            base,
            peak,
            every_s,
            length_s,
            phase,
        } => {
            rate(*base, "base")?;
            rate(*peak, "peak")?;
            positive_seconds(*every_s, "every_s")?;
            seconds(*length_s, "length_s")?;
            rule(length_s <= every_s, "a burst ends before the next begins")?;
            rule(phase.within(0.0, 1.0), "phase is from 0 to 1 of every_s")
        }
        Shape::Trace { rates, step_s } => {
            positive_seconds(*step_s, "step_s")?;
            rates.iter().try_for_each(|r| rate(*r, "each of rates"))
        }
        Shape::TraceFile { step_s, .. } => positive_seconds(*step_s, "step_s"),
    }
}

fn check_fault(fault: &FaultSection) -> Checked {
    seconds(fault.at_s, "at_s of a fault")?;
    seconds(fault.stagger_s, "stagger_s of a fault")?;
    if let Some(until) = fault.until_s {
        seconds(until, "until_s of a fault")?;
        rule(fault.at_s < until, "a fault begins before it is over")?;
    }
    match &fault.what {
        Fault::Slow { factor, .. } => rule(
            (1e-2..=1e4).contains(factor),
            "the factor of a slow node is from 0.01 to 10000",
        ),
        Fault::LoseMessages { share: part, .. } => share(*part, "the share of lost messages"),
        Fault::Crash { .. }
        | Fault::Partition { .. }
        | Fault::Lie { .. }
        | Fault::Cordon { .. } => Ok(()),
    }
}
