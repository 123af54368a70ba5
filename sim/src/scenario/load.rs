//! Load: shapes become rates that are constant for a while. Smooth shapes are sampled.

use std::collections::BTreeMap;
use std::time::Duration;

use dfaas_protocol::{FunctionName, Time};
use rand::RngExt;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::ScenarioError;
use super::amount::Amount;
use super::experiment::{Experiment, Rate, Source};
use super::file::{Arrivals, Scenario, Shape, Unit};
use super::random::Stream;
use super::select::Selection;

/// A smooth shape is sampled so often over a wave or a ramp, but not more often than [`FINEST_S`].
const SAMPLES: f64 = 100.0;
const FINEST_S: f64 = 0.1;

/// The sources of a scenario, of which nodes and functions are drawn already: by node, then by function.
pub(super) fn draw(scenario: &Scenario, drawn: &Experiment) -> Result<Vec<Source>, ScenarioError> {
    let mut rng = Stream::Load.rng(drawn.seed);
    let mut sources: BTreeMap<(usize, usize, bool), Vec<Rate>> = BTreeMap::new();
    for section in &scenario.load {
        let nodes = Selection::new(&drawn.nodes).all_or(section.nodes.as_deref())?;
        let functions = functions_of(section.functions.as_deref(), drawn)?;
        let mut shape = Drawing::new(&section.shape, scenario, drawn, nodes.len(), &mut rng)?;
        for (place, node) in nodes.into_iter().enumerate() {
            shape.next_node(place, &mut rng);
            for function in &functions {
                let capacity = drawn.sustained(node, *function);
                let is_parts =
                    section.unit == Unit::Capacity || matches!(section.shape, Shape::Hot { .. });
                let scale = if is_parts { capacity } else { 1.0 };
                let mut rates = shape.rates(node, *function, place, drawn, &mut rng);
                for rate in &mut rates {
                    rate.per_second = (rate.per_second * scale).max(0.0);
                }
                let key = (node, *function, section.arrivals == Arrivals::Constant);
                let known = sources.remove(&key).unwrap_or_default();
                let sum = if known.is_empty() {
                    rates
                } else {
                    add(&known, &rates)
                };
                if sum.iter().any(|rate| rate.per_second > 0.0) {
                    sources.insert(key, sum);
                }
            }
        }
    }
    let source = |((node, function, even), rates)| Source {
        node,
        function,
        arrivals: if even {
            Arrivals::Constant
        } else {
            Arrivals::Poisson
        },
        rates: simplified(rates),
    };
    Ok(sources.into_iter().map(source).collect())
}

fn functions_of(names: Option<&[String]>, drawn: &Experiment) -> Result<Vec<usize>, ScenarioError> {
    let Some(names) = names else {
        return Ok((0..drawn.functions.len()).collect());
    };
    names
        .iter()
        .map(|name| {
            function_named(name, drawn).ok_or_else(|| {
                ScenarioError::invalid(format!("load names a function {name:?} that is not there"))
            })
        })
        .collect()
}

fn function_named(name: &str, drawn: &Experiment) -> Option<usize> {
    let name = FunctionName::parse(name).ok()?;
    drawn.functions.iter().position(|f| f.name == name)
}

/// A shape with what of it is drawn for all nodes, and for the node at hand.
struct Drawing<'a> {
    shape: &'a Shape,
    seconds: f64,
    nodes: usize,
    /// For [`Shape::Hot`]: for each redraw, the load of each node.
    redrawn: Vec<Vec<f64>>,
    phase: f64,
    trace: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

impl<'a> Drawing<'a> {
    fn new(
        shape: &'a Shape,
        scenario: &Scenario,
        drawn: &Experiment,
        nodes: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Drawing<'a>, ScenarioError> {
        let seconds = drawn.duration.as_secs_f64();
        let mut redrawn = Vec::new();
        if let Shape::Hot {
            share,
            times,
            others,
            redraw_s,
        } = shape
        {
            let hot = ((share * nodes as f64).round() as usize).min(nodes);
            for _ in 0..(seconds / redraw_s).ceil().max(1.0) as usize {
                let cold = |rng: &mut ChaCha8Rng| {
                    others[0] + (others[1] - others[0]) * rng.random::<f64>()
                };
                let mut load: Vec<f64> = (0..nodes).map(|_| cold(rng)).collect();
                for node in sample(rng, nodes, hot) {
                    load[node] = *times;
                }
                redrawn.push(load);
            }
        }
        let trace = match shape {
            Shape::TraceFile { path, .. } => {
                let text = super::read(&scenario.directory.join(path))?;
                serde_json::from_str(&text).map_err(|error| {
                    ScenarioError::invalid(format!(
                        "{} is not {{FUNCTION: {{NODE: [rate, ...]}}}}: {error}",
                        path.display()
                    ))
                })?
            }
            _ => BTreeMap::new(),
        };
        Ok(Drawing {
            shape,
            seconds,
            nodes,
            redrawn,
            phase: 0.0,
            trace,
        })
    }

    fn next_node(&mut self, place: usize, rng: &mut ChaCha8Rng) {
        let amount = match self.shape {
            Shape::Sinusoid { phase, .. } | Shape::Bursts { phase, .. } => phase,
            _ => &Amount::Fixed(0.0),
        };
        self.phase = amount.draw(place, self.nodes, rng);
    }

    fn rates(
        &self,
        node: usize,
        function: usize,
        place: usize,
        drawn: &Experiment,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Rate> {
        match self.shape {
            Shape::Constant { rate } => vec![from(0.0, rate.draw(place, self.nodes, rng))],
            Shape::Hot { redraw_s, .. } => {
                let loads = self.redrawn.iter().enumerate();
                loads
                    .map(|(n, load)| from(n as f64 * redraw_s, load[place]))
                    .collect()
            }
            Shape::Sinusoid {
                mean,
                amplitude,
                period_s,
                ..
            } => {
                let step = (period_s / SAMPLES).max(FINEST_S);
                let turn = |at: f64| std::f64::consts::TAU * (at / period_s + self.phase);
                self.sampled(0.0, self.seconds, step, |at| {
                    (mean + amplitude * libm::sin(turn(at))).max(0.0)
                })
            }
            Shape::Step {
                before,
                after,
                at_s,
            } => vec![from(0.0, *before), from(*at_s, *after)],
            Shape::Ramp {
                from: first,
                to,
                start_s,
                end_s,
            } => {
                let step = ((end_s - start_s) / SAMPLES).max(FINEST_S);
                let mut rates = vec![from(0.0, *first)];
                rates.extend(self.sampled(*start_s, *end_s, step, |at| {
                    first + (to - first) * (at - start_s) / (end_s - start_s)
                }));
                rates.push(from(*end_s, *to));
                rates
            }
            Shape::Bursts {
                base,
                peak,
                every_s,
                length_s,
                ..
            } => {
                let mut rates = vec![from(0.0, *base)];
                let mut start = self.phase * every_s;
                while start < self.seconds {
                    rates.push(from(start, *peak));
                    rates.push(from(start + length_s, *base));
                    start += every_s;
                }
                rates
            }
            Shape::Trace { rates, step_s } => trace(rates, *step_s),
            Shape::TraceFile { step_s, .. } => {
                let name = &drawn.functions[function].name;
                let named = self
                    .trace
                    .iter()
                    .find(|(text, _)| FunctionName::parse(text).is_ok_and(|text| text == *name));
                let rates = named.and_then(|(_, nodes)| nodes.get(&drawn.nodes[node].name));
                rates.map_or_else(|| vec![from(0.0, 0.0)], |rates| trace(rates, *step_s))
            }
        }
    }

    /// The rate in the middle of each step.
    fn sampled(&self, start: f64, end: f64, step: f64, rate: impl Fn(f64) -> f64) -> Vec<Rate> {
        let steps = ((end.min(self.seconds) - start) / step).ceil().max(0.0) as usize;
        (0..steps)
            .map(|n| start + n as f64 * step)
            .map(|at| from(at, rate((at + step / 2.0).min(end))))
            .collect()
    }
}

fn from(seconds: f64, per_second: f64) -> Rate {
    Rate {
        from: Time::ZERO + Duration::from_secs_f64(seconds.max(0.0)),
        per_second,
    }
}

fn trace(rates: &[f64], step: f64) -> Vec<Rate> {
    let steps = rates.iter().chain([&0.0]).enumerate();
    steps
        .map(|(n, rate)| from(n as f64 * step, *rate))
        .collect()
}

/// The sum of two rates over time.
fn add(a: &[Rate], b: &[Rate]) -> Vec<Rate> {
    let mut times: Vec<Time> = a.iter().chain(b).map(|rate| rate.from).collect();
    times.sort();
    times.dedup();
    let at = |rates: &[Rate], time: Time| match rates.partition_point(|rate| rate.from <= time) {
        0 => 0.0,
        n => rates[n - 1].per_second,
    };
    times
        .into_iter()
        .map(|time| Rate {
            from: time,
            per_second: at(a, time) + at(b, time),
        })
        .collect()
}

/// Without entries that change nothing, or that another one replaces at the same time.
fn simplified(rates: Vec<Rate>) -> Vec<Rate> {
    let mut simple: Vec<Rate> = Vec::with_capacity(rates.len());
    for rate in rates {
        if simple.last().is_some_and(|last| last.from == rate.from) {
            simple.pop();
        }
        if simple
            .last()
            .is_none_or(|last| last.per_second != rate.per_second)
        {
            simple.push(rate);
        }
    }
    simple
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(pairs: &[(f64, f64)]) -> Vec<Rate> {
        pairs.iter().map(|(at, rate)| from(*at, *rate)).collect()
    }

    #[test]
    fn rates_add_up() {
        let sum = add(
            &rates(&[(0.0, 1.0), (10.0, 2.0)]),
            &rates(&[(0.0, 5.0), (4.0, 0.0)]),
        );
        assert_eq!(sum, rates(&[(0.0, 6.0), (4.0, 1.0), (10.0, 2.0)]));
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        let simple = simplified(rates(&[(0.0, 1.0), (0.0, 2.0), (3.0, 2.0), (5.0, 0.0)]));
        assert_eq!(simple, rates(&[(0.0, 2.0), (5.0, 0.0)]));
    }
}
