//! What runs: the functions of a scenario.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// `NAME` or `NAME.NAMESPACE`.
    pub name: String,
    /// How long a call runs on a node of speed 1.
    pub service: ServiceModel,
    /// What it costs to wake it up after idleness; it never sleeps if it is left out.
    #[serde(default)]
    pub cold: Option<ColdSection>,
    /// Its labels, as on the platform: `dfaas.maxrate` or `dfaas.concurrency` go before what the node says.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Milliseconds after which its clients have no use for an answer, as their calls say; left out, they wait for it.
    #[serde(default)]
    pub deadline_ms: Option<f64>,
    /// The nodes that have it, by their names or their groups' names; all if it is left out.
    #[serde(default)]
    pub nodes: Option<Vec<String>>,
    /// Bytes of a request's body; they matter where links have a bandwidth.
    #[serde(default)]
    pub body_bytes: u32,
    /// Bytes of an answer's body, likewise.
    #[serde(default)]
    pub answer_bytes: u32,
}

/// What it costs to wake a function up. The first call after idleness, or ever, waits until an instance is there, and so do
/// those that come meanwhile. They hold their slots while they wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdSection {
    /// Milliseconds until an instance is there, on a node of speed 1.
    pub start_ms: f64,
    /// Seconds without a call after which the last instance is gone.
    pub after_idle_s: f64,
}

/// How long calls run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ServiceModel {
    /// Each as long as any other.
    Constant {
        /// Milliseconds.
        mean_ms: f64,
    },
    /// Exponentially distributed.
    Exponential {
        /// The mean in milliseconds.
        mean_ms: f64,
    },
    /// Log-normally distributed: heavy-tailed from a sigma of about 1.
    Lognormal {
        /// The mean in milliseconds, of the times themselves and not of their logarithms.
        mean_ms: f64,
        /// The standard deviation of their natural logarithms.
        sigma: f64,
    },
    /// Drawn from times that were recorded.
    Trace {
        /// The times in milliseconds, each as likely as any other.
        #[serde(default)]
        times_ms: Vec<f64>,
        /// A file with one time in milliseconds a line, instead.
        #[serde(default)]
        file: Option<PathBuf>,
    },
}
