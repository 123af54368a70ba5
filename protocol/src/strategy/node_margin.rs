//! `node-margin`: an overloaded node sheds load to neighbours, within the usage that they have to spare.
//!
//! A prediction gives usage P of CPU, memory and power at a load L, the calls a second that clients bring and that run for
//! peers, summed by group of function. With limits Θ, over those metrics that have one:
//!
//! * U = mean of 100·P/Θ; the node is overloaded where any P > Θ.
//! * Each of the C neighbours j is told its margin, m_j = U_j + (100 − U)/C, U_j being the points that its calls use already;
//!   where nothing is left, m_j = U_j · max(0, 1 + (100 − U)/ΣU_j). It is told with what one call a second of each group
//!   costs here, c_g = U(L + 1 of g) − U(L).
//! * While overloaded, in turn over the neighbours with a margin and over the functions that both have: q, 1 % of the
//!   function's calls and at least a thousandth of all, goes to j if c_g·q fits in what is left of m_j, and is taken from L.
//! * weight(here) = what remains, weight(j) = what was assigned, in whole parts that sum to 100. A function that only
//!   neighbours have goes to them in proportion to their margins.
//!
//! Source: the reference's strategy of that name ("NMS"). Not taken over: a neighbour's usage predicted here, from its type
//! and its load, since it knows what its calls cost; margins that forget what already runs for peers; rates of the last
//! second; steps of 1 % of the remainder, which never reach an end; requests that a refused step leaves behind; loads whose
//! groups are mixed up on arrival. The prediction comes from a
//! [model](super::UsageModel) that is evaluated in this process, where the reference asks another one over HTTP three times for each step.

use rand::Rng;

use super::prediction::Prediction;
use super::shedding::Shedding;
use super::{NodeSettings, Observation, Plan, Strategy};

/// The strategy `node-margin`.
#[derive(Debug)]
pub struct NodeMargin(Shedding);

impl NodeMargin {
    /// With those limits and groups.
    pub fn new(settings: &NodeSettings) -> NodeMargin {
        NodeMargin(Shedding {
            overload: settings.limits,
            points: settings.limits,
            groups: settings.groups.clone(),
            prediction: Prediction::new(settings),
        })
    }
}

impl Strategy for NodeMargin {
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan {
        self.0.plan(seen, rng)
    }
}
