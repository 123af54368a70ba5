//! The way of a function's calls: its gate here, its candidates there, and the rule that chooses.

use std::sync::Arc;

use crate::FunctionName;
use crate::gate::Gate;
use crate::neighbours::Candidate;
use crate::strategy::Rule;

/// What a plan says of one function. A call needs nothing else to be decided.
#[derive(Debug)]
pub struct Route {
    /// Which function.
    pub function: FunctionName,
    /// Its gate, where the local platform has it.
    pub here: Option<Arc<Gate>>,
    /// The neighbours that offer it.
    pub there: Arc<[Candidate]>,
    /// The fast half of the strategy.
    pub rule: Box<dyn Rule>,
}
