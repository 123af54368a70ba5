//! Nodes by their names or their groups' names.

use std::collections::BTreeMap;

use super::ScenarioError;
use super::experiment::Site;

/// The nodes by the names that mean them.
pub(super) struct Selection {
    nodes: usize,
    named: BTreeMap<String, Vec<usize>>,
}

impl Selection {
    pub(super) fn new(sites: &[Site]) -> Selection {
        let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, site) in sites.iter().enumerate() {
            named.entry(site.name.clone()).or_default().push(index);
            if site.group != site.name {
                named.entry(site.group.clone()).or_default().push(index);
            }
        }
        Selection {
            nodes: sites.len(),
            named,
        }
    }

    /// The nodes that a name means.
    pub(super) fn one(&self, name: &str) -> Result<&[usize], ScenarioError> {
        self.named.get(name).map(Vec::as_slice).ok_or_else(|| {
            ScenarioError::invalid(format!("there is no node and no group {name:?}"))
        })
    }

    /// The nodes that some names mean, each once, in the order of the names.
    pub(super) fn some(&self, names: &[String]) -> Result<Vec<usize>, ScenarioError> {
        let mut chosen = Vec::new();
        for name in names {
            for node in self.one(name)? {
                if !chosen.contains(node) {
                    chosen.push(*node);
                }
            }
        }
        Ok(chosen)
    }

    /// As [`some`](Selection::some); all, if no names are given.
    pub(super) fn all_or(&self, names: Option<&[String]>) -> Result<Vec<usize>, ScenarioError> {
        names.map_or_else(|| Ok((0..self.nodes).collect()), |names| self.some(names))
    }
}
