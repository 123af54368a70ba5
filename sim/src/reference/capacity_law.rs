//! World A's capacities: a rate per replica that depends on the node's type and the function.
//!
//! The reference looks capacities up among recorded experiments. All 1,120 samples of them keep to this law.

use serde::Deserialize;

/// A function that forwards. World A's traces name two more, which its strategies leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// A light function.
    Funca,
    /// Makes QR codes.
    Qrcode,
    /// Recognises text in pictures.
    Ocr,
}

impl Function {
    /// All of them, in the order of their indices.
    pub const ALL: [Function; 3] = [Function::Funca, Function::Qrcode, Function::Ocr];

    /// The function with that name, if it is one of these.
    pub fn named(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Its name in the reference's files.
    pub fn name(self) -> &'static str {
        match self {
            Function::Funca => "funca",
            Function::Qrcode => "qrcode",
            Function::Ocr => "ocr",
        }
    }
}

/// The type of a node in world A, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum NodeType {
    /// The weakest.
    #[serde(rename = "node_1")]
    Weak,
    /// In between.
    #[serde(rename = "node_2")]
    Medium,
    /// The strongest.
    #[serde(rename = "node_3")]
    Strong,
}

/// Requests a second that so many replicas of a function sustain.
pub fn max_rate(node: NodeType, function: Function, replicas: u32) -> u64 {
    let of_one = match node {
        NodeType::Weak => [15, 2, 1],
        NodeType::Medium => [20, 5, 3],
        NodeType::Strong => [30, 10, 5],
    };
    u64::from(replicas) * of_one[function as usize]
}
