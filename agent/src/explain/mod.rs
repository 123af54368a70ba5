//! Explanations: what was decided for the last calls, and why.
//!
//! Each thread of the data path has a ring with a record for each of its last calls, and a [`Recorder`] that writes them. A call
//! that simply ran here costs its record and nothing else: no allocation, and a lock that nobody else holds but while somebody reads
//! the very last records. Only for other calls is kept how each candidate stood. Nothing of bodies or headers is kept but the
//! call's id.

mod call;
mod read;
mod record;
mod ring;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dfaas_protocol::{FunctionName, NodeId};

use crate::clock::Clock;

pub use call::{Begun, Explained, Missed};
pub use record::{Ending, FunctionNumber};
pub use ring::Recorder;

use ring::Ring;

/// Why a call is refused that waited here until its time was over.
pub const TOO_LONG: &str = "waited-too-long";

/// The last calls of all threads.
#[derive(Debug)]
pub struct Explanations {
    node: NodeId,
    clock: Clock,
    kept_by_each: usize,
    rings: Mutex<Vec<Arc<Ring>>>,
    functions: Mutex<BTreeMap<FunctionName, FunctionNumber>>,
}

impl Explanations {
    /// Keeps so many calls over so many threads, or none at all.
    pub fn new(
        node: NodeId,
        clock: Clock,
        calls: usize,
        threads: usize,
    ) -> Option<Arc<Explanations>> {
        (calls > 0).then(|| {
            Arc::new(Explanations {
                node,
                clock,
                kept_by_each: calls.div_ceil(threads.max(1)),
                rings: Mutex::default(),
                functions: Mutex::default(),
            })
        })
    }

    /// What a new thread writes its calls down with.
    pub fn recorder(&self) -> Recorder {
        let ring = Arc::new(Ring::new(self.kept_by_each));
        locked(&self.rings).push(Arc::clone(&ring));
        Recorder::new(ring)
    }

    /// By which number records know a function. The number of a function never changes.
    pub fn number(&self, function: &FunctionName) -> FunctionNumber {
        let mut functions = locked(&self.functions);
        if let Some(number) = functions.get(function) {
            return *number;
        }
        let number = FunctionNumber::nth(functions.len());
        functions.insert(function.clone(), number);
        number
    }
}

/// What is behind these locks is whole at any time: each change is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
