//! From the file to the experiment.

use std::collections::BTreeMap;
use std::time::Duration;

use dfaas_protocol::policy::Policy;
use dfaas_protocol::{CallRate, Capacity, FunctionName, NodeLabels, Slots};
use rand_chacha::ChaCha8Rng;

use super::amount::Amount;
use super::experiment::{Cold, Experiment, Function, Periods, Placement, Service, Site};
use super::file::{FunctionSection, NodesSection, Power, Scenario, ServiceModel};
use super::random::Stream;
use super::select::Selection;
use super::{ScenarioError, faults, load, topology};

/// Slots of a node that says neither slots nor a rate, and has no cores.
const DEFAULT_SLOTS: f64 = 8.0;

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
        let named = Selection::new(&nodes);
        for section in &self.functions {
            let holders = named.all_or(section.nodes.as_deref())?;
            let mut placed = vec![None; nodes.len()];
            for node in holders {
                let declared = Capacity::declared(&section.labels).ok().flatten();
                let capacity = declared.unwrap_or(capacities[node]);
                let queue = makes[node].queue;
                placed[node] = Some(Placement { capacity, queue });
            }
            for (site, placement) in nodes.iter_mut().zip(placed) {
                site.functions.push(placement);
            }
        }
        let places: Vec<_> = makes.iter().map(|make| make.at_km).collect();
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
            policy: Policy::from_labels(&section.labels).0,
            service: self.service(&section.service)?,
            cold: section.cold.map(|cold| Cold {
                start: Duration::from_secs_f64(cold.start_ms / 1e3),
                after_idle: Duration::from_secs_f64(cold.after_idle_s),
            }),
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

/// What a node is made like.
struct Make {
    name: String,
    group: String,
    slots: Option<Amount>,
    rate: Option<Amount>,
    cores: Option<Amount>,
    node_slots: Option<Slots>,
    queue: u32,
    speed: Amount,
    power: Power,
    labels: NodeLabels,
    at_km: Option<[f64; 2]>,
}

fn labels(pairs: &BTreeMap<String, String>) -> Result<NodeLabels, ScenarioError> {
    NodeLabels::new(pairs.clone())
        .map_err(|error| ScenarioError::invalid(format!("labels of nodes: {error}")))
}

fn makes(nodes: &NodesSection) -> Result<Vec<Make>, ScenarioError> {
    let all = labels(&nodes.labels)?;
    let plain = |name: String, group: String| Make {
        name,
        group,
        slots: nodes.slots.clone(),
        rate: nodes.rate.clone(),
        cores: nodes.cores.clone(),
        node_slots: nodes.node_slots,
        queue: nodes.queue,
        speed: nodes.speed.clone(),
        power: nodes.power,
        labels: all.clone(),
        at_km: None,
    };
    let mut makes: Vec<Make> = (0..nodes.count.unwrap_or(0))
        .map(|index| format!("n{index}"))
        .map(|name| plain(name.clone(), name))
        .collect();
    for group in &nodes.groups {
        let own = group.labels.as_ref().map(labels).transpose()?;
        for index in 0..group.count {
            let name = match group.count {
                1 => group.name.clone(),
                _ => format!("{}-{index}", group.name),
            };
            let mut make = plain(name, group.name.clone());
            if group.slots.is_some() || group.rate.is_some() {
                make.slots.clone_from(&group.slots);
                make.rate.clone_from(&group.rate);
            }
            make.cores = group.cores.clone().or(make.cores);
            make.queue = group.queue.unwrap_or(make.queue);
            make.speed = group.speed.clone().unwrap_or(make.speed);
            make.power = group.power.unwrap_or(make.power);
            make.labels = own.clone().unwrap_or(make.labels);
            make.at_km = group.at_km;
            makes.push(make);
        }
    }
    Ok(makes)
}

impl Make {
    /// The node, and the capacity of a function there that says none itself.
    fn draw(&self, place: usize, of: usize, rng: &mut ChaCha8Rng) -> (Site, Capacity) {
        let mut draw = |amount: &Option<Amount>| amount.as_ref().map(|a| a.draw(place, of, rng));
        let cores = draw(&self.cores);
        let rate = draw(&self.rate).and_then(CallRate::up_to);
        let slots = draw(&self.slots).or(cores).unwrap_or(DEFAULT_SLOTS);
        let slots = Slots::new(slots.round().clamp(1.0, 1e6) as u32)
            .expect("a number from one to a million is a number of slots");
        let site = Site {
            name: self.name.clone(),
            group: self.group.clone(),
            cores,
            slots: self.node_slots,
            speed: self.speed.draw(place, of, rng),
            power: self.power,
            labels: self.labels.clone(),
            functions: Vec::new(),
        };
        (site, rate.map_or(Capacity::Slots(slots), Capacity::Rate))
    }
}
