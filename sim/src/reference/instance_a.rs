//! Instances of world A: nodes with replicas of functions, and seven minutes of rates.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ImportError;
use super::capacity_law::{Function, NodeType, max_rate};

const INSTANCE: &str = "instance";
const RESOLVED: &str = "resolved instance";

/// A world of the first kind.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceA {
    /// The neighbours of each node, in the file's order.
    pub neighbours: Vec<Vec<usize>>,
    /// For each minute, what each node sees.
    pub minutes: Vec<Vec<NodeMinute>>,
}

/// A node in one minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeMinute {
    /// The functions that the node has, by their index; nothing where one is not deployed.
    pub functions: [Option<FunctionMinute>; 3],
    /// Use of the node's memory and of its processors, from 0 to 1; 0 where the instance is not resolved.
    pub usage: [f64; 2],
}

/// A function on a node in one minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunctionMinute {
    /// Requests a second that users bring.
    pub rate: u64,
    /// Requests a second that the node sustains.
    pub max_rate: u64,
    /// Replicas of the function.
    pub replicas: u32,
    /// Average execution time in seconds; 0 where the instance is not resolved.
    pub execution: f64,
    /// Memory and processors that the function uses, in percent; 0 where the instance is not resolved.
    pub usage: [f64; 2],
}

impl FunctionMinute {
    /// Whether users bring as much as it sustains, or more.
    pub fn is_overloaded(&self) -> bool {
        self.rate >= self.max_rate
    }

    /// Requests a second that are above what it sustains.
    pub fn excess(&self) -> u64 {
        self.rate.saturating_sub(self.max_rate)
    }

    /// Requests a second that it could take beside its own.
    pub fn margin(&self) -> u64 {
        self.max_rate.saturating_sub(self.rate)
    }
}

impl InstanceA {
    /// Reads an instance, and the same instance with capacities and metrics resolved, if there is one. Without it the
    /// capacities come from the [law](super::capacity_law), and metrics that only measurements give are the same everywhere.
    ///
    /// # Errors
    ///
    /// When a text is not of the reference's format, or both do not tell of the same nodes and rates.
    pub fn parse(instance: &str, resolved: Option<&str>) -> Result<InstanceA, ImportError> {
        let file: InstanceFile =
            serde_json::from_str(instance).map_err(ImportError::json(INSTANCE))?;
        let mut instance = file.instance()?;
        if let Some(text) = resolved {
            let minutes: Vec<BTreeMap<String, ResolvedNode>> =
                serde_json::from_str(text).map_err(ImportError::json(RESOLVED))?;
            instance.resolve(&minutes)?;
        }
        Ok(instance)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.neighbours.len()
    }

    fn resolve(&mut self, minutes: &[BTreeMap<String, ResolvedNode>]) -> Result<(), ImportError> {
        if minutes.len() != self.minutes.len() {
            let what = "it has other minutes than the instance";
            return Err(ImportError::inconsistent(RESOLVED, what));
        }
        for (minute, (nodes, resolved)) in self.minutes.iter_mut().zip(minutes).enumerate() {
            for (index, node) in nodes.iter_mut().enumerate() {
                let inconsistent = |what: &str| {
                    let what = format!("node_{index} {what} in minute {minute}");
                    ImportError::inconsistent(RESOLVED, what)
                };
                let resolved = resolved
                    .get(&format!("node_{index}"))
                    .ok_or_else(|| inconsistent("is absent"))?;
                node.usage = [resolved.ram_usage, resolved.cpu_usage];
                for (function, known) in Function::ALL.into_iter().zip(&mut node.functions) {
                    let measured = resolved
                        .functions
                        .iter()
                        .find(|f| f.name == function.name());
                    match (known, measured) {
                        (None, None) => {}
                        (Some(known), Some(measured)) if known.rate == measured.invoc_rate => {
                            measured.enter(known);
                        }
                        _ => return Err(inconsistent("has another load than in the instance")),
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct InstanceFile {
    nodes_number: usize,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct NodeFile {
    replicas: BTreeMap<String, u32>,
    node_type: NodeType,
    neighbours: Vec<String>,
    exp_history: Vec<MinuteFile>,
}

#[derive(Deserialize)]
struct MinuteFile {
    functions: Vec<RateFile>,
}

#[derive(Deserialize)]
struct RateFile {
    name: String,
    invoc_rate: u64,
}

#[derive(Deserialize)]
struct ResolvedNode {
    functions: Vec<ResolvedFunction>,
    ram_usage: f64,
    cpu_usage: f64,
}

/// The functions that the strategies leave alone have no more than a name and a rate.
#[derive(Deserialize)]
struct ResolvedFunction {
    name: String,
    invoc_rate: u64,
    max_rate: Option<u64>,
    service_count: Option<u32>,
    #[serde(default)]
    afet: f64,
    #[serde(default)]
    ram_xfunc: f64,
    #[serde(default)]
    cpu_xfunc: f64,
}

impl ResolvedFunction {
    fn enter(&self, known: &mut FunctionMinute) {
        known.max_rate = self.max_rate.unwrap_or(known.max_rate);
        known.replicas = self.service_count.unwrap_or(known.replicas);
        known.execution = self.afet;
        known.usage = [self.ram_xfunc, self.cpu_xfunc];
    }
}

impl InstanceFile {
    fn instance(self) -> Result<InstanceA, ImportError> {
        let nodes = nodes::<NodeFile>(INSTANCE, self.nodes_number, &self.rest)?;
        let minutes = nodes.first().map_or(0, |node| node.exp_history.len());
        if nodes.iter().any(|node| node.exp_history.len() != minutes) {
            let what = "its nodes have different numbers of minutes";
            return Err(ImportError::inconsistent(INSTANCE, what));
        }
        let names = nodes.iter().map(|node| node.neighbours.as_slice());
        Ok(InstanceA {
            neighbours: neighbours(INSTANCE, names)?,
            minutes: (0..minutes)
                .map(|minute| nodes.iter().map(|node| node.minute(minute)).collect())
                .collect::<Result<_, _>>()?,
        })
    }
}

impl NodeFile {
    fn minute(&self, minute: usize) -> Result<NodeMinute, ImportError> {
        let mut node = NodeMinute::default();
        for function in Function::ALL {
            let replicas = *self.replicas.get(function.name()).unwrap_or(&0);
            let mut rates = self.exp_history[minute].functions.iter();
            let rate = rates
                .find(|rate| rate.name == function.name())
                .map_or(0, |rate| rate.invoc_rate);
            if replicas > 0 {
                node.functions[function as usize] = Some(FunctionMinute {
                    rate,
                    max_rate: max_rate(self.node_type, function, replicas),
                    replicas,
                    execution: 0.0,
                    usage: [0.0; 2],
                });
            } else if rate > 0 {
                let what = format!("a node has load of {} but no replicas", function.name());
                return Err(ImportError::inconsistent(INSTANCE, what));
            }
        }
        Ok(node)
    }
}

/// The objects `node_0` to `node_{count − 1}` of a file.
pub(super) fn nodes<T: serde::de::DeserializeOwned>(
    file: &'static str,
    count: usize,
    fields: &BTreeMap<String, serde_json::Value>,
) -> Result<Vec<T>, ImportError> {
    let absent = |name: &str| ImportError::inconsistent(file, format!("{name} is absent"));
    (0..count)
        .map(|index| {
            let name = format!("node_{index}");
            let node = fields.get(&name).ok_or_else(|| absent(&name))?;
            T::deserialize(node).map_err(ImportError::json(file))
        })
        .collect()
}

/// The neighbours of each node by index, from their names.
pub(super) fn neighbours<'a>(
    file: &'static str,
    names: impl ExactSizeIterator<Item = &'a [String]>,
) -> Result<Vec<Vec<usize>>, ImportError> {
    let count = names.len();
    let index = |name: &String| {
        let index = name.strip_prefix("node_").and_then(|i| i.parse().ok());
        let index = index.filter(|index| *index < count);
        index.ok_or_else(|| ImportError::inconsistent(file, format!("neighbour {name} is absent")))
    };
    names
        .map(|names| names.iter().map(index).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two neighbours with one minute: the first has five `ocr` a second and sustains three.
    const TWO: &str = r#"{"seed": 1, "nodes_number": 2, "edge_prob": 0.5,
        "node_0": {"replicas": {"funca": 0, "qrcode": 2, "ocr": 1}, "node_type": "node_2", "neighbours": ["node_1"],
            "exp_history": [{"functions": [{"name": "ocr", "invoc_rate": 5}, {"name": "figlet", "invoc_rate": 9}]}]},
        "node_1": {"replicas": {"funca": 1, "qrcode": 0, "ocr": 2}, "node_type": "node_1", "neighbours": ["node_0"],
            "exp_history": [{"functions": [{"name": "funca", "invoc_rate": 15}]}]}}"#;

    #[test]
    fn capacities_follow_the_law() {
        let instance = InstanceA::parse(TWO, None).unwrap();
        assert_eq!(instance.neighbours, [vec![1], vec![0]]);
        let rates: Vec<_> = instance.minutes[0]
            .iter()
            .map(|node| node.functions.map(|f| f.map(|f| (f.rate, f.max_rate))))
            .collect();
        assert_eq!(
            rates,
            [
                [None, Some((0, 10)), Some((5, 3))],
                [Some((15, 15)), None, Some((0, 2))]
            ]
        );
        let funca = instance.minutes[0][1].functions[0].unwrap();
        assert!(funca.is_overloaded());
        assert_eq!(funca.margin(), 0);
    }

    #[test]
    fn measurements_are_entered_and_must_be_of_the_same_world() {
        let resolved = |rate: u32| {
            format!(
                r#"[{{"node_0": {{"ram_usage": 0.5, "cpu_usage": 0.25, "functions": [
                    {{"name": "figlet", "invoc_rate": 9}}, {{"name": "qrcode", "invoc_rate": 0, "max_rate": 11}},
                    {{"name": "ocr", "invoc_rate": {rate}, "afet": 0.1, "ram_xfunc": 2.0, "cpu_xfunc": 3.0}}]}},
                "node_1": {{"ram_usage": 0.5, "cpu_usage": 0.25, "functions": [
                    {{"name": "ocr", "invoc_rate": 0}}, {{"name": "funca", "invoc_rate": 15}}]}}}}]"#
            )
        };
        let instance = InstanceA::parse(TWO, Some(&resolved(5))).unwrap();
        let node = &instance.minutes[0][0];
        assert_eq!(node.usage, [0.5, 0.25]);
        assert_eq!(node.functions[1].unwrap().max_rate, 11);
        let ocr = node.functions[2].unwrap();
        assert_eq!(
            (ocr.max_rate, ocr.execution, ocr.usage),
            (3, 0.1, [2.0, 3.0])
        );

        let error = InstanceA::parse(TWO, Some(&resolved(6))).unwrap_err();
        assert!(
            error.to_string().contains("node_0 has another load"),
            "{error}"
        );
        let error = InstanceA::parse(TWO, Some("[]")).unwrap_err();
        assert!(error.to_string().contains("other minutes"), "{error}");
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let error = |old: &str, new: &str| {
            assert!(TWO.contains(old));
            InstanceA::parse(&TWO.replace(old, new), None)
                .unwrap_err()
                .to_string()
        };
        assert!(error("\"node_1\": {", "\"node_2\": {").contains("node_1 is absent"));
        assert!(error("[\"node_0\"]", "[\"node_2\"]").contains("neighbour node_2"));
        assert!(error("\"funca\": 1", "\"funca\": 0").contains("load of funca"));
        assert!(
            error(
                "\"exp_history\": [{\"functions\": [{\"name\": \"funca\", \"invoc_rate\": 15}]}]",
                "\"exp_history\": []"
            )
            .contains("different numbers")
        );
        assert!(error("\"node_type\": \"node_2\"", "\"node_type\": \"HEAVY\"").contains("HEAVY"));
    }
}
