//! From the file to the experiment.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::policy::Policy;
use dfaas_protocol::{CallRate, Capacity, FunctionName, NodeLabels, Slots};
use rand_chacha::ChaCha8Rng;

use super::amount::Amount;
use super::experiment::{Clock, Cold, Experiment, Function, Periods, Placement, Service, Site};
use super::file::{FunctionSection, NodesSection, Scenario, ServiceModel};
use super::random::Stream;
use super::select::Selection;
use super::{ScenarioError, faults, load, topology};

/// Slots of a node that says neither slots nor a rate, and has no cores.
const DEFAULT_SLOTS: f64 = 8.0;
/// Calls of a function that may wait on a node that does not say how many.
const DEFAULT_QUEUE: u32 = 8;

impl Scenario {
    /// Draws everything from the scenario's seed.
    ///
    /// # Errors
    /// If a rule does not hold, a name means nothing, or a file that it names cannot be read.
    pub fn draw(&self) -> Result<Experiment, ScenarioError> {
        self.validate()?;
        let mut rng = Stream::Network.rng(self.seed);
        let functions = self
            .functions
            .iter()
            .map(|section| self.function(section))
            .collect::<Result<Vec<_>, _>>()?;
        let makes = makes(&self.nodes)?;
        let (mut nodes, capacities): (Vec<Site>, Vec<_>) = makes
            .iter()
            .enumerate()
            .map(|(place, make)| make.draw(place, makes.len(), &mut rng))
            .unzip();
        let mut rng_of_clocks = Stream::Clocks.rng(self.seed);
        for (place, site) in nodes.iter_mut().enumerate() {
            let mut draw = |amount: &Amount| amount.draw(place, makes.len(), &mut rng_of_clocks);
            site.clock = Clock {
                drift_ppb: libm::round(draw(&self.clocks.drift_ppm) * 1e3) as i64,
                offset: Duration::from_secs_f64(draw(&self.clocks.offset_s)),
            };
        }
        let named = Selection::new(&nodes);
        for section in &self.functions {
            let holders = named.all_or(section.nodes.as_deref())?;
            let mut placed = vec![None; nodes.len()];
            for node in holders {
                let declared = Capacity::declared(&section.labels).ok().flatten();
                let capacity = declared.unwrap_or(capacities[node]);
                let queue = makes[node].queue();
                placed[node] = Some(Placement { capacity, queue });
            }
            for (site, placement) in nodes.iter_mut().zip(placed) {
                site.functions.push(placement);
            }
        }
        let places: Vec<_> = makes.iter().map(|make| make.keys.at_km).collect();
        let links = topology::draw(self, &nodes, &places, &mut rng)?;
        let mut drawn = Experiment {
            name: self.name.clone(),
            seed: self.seed,
            duration: Duration::from_secs_f64(self.duration_s),
            interval: self.interval_s.map(Duration::from_secs_f64),
            strategy: self.strategy.name,
            periods: self.periods(),
            cost_weights: [self.strategy.energy_weight, self.strategy.price_weight],
            functions,
            links,
            sources: Vec::new(),
            faults: faults::expand(&self.faults, &nodes)?,
            nodes,
        };
        drawn.sources = load::draw(self, &drawn)?;
        Ok(drawn)
    }

    fn periods(&self) -> Periods {
        let section = &self.strategy;
        let own = section.periods_s.iter();
        Periods {
            default: Duration::from_secs_f64(section.period_s),
            by_name: own
                .filter_map(|(name, s)| Some((name.parse().ok()?, Duration::from_secs_f64(*s))))
                .collect(),
        }
    }

    fn function(&self, section: &FunctionSection) -> Result<Function, ScenarioError> {
        let name = FunctionName::parse(&section.name).map_err(|error| {
            ScenarioError::invalid(format!("function {:?}: {error}", section.name))
        })?;
        Ok(Function {
            name,
            policy: Arc::new(Policy::from_labels(&section.labels).0),
            service: self.service(&section.service)?,
            cold: section.cold.map(|cold| Cold {
                start: Duration::from_secs_f64(cold.start_ms / 1e3),
                after_idle: Duration::from_secs_f64(cold.after_idle_s),
            }),
            deadline: section
                .deadline_ms
                .map(|ms| Duration::from_secs_f64(ms / 1e3)),
            body_bytes: section.body_bytes,
            answer_bytes: section.answer_bytes,
        })
    }

    fn service(&self, model: &ServiceModel) -> Result<Service, ScenarioError> {
        Ok(match model {
            ServiceModel::Constant { mean_ms } => Service::Constant(mean_ms / 1e3),
            ServiceModel::Exponential { mean_ms } => Service::Exponential(mean_ms / 1e3),
            ServiceModel::Lognormal { mean_ms, sigma } => Service::Lognormal {
                mu: libm::log(mean_ms / 1e3) - sigma * sigma / 2.0,
                sigma: *sigma,
            },
            ServiceModel::Trace { times_ms, file } => {
                let mut times: Vec<f64> = times_ms.clone();
                if let Some(file) = file {
                    let text = super::read(&self.directory.join(file))?;
                    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                        times.push(line.parse().map_err(|_| not_a_time(line))?);
                    }
                }
                if times.is_empty() || !times.iter().all(|ms| (1e-3..=3.6e6).contains(ms)) {
                    return Err(not_a_time("nothing, or a time out of range"));
                }
                Service::Trace(times.into_iter().map(|ms| ms / 1e3).collect())
            }
        })
    }
}

fn not_a_time(line: &str) -> ScenarioError {
    ScenarioError::invalid(format!(
        "a file of service times has one number of milliseconds a line, from 0.001 to an hour, and not {line:?}"
    ))
}

/// A node that is to be drawn, and what it is made like.
struct Make<'a> {
    name: String,
    group: String,
    keys: Cow<'a, NodesSection>,
    labels: NodeLabels,
}

fn makes(nodes: &NodesSection) -> Result<Vec<Make<'_>>, ScenarioError> {
    let plain = (0..nodes.count.unwrap_or(0)).map(|index| {
        let name = format!("n{index}");
        Make::new(name.clone(), name, Cow::Borrowed(nodes))
    });
    let grouped = nodes.groups.iter().flat_map(|group| {
        let keys = group.within(nodes);
        let group = group.name.clone().unwrap_or_default();
        let count = keys.count.unwrap_or(1);
        (0..count).map(move |index| {
            let name = match count {
                1 => group.clone(),
                _ => format!("{group}-{index}"),
            };
            Make::new(name, group.clone(), Cow::Owned(keys.clone()))
        })
    });
    plain.chain(grouped).collect()
}

impl NodesSection {
    /// A group with what it leaves out.
    fn within(&self, nodes: &NodesSection) -> NodesSection {
        // Who says one of the two does not have the other.
        let capacity = if self.slots.is_some() || self.rate.is_some() {
            self
        } else {
            nodes
        };
        NodesSection {
            name: self.name.clone(),
            count: self.count,
            slots: capacity.slots.clone(),
            rate: capacity.rate.clone(),
            cores: self.cores.clone().or_else(|| nodes.cores.clone()),
            node_slots: self.node_slots.or(nodes.node_slots),
            queue: self.queue.or(nodes.queue),
            speed: self.speed.clone().or_else(|| nodes.speed.clone()),
            power: self.power.or(nodes.power),
            labels: self.labels.clone().or_else(|| nodes.labels.clone()),
            at_km: self.at_km,
            groups: Vec::new(),
        }
    }
}

impl<'a> Make<'a> {
    fn new(
        name: String,
        group: String,
        keys: Cow<'a, NodesSection>,
    ) -> Result<Make<'a>, ScenarioError> {
        let labels = NodeLabels::new(keys.labels.clone().unwrap_or_default())
            .map_err(|error| ScenarioError::invalid(format!("labels of nodes: {error}")))?;
        Ok(Make {
            name,
            group,
            keys,
            labels,
        })
    }

    fn queue(&self) -> u32 {
        self.keys.queue.unwrap_or(DEFAULT_QUEUE)
    }

    /// The node, and the capacity of a function there that says none itself.
    fn draw(&self, place: usize, of: usize, rng: &mut ChaCha8Rng) -> (Site, Capacity) {
        let keys = &*self.keys;
        let mut draw = |amount: &Option<Amount>| amount.as_ref().map(|a| a.draw(place, of, rng));
        let cores = draw(&keys.cores);
        let rate = draw(&keys.rate).and_then(CallRate::up_to);
        let slots = draw(&keys.slots).or(cores).unwrap_or(DEFAULT_SLOTS);
        let slots = Slots::new(slots.round().clamp(1.0, 1e6) as u32)
            .expect("a number from one to a million is a number of slots");
        let site = Site {
            name: self.name.clone(),
            group: self.group.clone(),
            cores,
            slots: keys.node_slots,
            speed: draw(&keys.speed).unwrap_or(1.0),
            clock: Clock::default(),
            power: keys.power.unwrap_or_default(),
            labels: self.labels.clone(),
            functions: Vec::new(),
        };
        (site, rate.map_or(Capacity::Slots(slots), Capacity::Rate))
    }
}
