//! Predictions of gradient-boosted trees, from models that LightGBM saved as text.
//!
//! Understood are numeric splits and one tree an iteration, with the objectives of regression and of two classes. The
//! text is as `Booster.save_model` writes it (versions 3 and 4 of the format).

mod scaler;
mod section;

use std::collections::BTreeMap;

use section::Section;

pub use scaler::Scaler;

/// The line after the last tree.
const END: &str = "end of trees";

/// Values this near to zero count as zero where a split takes zero for a missing value.
const ZERO: f64 = 1e-35_f32 as f64;

/// Bits of a split's `decision_type`: whether it is categorical, whether missing values go left, what is missing.
const CATEGORICAL: u8 = 1;
const MISSING_GOES_LEFT: u8 = 2;
const MISSING_IS_SHIFT: u8 = 2;

/// A model: a sum over trees, passed through the objective's link.
#[derive(Clone, Debug)]
pub struct Model {
    features: Vec<String>,
    link: Link,
    nodes: Vec<Node>,
    /// Trees in the model's order, some of them side by side.
    lanes: Vec<Lanes>,
}

/// Why a text is not a model that can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The text does not begin as LightGBM's models do.
    #[error(
        "not a LightGBM model: its first line must be \"tree\"; save it with Booster.save_model"
    )]
    NotAModel,
    /// The text ends before the last tree does.
    #[error("the LightGBM model is cut off: no line \"end of trees\"; copy the whole file")]
    CutOff,
    /// A field that every model has is absent.
    #[error(
        "the LightGBM model lacks the field {field} in {place}; save it anew with Booster.save_model"
    )]
    Lacks {
        /// The field's name.
        field: &'static str,
        /// The head, or which tree.
        place: String,
    },
    /// A field's value is not what the format allows.
    #[error(
        "the LightGBM model has a wrong {field} in {place}; save it anew with Booster.save_model"
    )]
    Wrong {
        /// The field's name.
        field: &'static str,
        /// The head, or which tree.
        place: String,
    },
    /// The model uses something of LightGBM that is not evaluated here.
    #[error(
        "the LightGBM model uses {0}, which is not supported; train it with numeric features and the objective \
         regression, quantile or binary"
    )]
    Unsupported(String),
}

/// From the sum of the trees to the prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Link {
    Identity,
    /// The probability of the positive class, with the factor of the exponent.
    Sigmoid(f64),
}

/// How many trees are walked side by side. One after the other, each step of a walk would wait for the one before.
const LANES: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Lanes {
    roots: [u32; LANES],
    /// How many of the roots are trees.
    trees: usize,
    /// Steps from a root to a leaf at most.
    depth: usize,
}

/// A split or a leaf. A leaf is its own child, so that a walk may take more steps than it has splits.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The threshold of a split, the value of a leaf.
    value: f64,
    /// Where to go when the feature is above the threshold, and when it is not.
    children: [u32; 2],
    feature: u16,
    missing: Missing,
    missing_goes_left: bool,
}

/// Which values of a feature a split takes for missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// None: not-a-number is taken for zero.
    Never,
    /// Zero and not-a-number.
    Zero,
    /// Not-a-number.
    Nan,
}

impl Model {
    /// Reads a model's text.
    ///
    /// # Errors
    ///
    /// When the text is not a model, is damaged, or uses what is not supported: categorical splits, linear trees,
    /// averaged trees, more than two classes, other objectives.
    pub fn parse(text: &str) -> Result<Model, ModelError> {
        let mut lines = text.lines().map(str::trim_end);
        if lines.next() != Some("tree") {
            return Err(ModelError::NotAModel);
        }
        if !lines.clone().any(|line| line == END) {
            return Err(ModelError::CutOff);
        }
        let mut sections = vec![Section::default()];
        for line in lines.take_while(|line| *line != END) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if key == "Tree" {
                sections.push(Section {
                    place: format!("tree {value}"),
                    fields: BTreeMap::new(),
                });
            } else if let Some(section) = sections.last_mut() {
                section.fields.insert(key, value);
            }
        }
        let mut sections = sections.into_iter();
        let head = sections.next().unwrap_or_default();
        let mut model = head.head()?;
        for tree in sections {
            model.add(&tree)?;
        }
        Ok(model)
    }

    /// The names of the features, in the order in which [`Model::predict`] takes them.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The prediction for one row of features: a value for a regression, and for two classes the probability of the
    /// positive one. A feature that the row does not reach to counts as not-a-number.
    pub fn predict(&self, row: &[f64]) -> f64 {
        let mut sum = 0.0;
        for lanes in &self.lanes {
            let mut at = lanes.roots;
            for _ in 0..lanes.depth {
                at = at.map(|node| self.nodes[node as usize].child(row));
            }
            for leaf in &at[..lanes.trees] {
                sum += self.nodes[*leaf as usize].value;
            }
        }
        match self.link {
            Link::Identity => sum,
            Link::Sigmoid(factor) => 1.0 / (1.0 + (-factor * sum).exp()),
        }
    }

    fn add(&mut self, tree: &Section<'_>) -> Result<(), ModelError> {
        if tree.fields.get("is_linear").is_some_and(|l| *l != "0") {
            return Err(ModelError::Unsupported("linear trees".to_owned()));
        }
        if tree.number::<u32>("num_cat")? != 0 {
            return Err(ModelError::Unsupported("categorical splits".to_owned()));
        }
        let leaves = tree.numbers::<f64>("leaf_value")?;
        let is_counted = tree.number::<usize>("num_leaves")? == leaves.len();
        if leaves.is_empty() || !is_counted || !leaves.iter().all(|l| l.is_finite()) {
            return Err(tree.wrong("leaf_value"));
        }
        let splits = leaves.len() - 1;
        // The splits of the tree come first, then its leaves.
        let first = self.nodes.len();
        u32::try_from(first + splits + leaves.len()).map_err(|_| tree.wrong("num_leaves"))?;
        let node_at = |index: usize| (first + index) as u32;
        let mut depths = vec![0; splits + leaves.len()];
        if splits > 0 {
            self.add_splits(tree, splits, node_at, &mut depths)?;
        }
        for (leaf, value) in leaves.into_iter().enumerate() {
            self.nodes.push(Node {
                value,
                children: [node_at(splits + leaf); 2],
                feature: 0,
                missing: Missing::Never,
                missing_goes_left: false,
            });
        }
        if self.lanes.last().is_none_or(|lanes| lanes.trees == LANES) {
            self.lanes.push(Lanes::default());
        }
        if let Some(lanes) = self.lanes.last_mut() {
            lanes.roots[lanes.trees] = node_at(0);
            lanes.trees += 1;
            lanes.depth = depths.into_iter().fold(lanes.depth, usize::max);
        }
        Ok(())
    }

    /// Adds a tree's splits, and enters how many steps each of its nodes is from the root.
    fn add_splits(
        &mut self,
        tree: &Section<'_>,
        count: usize,
        node_at: impl Fn(usize) -> u32,
        depths: &mut [usize],
    ) -> Result<(), ModelError> {
        let features = tree.exactly::<u16>(count, "split_feature")?;
        let thresholds = tree.exactly::<f64>(count, "threshold")?;
        let types = tree.exactly::<u8>(count, "decision_type")?;
        let left = tree.exactly::<i32>(count, "left_child")?;
        let right = tree.exactly::<i32>(count, "right_child")?;
        for split in 0..count {
            // Children come after their parents, so that no path is endless. A leaf is the complement of its index.
            let mut child = |index: i32, field| {
                let child = match usize::try_from(index) {
                    Ok(child) if child > split && child < count => child,
                    Err(_) if !index as usize <= count => count + !index as usize,
                    _ => return Err(tree.wrong(field)),
                };
                depths[child] = depths[child].max(depths[split] + 1);
                Ok(node_at(child))
            };
            let kind = types[split];
            if kind & CATEGORICAL != 0 {
                return Err(ModelError::Unsupported("categorical splits".to_owned()));
            }
            if usize::from(features[split]) >= self.features.len() {
                return Err(tree.wrong("split_feature"));
            }
            if thresholds[split].is_nan() {
                return Err(tree.wrong("threshold"));
            }
            self.nodes.push(Node {
                value: thresholds[split],
                children: [
                    child(right[split], "right_child")?,
                    child(left[split], "left_child")?,
                ],
                feature: features[split],
                missing: match kind >> MISSING_IS_SHIFT {
                    0 => Missing::Never,
                    1 => Missing::Zero,
                    2 => Missing::Nan,
                    _ => return Err(tree.wrong("decision_type")),
                },
                missing_goes_left: kind & MISSING_GOES_LEFT != 0,
            });
        }
        Ok(())
    }
}

impl Node {
    /// The next node on the walk of a row.
    fn child(&self, row: &[f64]) -> u32 {
        let value = row
            .get(usize::from(self.feature))
            .copied()
            .unwrap_or(f64::NAN);
        let goes_left = match self.missing {
            // Not-a-number is taken for zero.
            Missing::Never => (if value.is_nan() { 0.0 } else { value }) <= self.value,
            Missing::Zero if value.is_nan() || value.abs() <= ZERO => self.missing_goes_left,
            Missing::Nan if value.is_nan() => self.missing_goes_left,
            Missing::Zero | Missing::Nan => value <= self.value,
        };
        self.children[usize::from(goes_left)]
    }
}

#[cfg(test)]
mod tests;
