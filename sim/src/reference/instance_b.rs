//! Instances of world B: nodes of three types, functions of three groups, and seven minutes of rates.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ImportError;
use super::instance_a::{neighbours, nodes};

const INSTANCE: &str = "instance";

/// A world of the second kind.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceB {
    /// The type of each node.
    pub types: Vec<NodeType>,
    /// The neighbours of each node, in the file's order.
    pub neighbours: Vec<Vec<usize>>,
    /// For each minute the rates of each node.
    pub minutes: Vec<Vec<Rates<Option<u64>>>>,
}

/// One value for each function, such as requests a second; `None` where a node does not have the function.
pub type Rates<T> = [T; FUNCTIONS.len()];

/// The type of a node in world B, from the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NodeType {
    /// The strongest; 0 to the models.
    Heavy,
    /// In between; 1 to the models.
    Mid,
    /// The weakest; 2 to the models.
    Light,
}

/// How much of a node a function uses. The models know only the rates of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Group {
    /// Much.
    #[serde(rename = "HIGH_USAGE")]
    High,
    /// Little.
    #[serde(rename = "LOW_USAGE")]
    Low,
    /// In between.
    #[serde(rename = "MEDIUM_USAGE")]
    Medium,
}

/// The functions of world B with their groups.
pub const FUNCTIONS: [(&str, Group); 6] = [
    ("eat-memory", Group::High),
    ("nmap", Group::High),
    ("env", Group::Low),
    ("figlet", Group::Low),
    ("shasum", Group::Low),
    ("curl", Group::Medium),
];

#[derive(Deserialize)]
struct InstanceFile {
    nodes_number: usize,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct NodeFile {
    node_type: NodeType,
    neighbours: Vec<String>,
    load: Vec<BTreeMap<Group, GroupFile>>,
}

#[derive(Deserialize)]
struct GroupFile {
    functions: Vec<RateFile>,
}

#[derive(Deserialize)]
struct RateFile {
    function_name: String,
    function_rate: u64,
}

impl InstanceB {
    /// Whether a text is of this world rather than of the first.
    pub fn is_one(text: &str) -> bool {
        #[derive(Deserialize)]
        struct Mark {
            #[serde(rename = "overloaded_perc")]
            _overloaded_percent: f64,
        }
        serde_json::from_str::<Mark>(text).is_ok()
    }

    /// Reads an instance.
    ///
    /// # Errors
    ///
    /// When the text is not of the reference's format.
    pub fn parse(text: &str) -> Result<InstanceB, ImportError> {
        let file: InstanceFile = serde_json::from_str(text).map_err(ImportError::json(INSTANCE))?;
        let nodes = nodes::<NodeFile>(INSTANCE, file.nodes_number, &file.rest)?;
        let minutes = nodes.first().map_or(0, |node| node.load.len());
        if nodes.iter().any(|node| node.load.len() != minutes) {
            let what = "its nodes have different numbers of minutes";
            return Err(ImportError::inconsistent(INSTANCE, what));
        }
        let names = nodes.iter().map(|node| node.neighbours.as_slice());
        Ok(InstanceB {
            types: nodes.iter().map(|node| node.node_type).collect(),
            neighbours: neighbours(INSTANCE, names)?,
            minutes: (0..minutes)
                .map(|minute| nodes.iter().map(|node| rates(&node.load[minute])).collect())
                .collect::<Result<_, _>>()?,
        })
    }
}

fn rates(load: &BTreeMap<Group, GroupFile>) -> Result<Rates<Option<u64>>, ImportError> {
    let mut rates = [None; FUNCTIONS.len()];
    for (group, functions) in load {
        for rate in &functions.functions {
            let known = FUNCTIONS
                .iter()
                .position(|f| *f == (&rate.function_name, *group));
            let index = known.ok_or_else(|| {
                let what = format!(
                    "the function {} is not one of its group",
                    rate.function_name
                );
                ImportError::inconsistent(INSTANCE, what)
            })?;
            rates[index] = Some(rate.function_rate);
        }
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"seed": 1, "nodes_number": 1, "edge_prob": 0.5, "overloaded_perc": 60.0,
        "node_0": {"node_type": "MID", "neighbours": [], "load": [
            {"LOW_USAGE": {"functions": [{"function_name": "env", "function_rate": 7},
                {"function_name": "figlet", "function_rate": 0}], "total_rate": 7},
             "HIGH_USAGE": {"functions": [{"function_name": "nmap", "function_rate": 2}], "total_rate": 2}}]}}"#;

    #[test]
    fn rates_are_found_by_function() {
        assert!(InstanceB::is_one(ONE));
        let instance = InstanceB::parse(ONE).unwrap();
        assert_eq!(instance.types, [NodeType::Mid]);
        assert_eq!(
            instance.minutes,
            [[[None, Some(2), Some(7), Some(0), None, None]]]
        );
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let error = |old: &str, new: &str| {
            assert!(ONE.contains(old));
            InstanceB::parse(&ONE.replace(old, new))
                .unwrap_err()
                .to_string()
        };
        assert!(error("\"nmap\"", "\"curl\"").contains("function curl"));
        assert!(error("HIGH_USAGE", "HUGE_USAGE").contains("HUGE_USAGE"));
        assert!(!InstanceB::is_one(
            &ONE.replace("\"overloaded_perc\": 60.0,", "")
        ));
    }
}
