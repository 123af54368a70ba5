//! Saying that a node is ready, and where it listens.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use dfaas_protocol::NodeId;

use crate::admin::view::Addresses;

/// What the ready file holds, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Who is ready.
    pub node_id: NodeId,
    /// Where it listens.
    pub addresses: Addresses,
}

/// Writes the ready file; whoever waits for it sees either nothing or the whole.
pub(super) fn write(path: &Path, node_id: NodeId, addresses: &Addresses) -> anyhow::Result<()> {
    let ready = Ready {
        node_id,
        addresses: addresses.clone(),
    };
    let part = path.with_extension("part");
    std::fs::write(&part, serde_json::to_vec(&ready)?)
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("the ready file {} cannot be written", path.display()))
}
