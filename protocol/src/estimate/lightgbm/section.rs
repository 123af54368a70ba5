//! The parts of a model's text.

use std::collections::BTreeMap;

use super::{Link, Model, ModelError};

/// The lines `field=value` of the model's head, or of one tree.
pub(super) struct Section<'a> {
    pub(super) place: String,
    pub(super) fields: BTreeMap<&'a str, &'a str>,
}

impl Default for Section<'_> {
    fn default() -> Self {
        Section {
            place: "its head".to_owned(),
            fields: BTreeMap::new(),
        }
    }
}

impl<'a> Section<'a> {
    /// The model without its trees.
    pub(super) fn head(&self) -> Result<Model, ModelError> {
        if self.fields.contains_key("average_output") {
            return Err(ModelError::Unsupported("averaged trees".to_owned()));
        }
        if self.number::<u32>("num_tree_per_iteration")? != 1 {
            return Err(ModelError::Unsupported("more than two classes".to_owned()));
        }
        let objective = self.text("objective")?;
        let (name, parameters) = objective.split_once(' ').unwrap_or((objective, ""));
        let link = match (name, parameters) {
            ("regression" | "regression_l1", "") | ("quantile" | "huber", _) => Link::Identity,
            ("binary", parameters) => {
                let factor = parameters
                    .strip_prefix("sigmoid:")
                    .and_then(|f| f.parse().ok());
                Link::Sigmoid(factor.ok_or_else(|| self.wrong("objective"))?)
            }
            _ => {
                return Err(ModelError::Unsupported(format!(
                    "the objective {objective}"
                )));
            }
        };
        let features: Vec<String> = self
            .text("feature_names")?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        if self.number::<usize>("max_feature_idx")?.checked_add(1) != Some(features.len()) {
            return Err(self.wrong("feature_names"));
        }
        Ok(Model {
            features,
            link,
            nodes: Vec::new(),
            lanes: Vec::new(),
        })
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, ModelError> {
        let value = self.fields.get(field).copied();
        value.ok_or_else(|| ModelError::Lacks {
            field,
            place: self.place.clone(),
        })
    }

    pub(super) fn number<T: std::str::FromStr>(
        &self,
        field: &'static str,
    ) -> Result<T, ModelError> {
        self.text(field)?.parse().map_err(|_| self.wrong(field))
    }

    pub(super) fn numbers<T: std::str::FromStr>(
        &self,
        field: &'static str,
    ) -> Result<Vec<T>, ModelError> {
        self.text(field)?
            .split_ascii_whitespace()
            .map(|number| number.parse().map_err(|_| self.wrong(field)))
            .collect()
    }

    pub(super) fn exactly<T: std::str::FromStr>(
        &self,
        count: usize,
        field: &'static str,
    ) -> Result<Vec<T>, ModelError> {
        let numbers = self.numbers(field)?;
        if numbers.len() == count {
            Ok(numbers)
        } else {
            Err(self.wrong(field))
        }
    }

    pub(super) fn wrong(&self, field: &'static str) -> ModelError {
        ModelError::Wrong {
            field,
            place: self.place.clone(),
        }
    }
}
