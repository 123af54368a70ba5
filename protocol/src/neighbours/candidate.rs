//! A neighbour as one function's calls see it.

use std::sync::Arc;

use crate::NodeId;

use super::Remote;

/// A neighbour that offers a function and may be sent its calls.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub node: NodeId,
    /// Its live counters for the function.
    pub remote: Arc<Remote>,
}
