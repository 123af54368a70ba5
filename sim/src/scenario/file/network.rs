//! Who is whose neighbour, and what links do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scenario::amount::Amount;

/// Who is whose neighbour. Links go both ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Topology {
    /// Each with each.
    #[default]
    Full,
    /// As listed.
    List {
        /// Pairs of names of nodes or groups; a group stands for all its nodes.
        links: Vec<ListedLink>,
    },
    /// For each node but the last an edge to one of the later nodes, each as likely as another, and then every pair with a
    /// probability. So the graph is connected.
    ErdosRenyi {
        /// The probability.
        p: f64,
    },
    /// A random graph in which each node has the same number of neighbours.
    Regular {
        /// How many; even.
        degree: usize,
    },
    /// A ring in which each node knows its nearest, with some links drawn anew (Watts and Strogatz).
    SmallWorld {
        /// How many of the nearest; even.
        degree: usize,
        /// The probability that a link is drawn anew.
        rewire: f64,
    },
    /// Nodes come one by one and link to those that have many links already (Barabási and Albert).
    ScaleFree {
        /// Links of each newcomer.
        edges: usize,
    },
    /// Nodes on a plane, each linked to its nearest. A link's delay grows with its length.
    Geographic {
        /// How many of the nearest.
        nearest: usize,
        /// The side of the square in which positions are drawn, in kilometres.
        side_km: f64,
        /// Milliseconds one way for each kilometre; light in fibre takes 0.005.
        #[serde(default = "ms_per_km")]
        ms_per_km: f64,
    },
    /// Read from a file: a line for each link, `A B` or `A B MILLISECONDS`, with names or numbers of nodes; `#` begins a
    /// comment.
    File {
        /// The file.
        path: PathBuf,
    },
}

/// A link of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedLink {
    /// One end.
    pub from: String,
    /// The other end.
    pub to: String,
    /// One way, in milliseconds; as in `[links]` if it is left out.
    #[serde(default)]
    pub delay_ms: Option<Amount>,
}

/// What a link does to what crosses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinksSection {
    /// From one end to the other, in milliseconds; drawn once for each link. For a geographic topology it is added to
    /// what the distance takes.
    pub delay_ms: Amount,
    /// Up to so many milliseconds more, drawn for each crossing.
    pub jitter_ms: f64,
    /// Megabits a second in each direction; unlimited if it is left out.
    pub mbps: Option<f64>,
    /// The probability that a crossing is lost and sent again after 200 milliseconds, as TCP does it.
    pub loss: f64,
}

impl Default for LinksSection {
    fn default() -> LinksSection {
        LinksSection {
            delay_ms: Amount::Fixed(1.0),
            jitter_ms: 0.0,
            mbps: None,
            loss: 0.0,
        }
    }
}

const fn ms_per_km() -> f64 {
    0.005
}
