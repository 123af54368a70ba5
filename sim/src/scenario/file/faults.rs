//! What goes wrong.

use serde::{Deserialize, Serialize};

/// Something that goes wrong for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSection {
    /// When it begins, in seconds.
    pub at_s: f64,
    /// When it is over; never, if it is left out.
    #[serde(default)]
    pub until_s: Option<f64>,
    /// Each of its nodes so many seconds after the one before: a rolling restart.
    #[serde(default)]
    pub stagger_s: f64,
    /// What it is.
    pub what: Fault,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Nodes are gone without a word, with all that runs and waits there. They come back having forgotten everything.
    Crash {
        /// Which, by their names or their groups' names.
        nodes: Vec<String>,
    },
    /// Nothing crosses between these nodes and the others.
    Partition {
        /// One side; all others are the other.
        nodes: Vec<String>,
    },
    /// Nodes run calls slower, and their agents do not know.
    Slow {
        /// Which.
        nodes: Vec<String>,
        /// How much longer calls take.
        factor: f64,
    },
    /// Offers and grants of these nodes are lost on their way.
    LoseMessages {
        /// Which; all if it is left out.
        #[serde(default)]
        nodes: Option<Vec<String>>,
        /// The share that is lost.
        share: f64,
    },
    /// Nodes take no calls of their neighbours, and say so; those of their own clients run and are forwarded as before. It is no fault but
    /// what operators do before they work on a node.
    Cordon {
        /// Which.
        nodes: Vec<String>,
    },
    /// Nodes offer, and say in every answer, that all their capacity is free.
    Lie {
        /// Which.
        nodes: Vec<String>,
    },
}
