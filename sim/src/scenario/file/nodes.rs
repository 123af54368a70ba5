//! The nodes of a scenario, and their clocks.

use std::collections::BTreeMap;

use dfaas_protocol::Slots;
use serde::{Deserialize, Serialize};

use crate::scenario::amount::Amount;

/// The nodes: so many of one make, or a list of groups that may differ. A group has the same keys; what it leaves out is as in
/// `[nodes]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodesSection {
    /// A group's name; the node's own if it is one node, else the nodes are named `NAME-0`, `NAME-1` and so on.
    pub name: Option<String>,
    /// How many, named `n0`, `n1` and so on; left out if there are `groups`. In a group one, if it is left out.
    pub count: Option<usize>,
    /// Calls of a function that run at one time. Not beside `rate`. As many as there are cores, else 8, if both are left out.
    pub slots: Option<Amount>,
    /// Calls of a function a second. Not beside `slots`.
    pub rate: Option<Amount>,
    /// Cores that all functions of the node share: when more calls run than there are cores, all run slower.
    pub cores: Option<Amount>,
    /// Calls that all functions of the node run at one time together; not limited if it is left out.
    pub node_slots: Option<Slots>,
    /// Calls of a function that may wait; 8 if it is left out.
    pub queue: Option<u32>,
    /// How fast calls run: at 2 they take half the time; 1 if it is left out.
    pub speed: Option<Amount>,
    /// What the node draws.
    pub power: Option<Power>,
    /// What each says of itself to its neighbours.
    pub labels: Option<BTreeMap<String, String>>,
    /// Where a group's nodes are, in kilometres east and north, for a geographic topology; drawn if it is left out.
    pub at_km: Option<[f64; 2]>,
    /// Groups of nodes, each with its own in place of what stands above.
    pub groups: Vec<NodesSection>,
}

/// What the nodes' clocks do; drawn for each node. Agents read them for their periods, for what expires, and for what they
/// measure. Machines whose clocks nothing sets drift by up to a hundred parts in a million.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClocksSection {
    /// How much more they count than passes, in parts per million; below zero they run too slow.
    pub drift_ppm: Amount,
    /// How far ahead they are when the run begins, in seconds. Nodes tell each other no times, so that this changes nothing.
    pub offset_s: Amount,
}

impl Default for ClocksSection {
    fn default() -> ClocksSection {
        ClocksSection {
            drift_ppm: Amount::Fixed(0.0),
            offset_s: Amount::Fixed(0.0),
        }
    }
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
