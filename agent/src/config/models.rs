//! The reference's models of a node's usage: LightGBM's text files and their scalers, in one directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use dfaas_protocol::estimate::lightgbm::{Model, Scaler};
use dfaas_protocol::strategy::{ScaledModel, UsageTrees};
use serde::Deserialize;

/// The file with the scales of all models: `{"cpu_usage_node": {"features_scaler": …, "target_scaler": …}, …}`, each as
/// scikit-learn's `MinMaxScaler` keeps them.
const SCALERS: &str = "scalers.json";
/// The order of the features: rates of high, low and medium usage, and the type of the node.
const FEATURES: usize = 4;

#[derive(Deserialize)]
struct Scales {
    features_scaler: MinMax,
    target_scaler: MinMax,
}

#[derive(Deserialize)]
struct MinMax {
    scale_: Vec<f64>,
    min_: Vec<f64>,
}

impl MinMax {
    fn scalers<const N: usize>(&self) -> anyhow::Result<[Scaler; N]> {
        let pairs = self.scale_.iter().zip(&self.min_);
        let scalers: Vec<Scaler> = pairs
            .map(|(scale, min)| Scaler {
                scale: *scale,
                min: *min,
            })
            .collect();
        let usable = |s: &Scaler| s.scale.is_finite() && s.scale != 0.0 && s.min.is_finite();
        ensure!(
            self.scale_.len() == self.min_.len() && scalers.iter().all(usable),
            "a scale is zero or no number, or scale_ and min_ differ in length"
        );
        let count = scalers.len();
        scalers
            .try_into()
            .ok()
            .with_context(|| format!("there are scales of {count} columns; there must be {N}"))
    }
}

/// Reads `cpu_usage_node.lgbm.txt`, `ram_usage_node.lgbm.txt` and `power_usage_node.lgbm.txt`, as many as there are, with
/// [`SCALERS`].
pub(super) fn load(dir: &Path) -> anyhow::Result<UsageTrees> {
    let path = dir.join(SCALERS);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read the scalers {}", path.display()))?;
    let scales: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text)
        .with_context(|| format!("{} is no JSON object of scalers", path.display()))?;
    let read = |metric: &str| -> anyhow::Result<Option<ScaledModel>> {
        let path = dir.join(format!("{metric}.lgbm.txt"));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read the model {}", path.display()))?;
        let model = Model::parse(&text).with_context(|| path.display().to_string())?;
        ensure!(
            model.features().len() == FEATURES,
            "{} has {} features; there must be {FEATURES}",
            path.display(),
            model.features().len()
        );
        let scales = scales.get(metric);
        let scales = scales.with_context(|| format!("{SCALERS} has no {metric}"))?;
        let scales = Scales::deserialize(scales)
            .with_context(|| format!("{SCALERS} has no usable scales of {metric}"))?;
        let [output] = scales.target_scaler.scalers()?;
        Ok(Some(ScaledModel {
            model,
            inputs: scales.features_scaler.scalers()?,
            output,
        }))
    };
    let trees = UsageTrees {
        cpu_percent: read("cpu_usage_node")?,
        memory_bytes: read("ram_usage_node")?,
        power_microwatts: read("power_usage_node")?,
    };
    if trees.cpu_percent.is_none()
        && trees.memory_bytes.is_none()
        && trees.power_microwatts.is_none()
    {
        bail!(
            "{} has no model; save one as cpu_usage_node.lgbm.txt, ram_usage_node.lgbm.txt or \
             power_usage_node.lgbm.txt",
            dir.display()
        );
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use dfaas_protocol::strategy::{Load, NodeType};

    use super::*;

    /// One leaf of a half, of four features.
    const MODEL: &str = "tree\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective=regression\n\
         feature_names=a b c d\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=0.5\n\n\nend of trees\n";
    const SCALES: &str = r#"{"feature_order": [], "cpu_usage_node": {
        "features_scaler": {"scale_": [0.01, 0.002, 0.005, 0.5], "min_": [0, 0, 0, 0]},
        "target_scaler": {"scale_": [0.002], "min_": [-0.1]}}}"#;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn a_model_predicts_in_the_units_of_the_world() {
        let dir = directory(&[("cpu_usage_node.lgbm.txt", MODEL), (SCALERS, SCALES)]);
        let trees = load(dir.path()).unwrap();
        let cpu = trees.cpu_percent.unwrap();
        let predicted = cpu.predict(Load([1.0, 2.0, 3.0]), NodeType::Mid);
        assert!((predicted - 300.0).abs() < 1e-9, "{predicted}");
        assert!(trees.memory_bytes.is_none() && trees.power_microwatts.is_none());
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let model = ("cpu_usage_node.lgbm.txt", MODEL);
        let zero = SCALES.replace("[0.002]", "[0]");
        let three = SCALES.replace("0.005, 0.5]", "0.005]");
        for (files, expected) in [
            (vec![model], "cannot read the scalers"),
            (vec![(SCALERS, SCALES)], "has no model"),
            (vec![(SCALERS, "[]"), model], "no JSON object"),
            (vec![(SCALERS, "{}"), model], "has no cpu_usage_node"),
            (vec![(SCALERS, &zero), model], "a scale is zero"),
            (vec![(SCALERS, &three), model], "differ in length"),
            (
                vec![(SCALERS, SCALES), ("ram_usage_node.lgbm.txt", MODEL)],
                "has no ram_usage_node",
            ),
            (
                vec![(SCALERS, SCALES), ("cpu_usage_node.lgbm.txt", "x")],
                "not a LightGBM model",
            ),
        ] {
            let dir = directory(&files);
            let error = format!("{:#}", load(dir.path()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
