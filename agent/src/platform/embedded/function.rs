//! The functions of the embedded platform, and their slots.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dfaas_protocol::{FunctionName, Slots};
use dfaas_sim::scenario::Service;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::config::{Builtin, EmbeddedFunction};
use crate::platform::{DeployedFunction, PlatformError};

/// The longest that a function sleeps or burns.
pub(super) const MAX_WORK: Duration = Duration::from_secs(10 * 60);

/// A deployed function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: FunctionName,
    pub(super) builtin: Builtin,
    pub(super) concurrency: Slots,
    pub(super) labels: BTreeMap<String, String>,
    running: AtomicU32,
    /// What service times are drawn from.
    rng: Mutex<StdRng>,
    invocations: AtomicU64,
}

impl Function {
    /// Takes a slot and counts the call; nothing if all slots are taken.
    pub(super) fn start(self: &Arc<Function>) -> Option<Slot> {
        let limit = self.concurrency.get();
        self.running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                (running < limit).then_some(running + 1)
            })
            .ok()?;
        self.invocations.fetch_add(1, Ordering::Relaxed);
        Some(Slot(self.clone()))
    }

    /// How long a call takes on a node of speed 1, in seconds.
    pub(super) fn draw(&self, service: &Service) -> f64 {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        service.draw(&mut *rng)
    }

    /// Calls that were begun.
    pub(super) fn invocations(&self) -> u64 {
        self.invocations.load(Ordering::Relaxed)
    }
}

/// A slot of a function; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Slot(Arc<Function>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All functions.
#[derive(Debug)]
pub(super) struct Functions {
    /// In the order of their names.
    all: Vec<Arc<Function>>,
    /// By each text that a path may call them by.
    by_text: HashMap<String, Arc<Function>>,
}

impl Functions {
    pub(super) fn deploy(configured: &[EmbeddedFunction]) -> Result<Functions, PlatformError> {
        let mut by_name = BTreeMap::new();
        for function in configured {
            let refused = |reason: String| PlatformError::Function {
                name: function.name.clone(),
                reason,
            };
            let name =
                FunctionName::parse(&function.name).map_err(|error| refused(error.to_string()))?;
            if let Builtin::Sleep(time) | Builtin::Burn(time) = function.builtin
                && time > MAX_WORK
            {
                let most = MAX_WORK.as_millis();
                return Err(refused(format!("it may take at most {most} ms")));
            }
            let seed = match &function.builtin {
                Builtin::Serve(times) => times.seed,
                _ => 0,
            };
            let deployed = Function {
                name: name.clone(),
                builtin: function.builtin.clone(),
                concurrency: function.concurrency,
                labels: function.labels.clone(),
                running: AtomicU32::new(0),
                rng: Mutex::new(StdRng::seed_from_u64(seed)),
                invocations: AtomicU64::new(0),
            };
            if by_name.insert(name, Arc::new(deployed)).is_some() {
                return Err(refused("there is another one of that name".to_owned()));
            }
        }
        let all: Vec<Arc<Function>> = by_name.into_values().collect();
        let mut by_text = HashMap::new();
        for function in &all {
            for text in [function.name.as_str(), function.name.display_name()] {
                by_text.insert(text.to_owned(), function.clone());
            }
        }
        Ok(Functions { all, by_text })
    }

    /// The function that `NAME` or `NAME.NAMESPACE` names, as [`FunctionName::parse`] has it, without an allocation.
    pub(super) fn find(&self, text: &str) -> Option<&Arc<Function>> {
        self.by_text.get(text)
    }

    /// All, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Function> {
        self.all.iter().map(|function| &**function)
    }

    pub(super) fn deployed(&self) -> Vec<DeployedFunction> {
        self.iter()
            .map(|function| DeployedFunction {
                name: function.name.clone(),
                labels: function.labels.clone(),
                replicas: 1,
                invocations: function.invocations(),
            })
            .collect()
    }
}
