//! The scenario file: what a person writes, in TOML. Unknown keys are refused.
//!
//! These types say what is there, not how it is run: the simulator and a lab of real agents read the same file. Times are in
//! seconds or milliseconds as the key's ending says, and are virtual or real according to who runs it.

mod faults;
mod functions;
mod load;
mod network;
mod nodes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use dfaas_protocol::strategy::StrategyName;
use serde::{Deserialize, Serialize};

pub use faults::{Fault, FaultSection};
pub use functions::{ColdSection, FunctionSection, ServiceModel};
pub use load::{Arrivals, LoadSection, Shape, Unit};
pub use network::{LinksSection, ListedLink, Topology};
pub use nodes::{ClocksSection, NodesSection, Power};

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
    /// What the nodes' clocks do. They are right if it is left out.
    #[serde(default)]
    pub clocks: ClocksSection,
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

const fn one_u64() -> u64 {
    1
}
