//! What a call costs at a neighbour beside what it costs here: energy and price, as nodes' labels say.
//!
//! gain(j) = Σ weight · (here − there) / max(here, there), over [`ENERGY_LABEL`] and [`PRICE_LABEL`]; a term is zero where one of the
//! two nodes says no number, or both say zero. It is in −1..1 for a weight of one, and `headroom` adds it to the share of j.

use crate::NodeLabels;

/// The node label with the grams of carbon dioxide that a kilowatt-hour stands for there.
pub const ENERGY_LABEL: &str = "energy.gco2_kwh";
/// The node label with a price, in whatever unit all nodes use.
pub const PRICE_LABEL: &str = "price";

/// How much costs weigh, and what they are here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CostSettings {
    /// The weight of energy, from 0, which is off, to 1: as much as all of a node's capacity.
    pub energy_weight: f64,
    /// The weight of the price, likewise.
    pub price_weight: f64,
    /// The labels of this node.
    pub here: NodeLabels,
}

impl CostSettings {
    /// Whether no cost is weighed.
    pub fn is_off(&self) -> bool {
        self.energy_weight == 0.0 && self.price_weight == 0.0
    }

    /// What is gained if a call runs on a node with those labels and not here, as a share of capacity.
    pub fn gain(&self, there: &NodeLabels) -> f64 {
        let terms = [
            (ENERGY_LABEL, self.energy_weight),
            (PRICE_LABEL, self.price_weight),
        ];
        let gain = |(label, weight): (&str, f64)| {
            let (here, there) = (number(&self.here, label)?, number(there, label)?);
            let most = here.max(there);
            (most > 0.0).then(|| weight * (here - there) / most)
        };
        terms.into_iter().filter_map(gain).sum()
    }
}

fn number(labels: &NodeLabels, label: &str) -> Option<f64> {
    let number: f64 = labels.get(label)?.parse().ok()?;
    (0.0..=1e12).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> NodeLabels {
        NodeLabels::new(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()))).unwrap()
    }

    #[test]
    fn a_gain_is_the_weighed_difference_as_a_share_of_the_larger() {
        let costs = CostSettings {
            energy_weight: 0.4,
            price_weight: 0.1,
            here: labels(&[(ENERGY_LABEL, "400"), (PRICE_LABEL, "2")]),
        };
        for (there, gain) in [
            // 0.4 · 300/400 + 0.1 · (−2/4).
            (&[(ENERGY_LABEL, "100"), (PRICE_LABEL, "4")][..], 0.25),
            (&[(ENERGY_LABEL, "100")], 0.3),
            (&[(ENERGY_LABEL, "800")], -0.2),
            (&[(ENERGY_LABEL, "0"), (PRICE_LABEL, "0")], 0.5),
            (&[(ENERGY_LABEL, "green"), (PRICE_LABEL, "-1")], 0.0),
            (&[(ENERGY_LABEL, "NaN"), (PRICE_LABEL, "inf")], 0.0),
            (&[], 0.0),
        ] {
            let found = costs.gain(&labels(there));
            assert!((found - gain).abs() < 1e-12, "{there:?}: {found}");
        }
        let nothing = CostSettings {
            here: labels(&[(ENERGY_LABEL, "0")]),
            ..costs
        };
        assert_eq!(nothing.gain(&labels(&[(ENERGY_LABEL, "0")])), 0.0);
    }
}
