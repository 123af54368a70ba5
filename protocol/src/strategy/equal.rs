//! `equal`: an overloaded node sheds the same part of each function's calls, in equal parts to the neighbours that have it.
//!
//! With the prediction, the limits and the load of [`node-margin`](super::NodeMargin): x is the smallest whole percent of the
//! clients' calls of those functions that a neighbour has, such that the node is not overloaded without them; all of them,
//! if no part is enough. weight(here) = 100 − x, weight(j) = x/n for each of the n neighbours that offer the function.
//! Source: the reference's strategy of that name in its second simulator. Not taken over: neighbours that lack the
//! function, whole calls that make the first neighbour's part larger, and the division by zero without neighbours.

use rand::Rng;

use super::prediction::Prediction;
use super::shares::Shares;
use super::usage::{Load, group_of};
use super::{NodeSettings, Observation, Plan, Strategy};

/// The strategy `equal`.
#[derive(Debug)]
pub struct Equal {
    settings: NodeSettings,
    prediction: Prediction,
}

impl Equal {
    /// With those limits and groups.
    pub fn new(settings: &NodeSettings) -> Equal {
        Equal {
            settings: settings.clone(),
            prediction: Prediction::new(settings),
        }
    }

    /// The percent of calls to shed, of 0 to 100. Usage grows with load, so the smallest one is found by halving.
    fn percent(&self, seen: &Observation<'_>, load: Load) -> u32 {
        let groups = &self.settings.groups;
        let mut sheddable = Load::default();
        for (function, row) in seen.functions.iter().zip(seen.rows()) {
            if row.is_some_and(|row| !row.there.is_empty()) {
                let group = group_of(groups, &function.function);
                sheddable.add(group, function.from_clients);
            }
        }
        let relieved = |percent: u32| {
            let part = f64::from(percent) / 100.0;
            let mut load = load;
            for (all, shed) in load.0.iter_mut().zip(sheddable.0) {
                *all -= part * shed;
            }
            !self.settings.limits.exceeded(&self.prediction.usage(load))
        };
        let (mut low, mut high) = (0, 100);
        while low < high {
            let middle = (low + high) / 2;
            if relieved(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

impl Strategy for Equal {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let groups = &self.settings.groups;
        let load = Load::offered(seen, groups);
        let ask = self.prediction.learn(seen, groups, load);
        let shed = f64::from(self.percent(seen, load));
        let (mut shares, mut last): (Vec<f64>, _) = Default::default();
        let routes = seen.routes(|at| {
            let (mine, theirs) = match at.here {
                Some(_) => (100.0 - shed, shed),
                None => (0.0, 100.0),
            };
            let there = at.there().len();
            shares.clear();
            shares.resize(there + 1, theirs / there.max(1) as f64);
            shares[0] = mine;
            Box::new(Shares::like(&mut last, &shares))
        });
        Plan {
            routes,
            ask,
            ..Plan::default()
        }
    }
}
