//! Labels of a node: what it says of itself for functions to ask for and for costs to be weighed by.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most labels that a node has.
pub const MAX_LABELS: usize = 32;
/// The longest key, and the longest value, in bytes.
pub const MAX_LABEL: usize = 64;

/// A node's labels: at most [`MAX_LABELS`] pairs of key and value, sorted by key, each key once. Keys and values have at
/// most [`MAX_LABEL`] bytes of printable ASCII without spaces, commas and equals signs; a key has at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(String, String)>")]
pub struct NodeLabels(Vec<(String, String)>);

/// Why something is no set of node labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LabelsError {
    /// Too many.
    #[error("a node has at most {MAX_LABELS} labels: leave some out")]
    TooMany,
    /// A key or a value that cannot be one.
    #[error(
        "keys and values of labels are printable ASCII without spaces, commas and equals signs, at most \
         {MAX_LABEL} bytes; a key has at least one"
    )]
    Unwritable,
    /// A key twice, or keys out of order.
    #[error("labels are sorted by key, each key once")]
    Unsorted,
}

/// Whether a text may be a key or a value.
pub(crate) fn is_writable(text: &str) -> bool {
    let writable = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'=';
    text.len() <= MAX_LABEL && text.bytes().all(writable)
}

impl NodeLabels {
    /// These labels, in any order.
    ///
    /// # Errors
    /// If there are too many, one cannot be written, or a key is there twice.
    pub fn new(
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Result<NodeLabels, LabelsError> {
        let mut labels: Vec<(String, String)> = labels.into_iter().collect();
        labels.sort_unstable();
        NodeLabels::try_from(labels)
    }

    /// Whether a label may have that key.
    pub fn may_have(key: &str) -> bool {
        !key.is_empty() && is_writable(key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok()?;
        Some(&self.0[index].1)
    }

    /// The same with another value for a key, or without it. A new key is left out where there is no room for it.
    pub fn with(mut self, key: &str, value: Option<&str>) -> NodeLabels {
        let place = self.0.binary_search_by(|(k, _)| k.as_str().cmp(key));
        match (place, value) {
            (Ok(index), Some(value)) => self.0[index].1 = value.to_owned(),
            (Ok(index), None) => drop(self.0.remove(index)),
            (Err(index), Some(value)) if self.0.len() < MAX_LABELS => {
                self.0.insert(index, (key.to_owned(), value.to_owned()));
            }
            (Err(_), _) => {}
        }
        self
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

impl TryFrom<Vec<(String, String)>> for NodeLabels {
    type Error = LabelsError;

    fn try_from(labels: Vec<(String, String)>) -> Result<NodeLabels, LabelsError> {
        if labels.len() > MAX_LABELS {
            return Err(LabelsError::TooMany);
        }
        if labels
            .iter()
            .any(|(key, value)| !NodeLabels::may_have(key) || !is_writable(value))
        {
            return Err(LabelsError::Unwritable);
        }
        if !labels.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(LabelsError::Unsorted);
        }
        Ok(NodeLabels(labels))
    }
}

impl fmt::Display for NodeLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Result<NodeLabels, LabelsError> {
        NodeLabels::new(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())))
    }

    #[test]
    fn they_are_found_by_key_and_shown_in_order() {
        let labels = labels(&[("region", "north"), ("energy", "0.4"), ("gpu", "")]).unwrap();
        assert_eq!(labels.get("region"), Some("north"));
        assert_eq!(labels.get("gpu"), Some(""));
        assert_eq!(labels.get("reg"), None);
        assert_eq!(labels.to_string(), "energy=0.4,gpu=,region=north");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let long = "x".repeat(MAX_LABEL + 1);
        for (key, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a", "x,y"),
            ("a=b", "x"),
            ("é", "x"),
        ] {
            assert_eq!(
                labels(&[(key, value)]),
                Err(LabelsError::Unwritable),
                "{key}"
            );
        }
        assert_eq!(labels(&[("a", &long)]), Err(LabelsError::Unwritable));
        assert_eq!(
            labels(&[("a", "1"), ("a", "2")]),
            Err(LabelsError::Unsorted)
        );
        let many: Vec<(String, String)> = (0..=MAX_LABELS)
            .map(|i| (format!("k{i:02}"), String::new()))
            .collect();
        assert_eq!(NodeLabels::new(many.clone()), Err(LabelsError::TooMany));
        assert!(NodeLabels::new(many[1..].to_vec()).is_ok());
    }
}
