//! The trained models of world B: whether a load is too much for a node, and what the node then uses.

use std::array;

use dfaas_protocol::estimate::lightgbm::{Model, Scaler};
use serde::Deserialize;

use super::ImportError;
use super::instance_b::{FUNCTIONS, NodeType, Rates};

const SCALERS: &str = "scalers.json";

/// The features of every model, in their order.
const FEATURES: [&str; 4] = [
    "rate_group_HIGH_USAGE",
    "rate_group_LOW_USAGE",
    "rate_group_MEDIUM_USAGE",
    "node_type",
];

/// The four models.
#[derive(Clone, Debug)]
pub struct Models {
    overloaded: Forecast,
    cpu: Forecast,
    ram: Forecast,
    power: Forecast,
}

/// The texts that the models are read from.
#[derive(Clone, Debug)]
pub struct ModelTexts {
    /// LightGBM's text of the classifier of overload.
    pub overloaded: String,
    /// LightGBM's text of the use of processors.
    pub cpu: String,
    /// LightGBM's text of the use of memory.
    pub ram: String,
    /// LightGBM's text of the power.
    pub power: String,
    /// JSON of the scalers of all four.
    pub scalers: String,
}

/// What a node uses under a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Processors in percent of one.
    pub cpu: f64,
    /// Memory in bytes.
    pub ram: f64,
    /// Power in microwatts.
    pub power: f64,
}

#[derive(Clone, Debug)]
struct Forecast {
    model: Model,
    inputs: [Scaler; 4],
    output: Option<Scaler>,
}

#[derive(Deserialize)]
struct ScalersFile {
    feature_order: Vec<String>,
    overloaded_node: ModelFile,
    cpu_usage_node: ModelFile,
    ram_usage_node: ModelFile,
    power_usage_node: ModelFile,
}

#[derive(Deserialize)]
struct ModelFile {
    features_scaler: Columns<[f64; 4]>,
    target_scaler: Option<Columns<[f64; 1]>>,
}

#[derive(Deserialize)]
struct Columns<T> {
    scale_: T,
    min_: T,
}

impl Models {
    /// Reads the models.
    ///
    /// # Errors
    ///
    /// When a text is not a model or not its scalers, or the features are others.
    pub fn parse(texts: &ModelTexts) -> Result<Models, ImportError> {
        let scalers: ScalersFile =
            serde_json::from_str(&texts.scalers).map_err(ImportError::json(SCALERS))?;
        if scalers.feature_order != FEATURES {
            let what = format!("the features are not {}", FEATURES.join(", "));
            return Err(ImportError::inconsistent(SCALERS, what));
        }
        let forecast = |name, text: &str, scalers: &ModelFile| -> Result<Forecast, ImportError> {
            let parsed = Model::parse(text);
            let model = parsed.map_err(|source| ImportError::Model { name, source })?;
            if model.features().len() != FEATURES.len() {
                let what = format!("the model {name} has not {} features", FEATURES.len());
                return Err(ImportError::inconsistent(SCALERS, what));
            }
            Ok(Forecast {
                model,
                inputs: scalers.features_scaler.scalers(),
                output: scalers.target_scaler.as_ref().map(|s| s.scalers()[0]),
            })
        };
        Ok(Models {
            overloaded: forecast(
                "overloaded_node",
                &texts.overloaded,
                &scalers.overloaded_node,
            )?,
            cpu: forecast("cpu_usage_node", &texts.cpu, &scalers.cpu_usage_node)?,
            ram: forecast("ram_usage_node", &texts.ram, &scalers.ram_usage_node)?,
            power: forecast("power_usage_node", &texts.power, &scalers.power_usage_node)?,
        })
    }

    /// Whether these rates are too much for such a node.
    pub fn is_overloaded(&self, node: NodeType, rates: &Rates<u64>) -> bool {
        self.overloaded.predict(node, rates) > 0.5
    }

    /// What such a node uses under these rates.
    pub fn usage(&self, node: NodeType, rates: &Rates<u64>) -> Usage {
        Usage {
            cpu: hundredths(self.cpu.predict(node, rates)),
            ram: hundredths(self.ram.predict(node, rates)),
            power: self.power(node, rates),
        }
    }

    /// The power that such a node draws under these rates, in microwatts.
    pub fn power(&self, node: NodeType, rates: &Rates<u64>) -> f64 {
        hundredths(self.power.predict(node, rates))
    }
}

/// The reference rounds every prediction so.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Forecast {
    fn predict(&self, node: NodeType, rates: &Rates<u64>) -> f64 {
        let mut row = [0.0, 0.0, 0.0, f64::from(node as u8)];
        for ((_, group), rate) in FUNCTIONS.iter().zip(rates) {
            row[*group as usize] += *rate as f64;
        }
        let row = array::from_fn::<_, 4, _>(|column| self.inputs[column].transform(row[column]));
        let prediction = self.model.predict(&row);
        self.output
            .map_or(prediction, |scaler| scaler.inverse(prediction))
    }
}

impl<const N: usize> Columns<[f64; N]> {
    fn scalers(&self) -> [Scaler; N] {
        array::from_fn(|column| Scaler {
            scale: self.scale_[column],
            min: self.min_[column],
        })
    }
}
