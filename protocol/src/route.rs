//! The way of a function's calls: its gate here, its candidates there, and the rule that chooses.

use std::sync::Arc;

use crate::gate::Gate;
use crate::neighbours::Remote;
use crate::strategy::Rule;
use crate::{FunctionName, NodeId};

/// What a plan says of one function. A call needs nothing else to be decided.
#[derive(Debug)]
pub struct Route {
    /// Which function.
    pub function: FunctionName,
    /// Its gate, where the local platform has it.
    pub here: Option<Arc<Gate>>,
    /// The neighbours that offer it.
    pub there: Vec<Candidate>,
    /// The fast half of the strategy.
    pub rule: Box<dyn Rule>,
}

/// A neighbour that offers the function.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub node: NodeId,
    /// Its live counters for the function.
    pub remote: Arc<Remote>,
}
