//! What a node would use at some load: the prediction behind `node-margin`, `power-saving` and `equal`.

use std::sync::Arc;

use crate::estimate::LinearModel;
use crate::estimate::lightgbm::{Model, Scaler};
use crate::{Capacity, Time};

use super::usage::{Groups, Load, Usage};
use super::{Answer, Ask, NodeSettings, NodeState, Observation, Seen};

/// Where predictions of usage come from.
#[derive(Clone, Debug, Default)]
pub enum UsageModel {
    /// A linear model of the node's own usage, fitted from what it measures: usage = a + b·rates by group, the rates being
    /// those of the calls that were run.
    #[default]
    Linear,
    /// Trees that were trained elsewhere.
    Trees(Arc<UsageTrees>),
    /// A forecaster that is asked each period about a few loads around the present one; the linear model is fitted to its
    /// answers instead of what the node measures.
    Forecaster,
}

impl PartialEq for UsageModel {
    fn eq(&self, other: &UsageModel) -> bool {
        match (self, other) {
            (UsageModel::Linear, UsageModel::Linear) => true,
            (UsageModel::Trees(a), UsageModel::Trees(b)) => Arc::ptr_eq(a, b),
            (UsageModel::Forecaster, UsageModel::Forecaster) => true,
            _ => false,
        }
    }
}

/// The reference's models: each predicts one metric from the rates of high, low and medium usage and the type of the node.
#[derive(Clone, Debug)]
pub struct UsageTrees {
    /// Of the CPU, in percent of one core.
    pub cpu_percent: Option<ScaledModel>,
    /// Of the memory, in bytes.
    pub memory_bytes: Option<ScaledModel>,
    /// Of power, in microwatts.
    pub power_microwatts: Option<ScaledModel>,
}

/// A model with the scales of what goes in and of what comes out.
#[derive(Clone, Debug)]
pub struct ScaledModel {
    /// The model, of four features.
    pub model: Model,
    /// Of the rates of high, low and medium usage, and of the type.
    pub inputs: [Scaler; 4],
    /// Of the prediction.
    pub output: Scaler,
}

impl ScaledModel {
    /// The prediction for a node of that type at that load.
    pub fn predict(&self, Load([high, medium, low]): Load, kind: NodeType) -> f64 {
        let row = [high, low, medium, f64::from(kind as u8)];
        let mut scaled = [0.0; 4];
        for ((scaled, value), scaler) in scaled.iter_mut().zip(row).zip(self.inputs) {
            *scaled = scaler.transform(value);
        }
        self.output.inverse(self.model.predict(&scaled))
    }
}

/// The reference's types of node, by their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeType {
    /// Heavy, 0.
    Heavy = 0,
    /// Middle, 1.
    #[default]
    Mid = 1,
    /// Light, 2.
    Light = 2,
}

#[derive(Debug)]
pub(super) struct Prediction {
    model: UsageModel,
    kind: NodeType,
    fitted: LinearModel<4, 3>,
    /// The last period that was learned.
    learned: Option<Time>,
}

impl Prediction {
    pub(super) fn new(settings: &NodeSettings) -> Prediction {
        Prediction {
            model: settings.model.clone(),
            kind: settings.kind,
            fitted: LinearModel::default(),
            learned: None,
        }
    }

    /// Learns the last period, once. Returns what to ask a forecaster, about that load and some around it.
    pub(super) fn learn(
        &mut self,
        seen: &Observation<'_>,
        groups: &Groups,
        load: Load,
    ) -> Option<Ask> {
        if self.learned.replace(seen.measured) == Some(seen.measured) {
            return None;
        }
        match self.model {
            UsageModel::Trees(_) => None,
            UsageModel::Linear => {
                let run = Load::sum(seen, groups, |function| function.run);
                let NodeState {
                    cpu_percent,
                    memory_bytes,
                    power_microwatts,
                } = seen.node;
                let cpu_percent = cpu_percent.or_else(|| occupancy(seen.functions));
                let measured = [cpu_percent, memory_bytes, power_microwatts];
                self.fitted.learn(inputs(run), measured);
                None
            }
            UsageModel::Forecaster => {
                if let Some(Answer::Forecast(forecasts)) = seen.answer {
                    for (load, usage) in forecasts {
                        let usage = [
                            usage.cpu_percent,
                            usage.memory_bytes,
                            usage.power_microwatts,
                        ];
                        self.fitted.learn(inputs(*load), usage.map(Some));
                    }
                }
                Some(Ask::Forecast(around(load)))
            }
        }
    }

    /// The usage at that load.
    pub(super) fn usage(&self, load: Load) -> Usage {
        if let UsageModel::Trees(trees) = &self.model {
            let predict = |model: &Option<ScaledModel>| {
                model
                    .as_ref()
                    .map_or(0.0, |model| model.predict(load, self.kind))
            };
            return Usage {
                cpu_percent: predict(&trees.cpu_percent),
                memory_bytes: predict(&trees.memory_bytes),
                power_microwatts: predict(&trees.power_microwatts),
            };
        }
        let [cpu_percent, memory_bytes, power_microwatts] =
            self.fitted.predict(inputs(load)).map(|y| y.max(0.0));
        Usage {
            cpu_percent,
            memory_bytes,
            power_microwatts,
        }
    }
}

fn inputs(Load([high, medium, low]): Load) -> [f64; 4] {
    [1.0, high, medium, low]
}

/// The load itself, and the load with each group that has any at half its rate.
fn around(load: Load) -> Vec<Load> {
    let mut loads = vec![load];
    for group in (0..3).filter(|group| load.0[*group] > 0.0) {
        let mut halved = load;
        halved.0[group] /= 2.0;
        loads.push(halved);
    }
    loads
}

/// What stands in for the use of the CPU where that is not measured: the share of all slots that was taken on average, in
/// percent.
fn occupancy(functions: &[Seen]) -> Option<f64> {
    let (mut busy, mut slots) = (0.0, 0.0);
    for function in functions {
        let Some(service) = function.service.map(|s| s.as_secs_f64()) else {
            continue;
        };
        busy += function.run * service;
        slots += match function.gate.capacity() {
            Capacity::Slots(slots) => f64::from(slots.get()),
            Capacity::Rate(rate) => rate.per_second() * service,
        };
    }
    (slots > 0.0).then(|| 100.0 * busy / slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_take_high_low_medium_and_the_type() {
        // One tree that asks for one feature alone: 0.25 at most half of its scale, else 0.75.
        let text = |feature: u8| {
            format!(
                "tree\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective=regression\n\
                 feature_names=a b c d\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature={feature}\n\
                 threshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=0.25 0.75\n\n\n\
                 end of trees\n"
            )
        };
        let scale = |scale| Scaler { scale, min: 0.0 };
        let predict = |feature: u8, rates, kind| {
            let model = ScaledModel {
                model: Model::parse(&text(feature)).unwrap(),
                inputs: [scale(0.01), scale(0.002), scale(0.005), scale(0.5)],
                output: Scaler {
                    scale: 0.01,
                    min: -0.25,
                },
            };
            model.predict(Load(rates), kind)
        };
        // High, medium and low, at 50, 100 and 250 half of their scales: (0.25 + 0.25)/0.01, (0.75 + 0.25)/0.01.
        assert_eq!(predict(0, [50.0, 900.0, 900.0], NodeType::Light), 50.0);
        assert_eq!(predict(0, [51.0, 0.0, 0.0], NodeType::Heavy), 100.0);
        assert_eq!(predict(1, [900.0, 900.0, 250.0], NodeType::Light), 50.0);
        assert_eq!(predict(1, [0.0, 0.0, 251.0], NodeType::Heavy), 100.0);
        assert_eq!(predict(2, [900.0, 100.0, 900.0], NodeType::Light), 50.0);
        assert_eq!(predict(2, [0.0, 101.0, 0.0], NodeType::Heavy), 100.0);
        assert_eq!(predict(3, [900.0; 3], NodeType::Mid), 50.0);
        assert_eq!(predict(3, [0.0; 3], NodeType::Light), 100.0);
    }

    #[test]
    fn a_forecaster_is_asked_around_the_load() {
        assert_eq!(
            around(Load([10.0, 0.0, 4.0])),
            [
                Load([10.0, 0.0, 4.0]),
                Load([5.0, 0.0, 4.0]),
                Load([10.0, 0.0, 2.0])
            ]
        );
        assert_eq!(around(Load::default()), [Load::default()]);
    }
}
