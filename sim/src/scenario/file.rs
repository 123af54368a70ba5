//! The scenario file: what a person writes, in TOML. Unknown keys are refused.
//!
//! These types say what is there, not how it is run: the simulator and a lab of real agents read the same file. Times are in
//! seconds or milliseconds as the key's ending says, and are virtual or real according to who runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dfaas_protocol::Slots;
use dfaas_protocol::strategy::StrategyName;
use serde::{Deserialize, Serialize};

use super::amount::Amount;

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A short name, as in a file name.
    pub name: String,
    /// What it is for, in a sentence.
    pub purpose: String,
    /// The seed of all that is drawn: the same seed gives the same nodes, links, load and calls.
    #[serde(default = "one_u64")]
    pub seed: u64,
    /// How long clients bring calls, in seconds. What is in flight then is brought to its end.
    pub duration_s: f64,
    /// Seconds of an interval of the report, at least a thousandth; if it is left out whole seconds, at most 600 of them.
    #[serde(default)]
    pub interval_s: Option<f64>,
    /// The strategy of every node, and how often it plans.
    #[serde(default)]
    pub strategy: StrategySection,
    /// The functions; at least one.
    pub functions: Vec<FunctionSection>,
    /// The nodes.
    pub nodes: NodesSection,
    /// Who is whose neighbour.
    #[serde(default)]
    pub topology: Topology,
    /// What a link does to what crosses it.
    #[serde(default)]
    pub links: LinksSection,
    /// What clients bring. Loads on one node and function add up.
    pub load: Vec<LoadSection>,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<FaultSection>,
    /// Where the files that it names are; the directory of the scenario's own file.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// The strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StrategySection {
    /// Its name.
    pub name: StrategyName,
    /// Seconds from one plan to the next; offers go out as often.
    pub period_s: f64,
    /// The same for single strategies, by name, where they are compared: `{ recalc = 5 }`.
    pub periods_s: BTreeMap<String, f64>,
    /// How much energy weighs for `headroom`, from 0 to 1, by the nodes' labels `energy.gco2_kwh`.
    pub energy_weight: f64,
    /// How much the price weighs, by the nodes' labels `price`.
    pub price_weight: f64,
}

impl Default for StrategySection {
    fn default() -> StrategySection {
        StrategySection {
            name: StrategyName::default(),
            period_s: 1.0,
            periods_s: BTreeMap::new(),
            energy_weight: 0.0,
            price_weight: 0.0,
        }
    }
}

/// A function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// `NAME` or `NAME.NAMESPACE`.
    pub name: String,
    /// How long a call runs on a node of speed 1.
    pub service: ServiceModel,
    /// What it costs to wake it up after idleness; it never sleeps if it is left out.
    #[serde(default)]
    pub cold: Option<ColdSection>,
    /// Its labels, as on the platform: `dfaas.maxrate` or `dfaas.concurrency` go before what the node says.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The nodes that have it, by their names or their groups' names; all if it is left out.
    #[serde(default)]
    pub nodes: Option<Vec<String>>,
    /// Bytes of a request's body; they matter where links have a bandwidth.
    #[serde(default)]
    pub body_bytes: u32,
    /// Bytes of an answer's body, likewise.
    #[serde(default)]
    pub answer_bytes: u32,
}

/// What it costs to wake a function up. The first call after idleness, or ever, waits until an instance is there, and so do
/// those that come meanwhile. They hold their slots while they wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdSection {
    /// Milliseconds until an instance is there, on a node of speed 1.
    pub start_ms: f64,
    /// Seconds without a call after which the last instance is gone.
    pub after_idle_s: f64,
}

/// How long calls run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ServiceModel {
    /// Each as long as any other.
    Constant {
        /// Milliseconds.
        mean_ms: f64,
    },
    /// Exponentially distributed.
    Exponential {
        /// The mean in milliseconds.
        mean_ms: f64,
    },
    /// Log-normally distributed: heavy-tailed from a sigma of about 1.
    Lognormal {
        /// The mean in milliseconds, of the times themselves and not of their logarithms.
        mean_ms: f64,
        /// The standard deviation of their natural logarithms.
        sigma: f64,
    },
    /// Drawn from times that were recorded.
    Trace {
        /// The times in milliseconds, each as likely as any other.
        #[serde(default)]
        times_ms: Vec<f64>,
        /// A file with one time in milliseconds a line, instead.
        #[serde(default)]
        file: Option<PathBuf>,
    },
}

/// The nodes: so many of one make, or a list of groups that may differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodesSection {
    /// How many, named `n0`, `n1` and so on; left out if there are `groups`.
    #[serde(default)]
    pub count: Option<usize>,
    /// Calls of a function that run at one time. Not beside `rate`.
    #[serde(default)]
    pub slots: Option<Amount>,
    /// Calls of a function a second. Not beside `slots`.
    #[serde(default)]
    pub rate: Option<Amount>,
    /// Cores that all functions of the node share: when more calls run than there are cores, all run slower.
    #[serde(default)]
    pub cores: Option<Amount>,
    /// Calls that all functions of the node run at one time together; not limited if it is left out.
    #[serde(default)]
    pub node_slots: Option<Slots>,
    /// Calls of a function that may wait.
    #[serde(default = "queue")]
    pub queue: u32,
    /// How fast calls run: at 2 they take half the time.
    #[serde(default = "one")]
    pub speed: Amount,
    /// What the node draws.
    #[serde(default)]
    pub power: Power,
    /// What each says of itself to its neighbours.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Groups of nodes, each with its own in place of what stands above.
    #[serde(default)]
    pub groups: Vec<GroupSection>,
}

/// A group of nodes of one make. What it leaves out is as in `[nodes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSection {
    /// Its name; the node's own if it is one node, else the nodes are named `NAME-0`, `NAME-1` and so on.
    pub name: String,
    /// How many nodes.
    #[serde(default = "one_usize")]
    pub count: usize,
    /// As in `[nodes]`.
    #[serde(default)]
    pub slots: Option<Amount>,
    /// As in `[nodes]`.
    #[serde(default)]
    pub rate: Option<Amount>,
    /// As in `[nodes]`.
    #[serde(default)]
    pub cores: Option<Amount>,
    /// As in `[nodes]`.
    #[serde(default)]
    pub queue: Option<u32>,
    /// As in `[nodes]`.
    #[serde(default)]
    pub speed: Option<Amount>,
    /// As in `[nodes]`.
    #[serde(default)]
    pub power: Option<Power>,
    /// As in `[nodes]`.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Where its nodes are, in kilometres east and north, for a geographic topology; drawn if it is left out.
    #[serde(default)]
    pub at_km: Option<[f64; 2]>,
}

/// What a node draws: in proportion between these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Watts when nothing runs.
    pub idle_watts: f64,
    /// Watts when every slot or core is busy.
    pub max_watts: f64,
}

impl Default for Power {
    fn default() -> Power {
        Power {
            idle_watts: 5.0,
            max_watts: 15.0,
        }
    }
}

/// Who is whose neighbour. Links go both ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Topology {
    /// Each with each.
    #[default]
    Full,
    /// As listed.
    List {
        /// Pairs of names of nodes or groups; a group stands for all its nodes.
        links: Vec<ListedLink>,
    },
    /// For each node but the last an edge to one of the later nodes, each as likely as another, and then every pair with a
    /// probability. So the graph is connected.
    ErdosRenyi {
        /// The probability.
        p: f64,
    },
    /// A random graph in which each node has the same number of neighbours.
    Regular {
        /// How many; even.
        degree: usize,
    },
    /// A ring in which each node knows its nearest, with some links drawn anew (Watts and Strogatz).
    SmallWorld {
        /// How many of the nearest; even.
        degree: usize,
        /// The probability that a link is drawn anew.
        rewire: f64,
    },
    /// Nodes come one by one and link to those that have many links already (Barabási and Albert).
    ScaleFree {
        /// Links of each newcomer.
        edges: usize,
    },
    /// Nodes on a plane, each linked to its nearest. A link's delay grows with its length.
    Geographic {
        /// How many of the nearest.
        nearest: usize,
        /// The side of the square in which positions are drawn, in kilometres.
        side_km: f64,
        /// Milliseconds one way for each kilometre; light in fibre takes 0.005.
        #[serde(default = "ms_per_km")]
        ms_per_km: f64,
    },
    /// Read from a file: a line for each link, `A B` or `A B MILLISECONDS`, with names or numbers of nodes; `#` begins a
    /// comment.
    File {
        /// The file.
        path: PathBuf,
    },
}

/// A link of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedLink {
    /// One end.
    pub from: String,
    /// The other end.
    pub to: String,
    /// One way, in milliseconds; as in `[links]` if it is left out.
    #[serde(default)]
    pub delay_ms: Option<Amount>,
}

/// What a link does to what crosses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinksSection {
    /// From one end to the other, in milliseconds; drawn once for each link. For a geographic topology it is added to
    /// what the distance takes.
    pub delay_ms: Amount,
    /// Up to so many milliseconds more, drawn for each crossing.
    pub jitter_ms: f64,
    /// Megabits a second in each direction; unlimited if it is left out.
    pub mbps: Option<f64>,
    /// The probability that a crossing is lost and sent again after 200 milliseconds, as TCP does it.
    pub loss: f64,
}

impl Default for LinksSection {
    fn default() -> LinksSection {
        LinksSection {
            delay_ms: Amount::Fixed(1.0),
            jitter_ms: 0.0,
            mbps: None,
            loss: 0.0,
        }
    }
}

/// What clients bring to some nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSection {
    /// To which nodes, by their names or their groups' names; all if it is left out.
    #[serde(default)]
    pub nodes: Option<Vec<String>>,
    /// Of which functions; all if it is left out.
    #[serde(default)]
    pub functions: Option<Vec<String>>,
    /// How calls follow each other.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// What rates are counted in.
    #[serde(default)]
    pub unit: Unit,
    /// The rate over time.
    pub shape: Shape,
}

/// How calls follow each other at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Independently of each other.
    #[default]
    Poisson,
    /// At even distances.
    Constant,
}

/// What rates are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Calls a second.
    #[default]
    Calls,
    /// Parts of what the node sustains of the function: at 2 it is brought twice what it can serve.
    Capacity,
}

/// A rate over time, for each of the nodes and functions of its load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shape {
    /// The same all the time.
    Constant {
        /// The rate; drawn once for each node and function.
        rate: Amount,
    },
    /// A share of the nodes at a multiple of their capacity, the others below it; drawn anew from time to time. Always in
    /// parts of the capacity, whatever the unit.
    Hot {
        /// The share of hot nodes.
        share: f64,
        /// What a hot node is brought.
        #[serde(default = "two")]
        times: f64,
        /// What the others are brought: uniform between these.
        #[serde(default = "others")]
        others: [f64; 2],
        /// Seconds until it is drawn anew.
        redraw_s: f64,
    },
    /// A wave, such as a day: `mean + amplitude * sin(2 pi (t / period + phase))`, never below zero.
    Sinusoid {
        /// The mean rate.
        mean: f64,
        /// How far it goes above and below.
        amplitude: f64,
        /// The length of a wave in seconds.
        period_s: f64,
        /// Where in the wave it starts, in parts of it; drawn once for each node.
        #[serde(default = "zero")]
        phase: Amount,
    },
    /// One rate, then another.
    Step {
        /// The first.
        before: f64,
        /// The second.
        after: f64,
        /// When, in seconds.
        at_s: f64,
    },
    /// From one rate to another, steadily.
    Ramp {
        /// The first rate.
        from: f64,
        /// The last.
        to: f64,
        /// When it starts to change, in seconds.
        start_s: f64,
        /// When it has changed, in seconds.
        end_s: f64,
    },
    /// A peak that comes again and again.
    Bursts {
        /// The rate between peaks.
        base: f64,
        /// The rate in them.
        peak: f64,
        /// Seconds from the start of one to the start of the next.
        every_s: f64,
        /// Seconds that one lasts.
        length_s: f64,
        /// When the first starts, in parts of `every_s`; drawn once for each node.
        #[serde(default = "zero")]
        phase: Amount,
    },
    /// Rates as they were recorded, one after the other; afterwards nothing.
    Trace {
        /// The rates.
        rates: Vec<f64>,
        /// Seconds that each lasts.
        step_s: f64,
    },
    /// Rates from a JSON file `{FUNCTION: {NODE: [rate, rate, ...]}}`, the shape of the reference's traces for k6. Who is not
    /// named there is brought nothing.
    TraceFile {
        /// The file.
        path: PathBuf,
        /// Seconds that each rate lasts.
        #[serde(default = "minute")]
        step_s: f64,
    },
}

/// Something that goes wrong for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSection {
    /// When it begins, in seconds.
    pub at_s: f64,
    /// When it is over; never, if it is left out.
    #[serde(default)]
    pub until_s: Option<f64>,
    /// Each of its nodes so many seconds after the one before: a rolling restart.
    #[serde(default)]
    pub stagger_s: f64,
    /// What it is.
    pub what: Fault,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Nodes are gone without a word, with all that runs and waits there. They come back having forgotten everything.
    Crash {
        /// Which, by their names or their groups' names.
        nodes: Vec<String>,
    },
    /// Nothing crosses between these nodes and the others.
    Partition {
        /// One side; all others are the other.
        nodes: Vec<String>,
    },
    /// Nodes run calls slower, and their agents do not know.
    Slow {
        /// Which.
        nodes: Vec<String>,
        /// How much longer calls take.
        factor: f64,
    },
    /// Offers and grants of these nodes are lost on their way.
    LoseMessages {
        /// Which; all if it is left out.
        #[serde(default)]
        nodes: Option<Vec<String>>,
        /// The share that is lost.
        share: f64,
    },
    /// Nodes offer, and say in every answer, that all their capacity is free.
    Lie {
        /// Which.
        nodes: Vec<String>,
    },
}

fn one() -> Amount {
    Amount::Fixed(1.0)
}

fn zero() -> Amount {
    Amount::Fixed(0.0)
}

const fn one_u64() -> u64 {
    1
}

const fn one_usize() -> usize {
    1
}

const fn queue() -> u32 {
    8
}

const fn two() -> f64 {
    2.0
}

const fn others() -> [f64; 2] {
    [0.2, 0.6]
}

const fn minute() -> f64 {
    60.0
}

const fn ms_per_km() -> f64 {
    0.005
}
