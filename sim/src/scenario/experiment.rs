//! The scenario with everything drawn: what is run, in virtual or in real time. It does not depend on the strategy.

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::policy::Policy;
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Capacity, FunctionName, NodeLabels, Slots, Time};
use rand::{Rng, RngExt};

use super::file::{Arrivals, Power};
use super::random::{exponential, normal};

/// A scenario with everything drawn.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The scenario's name.
    pub name: String,
    /// The seed from which it was drawn.
    pub seed: u64,
    /// How long clients bring calls.
    pub duration: Duration,
    /// How long an interval of the report is, if the scenario says so.
    pub interval: Option<Duration>,
    /// The strategy that the scenario names.
    pub strategy: StrategyName,
    /// How often each strategy plans.
    pub periods: Periods,
    /// How much energy and price weigh.
    pub cost_weights: [f64; 2],
    /// The functions, in the order of the file.
    pub functions: Vec<Function>,
    /// The nodes; all else refers to them by their places here.
    pub nodes: Vec<Site>,
    /// Who is whose neighbour.
    pub links: Links,
    /// What clients bring.
    pub sources: Vec<Source>,
    /// What goes wrong, by when it begins.
    pub faults: Vec<Incident>,
}

/// How often strategies plan.
#[derive(Clone, Debug)]
pub struct Periods {
    pub(super) default: Duration,
    pub(super) by_name: Vec<(StrategyName, Duration)>,
}

impl Periods {
    /// Time from one plan of that strategy to the next.
    pub fn of(&self, strategy: StrategyName) -> Duration {
        let own = self.by_name.iter().find(|(name, _)| *name == strategy);
        own.map_or(self.default, |(_, period)| *period)
    }
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// Where its calls may run, how soon they should be answered, and who goes first.
    pub policy: Arc<Policy>,
    /// How long calls run on a node of speed 1.
    pub service: Service,
    /// What it costs to wake it up; it never sleeps if there is nothing.
    pub cold: Option<Cold>,
    /// How long after it came the answer to a call is of use, if its clients say so.
    pub deadline: Option<Duration>,
    /// Bytes of a request's body.
    pub body_bytes: u32,
    /// Bytes of an answer's body.
    pub answer_bytes: u32,
}

/// What it costs to wake a function up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cold {
    /// Until an instance is there, on a node of speed 1.
    pub start: Duration,
    /// Without a call, until the last instance is gone.
    pub after_idle: Duration,
}

/// How long calls run, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// Each as long as any other.
    Constant(f64),
    /// Exponentially distributed with that mean.
    Exponential(f64),
    /// Log-normally distributed: mean and standard deviation of the logarithms.
    Lognormal {
        /// Mean of the logarithms.
        mu: f64,
        /// Their standard deviation.
        sigma: f64,
    },
    /// One of these.
    Trace(Vec<f64>),
}

impl Service {
    /// The mean in seconds.
    pub fn mean(&self) -> f64 {
        match self {
            Service::Constant(mean) | Service::Exponential(mean) => *mean,
            Service::Lognormal { mu, sigma } => libm::exp(mu + sigma * sigma / 2.0),
            Service::Trace(times) => times.iter().sum::<f64>() / times.len().max(1) as f64,
        }
    }

    /// The time of one call, in seconds.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        match self {
            Service::Constant(mean) => *mean,
            Service::Exponential(mean) => exponential(*mean, rng),
            Service::Lognormal { mu, sigma } => libm::exp(mu + sigma * normal(rng)),
            Service::Trace(times) => times[rng.random_range(0..times.len())],
        }
    }
}

/// A node and what it has.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its group, which is its own name where it is alone in it.
    pub group: String,
    /// Cores that its functions share; without them a call has a core of its own.
    pub cores: Option<f64>,
    /// Calls that its functions run at one time together, as its agent is told; not told where nothing is shared.
    pub slots: Option<Slots>,
    /// How fast calls run; they take their time divided by it.
    pub speed: f64,
    /// What its clock does.
    pub clock: Clock,
    /// What it draws.
    pub power: Power,
    /// What it says of itself.
    pub labels: NodeLabels,
    /// For each function of the experiment, what the node has of it.
    pub functions: Vec<Option<Placement>>,
}

/// A clock that may be wrong; the default one is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// How much more it counts than passes, in parts per billion; it runs too slow below zero.
    pub drift_ppb: i64,
    /// How far ahead it is when the run begins.
    pub offset: Duration,
}

/// A function on a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// What it can take.
    pub capacity: Capacity,
    /// How many calls may wait.
    pub queue: u32,
}

impl Experiment {
    /// Calls a second of that function that a node sustains, if nothing else runs there; zero where it has not got it.
    pub fn sustained(&self, node: usize, function: usize) -> f64 {
        let site = &self.nodes[node];
        let Some(placement) = site.functions[function] else {
            return 0.0;
        };
        let seconds = self.functions[function].service.mean() / site.speed;
        let own = placement
            .capacity
            .sustained_rate(Duration::from_secs_f64(seconds));
        match site.cores {
            Some(cores) => own.min(cores / seconds),
            None => own,
        }
    }
}

/// The links of all nodes, each of which goes both ways.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Where the links of each node begin in the others; one more than there are nodes.
    starts: Vec<u32>,
    to: Vec<u32>,
    /// The same with what a crossing needs, in one piece: a crossing is looked up with each call and message.
    roads: Vec<Road>,
    /// Up to so much more for each crossing.
    pub jitter: Duration,
    /// Bytes a second in each direction.
    pub bandwidth: Option<f64>,
    /// The probability that a crossing is lost and sent again.
    pub loss: f64,
}

#[derive(Clone, Copy, Debug)]
struct Road {
    to: u32,
    /// The place of the other direction.
    back: u32,
    delay_nanos: u64,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its place among all directions of all links.
    pub index: usize,
    /// Where it leads.
    pub to: usize,
    /// How long it takes.
    pub delay: Duration,
}

impl Links {
    /// The links between so many nodes. Of two between the same nodes the later one counts; none leads to its own node.
    pub fn new(nodes: usize, mut pairs: Vec<(u32, u32, Duration)>) -> Links {
        pairs.retain(|(a, b, _)| a != b);
        let mut both: Vec<(u32, u32, Duration)> = pairs
            .into_iter()
            .flat_map(|(a, b, delay)| [(a, b, delay), (b, a, delay)])
            .rev()
            .collect();
        both.sort_by_key(|(a, b, _)| (*a, *b));
        both.dedup_by_key(|(a, b, _)| (*a, *b));
        let mut starts = vec![0; nodes + 1];
        for (from, _, _) in &both {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        // Those that lead to a node come in the order of the nodes that they leave, as do that node's own.
        let mut next = starts.clone();
        let mut back = |to: u32| {
            let place = next[to as usize];
            next[to as usize] += 1;
            place
        };
        let road = |(_, to, delay): &(u32, u32, Duration)| Road {
            to: *to,
            back: back(*to),
            delay_nanos: delay.as_nanos() as u64,
        };
        Links {
            to: both.iter().map(|(_, to, _)| *to).collect(),
            roads: both.iter().map(road).collect(),
            starts,
            ..Links::default()
        }
    }

    /// Those that leave a node, by where they lead.
    pub fn of(&self, node: usize) -> impl ExactSizeIterator<Item = Link> + '_ {
        self.range(node).map(|index| self.at(index))
    }

    /// The neighbours of a node, in ascending order.
    pub fn neighbours(&self, node: usize) -> &[u32] {
        &self.to[self.range(node)]
    }

    /// The link from one node to another, if they are neighbours.
    pub fn between(&self, from: usize, to: usize) -> Option<Link> {
        let roads = &self.roads[self.range(from)];
        let place = roads.binary_search_by_key(&(to as u32), |road| road.to);
        Some(self.at(self.starts[from] as usize + place.ok()?))
    }

    /// The other direction of a link.
    pub fn back(&self, link: Link) -> Link {
        self.at(self.roads[link.index].back as usize)
    }

    /// The link at that place among all.
    pub fn at(&self, index: usize) -> Link {
        let Road {
            to, delay_nanos, ..
        } = self.roads[index];
        Link {
            index,
            to: to as usize,
            delay: Duration::from_nanos(delay_nanos),
        }
    }

    /// The place of a link among those that leave its node.
    pub fn place(&self, node: usize, link: Link) -> usize {
        link.index - self.starts[node] as usize
    }

    /// Reads the links of a node ahead. The sum means nothing.
    pub(crate) fn glance(&self, node: usize) -> u64 {
        let roads = self.roads[self.range(node)].iter();
        let delays = roads.map(|road| road.delay_nanos);
        delays.fold(0, u64::wrapping_add)
    }

    fn range(&self, node: usize) -> std::ops::Range<usize> {
        self.starts[node] as usize..self.starts[node + 1] as usize
    }

    /// How many directions of links there are.
    pub fn len(&self) -> usize {
        self.to.len()
    }

    /// Whether nobody has a neighbour.
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }
}

/// Calls of one function that clients bring to one node.
#[derive(Clone, Debug)]
pub struct Source {
    /// The node.
    pub node: usize,
    /// The function.
    pub function: usize,
    /// How they follow each other.
    pub arrivals: Arrivals,
    /// The rate from each time on, by time; the first at zero.
    pub rates: Vec<Rate>,
}

/// A rate from some time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// From when.
    pub from: Time,
    /// Calls a second.
    pub per_second: f64,
}

impl Source {
    /// Calls a second at that time.
    pub fn rate_at(&self, time: Time) -> f64 {
        let after = self.rates.partition_point(|rate| rate.from <= time);
        match after {
            0 => 0.0,
            n => self.rates[n - 1].per_second,
        }
    }
}

/// A fault at single nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// When it begins.
    pub at: Time,
    /// When it is over, if ever.
    pub until: Option<Time>,
    /// What it is.
    pub what: Trouble,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The node is gone without a word.
    Crash(usize),
    /// Nothing crosses between these nodes, in ascending order, and the others.
    Partition(Vec<usize>),
    /// Calls on the node take longer by the factor.
    Slow(usize, f64),
    /// The share of the node's offers and grants that is lost.
    LoseMessages(usize, f64),
    /// The node says that all its capacity is free.
    Lie(usize),
    /// The node takes no calls of its neighbours.
    Cordon(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_back_to_where_it_came_from() {
        let pairs = [(3, 0), (1, 2), (0, 2), (4, 1), (2, 4), (2, 0)];
        let delay = Duration::from_millis(7);
        let links = Links::new(5, pairs.map(|(a, b)| (a, b, delay)).to_vec());
        assert_eq!(links.len(), 10);
        for from in 0..5 {
            for (place, link) in links.of(from).enumerate() {
                let back = links.back(link);
                assert_eq!(links.place(from, link), place);
                assert_eq!((back.to, links.back(back)), (from, link));
                assert_eq!(links.between(link.to, from), Some(back));
            }
        }
    }
}
