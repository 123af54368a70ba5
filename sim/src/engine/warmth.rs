//! Functions that go to sleep: after idleness the first call waits until an instance is there.

use std::time::Duration;

use dfaas_protocol::Time;

use crate::scenario::{Cold, Experiment};

use super::arrivals::nanos;

/// What is warm on each node, if any function of the experiment goes to sleep.
#[derive(Debug)]
pub(crate) struct Warmth {
    functions: usize,
    /// By node and function: the node's index times the number of functions, plus the function's.
    instances: Vec<Option<Instance>>,
}

#[derive(Clone, Copy, Debug)]
struct Instance {
    cold: Cold,
    running: u32,
    /// When the last call ended, if there was one.
    idle_since: Option<Time>,
    /// When the instance is there that was started last.
    ready: Time,
}

impl Instance {
    fn new(cold: Cold) -> Instance {
        Instance {
            cold,
            running: 0,
            idle_since: None,
            ready: Time::ZERO,
        }
    }

    fn is_asleep(&self, now: Time) -> bool {
        let idle = |since| now.since(since) >= self.cold.after_idle;
        self.running == 0 && self.idle_since.is_none_or(idle)
    }
}

impl Warmth {
    pub(crate) fn new(experiment: &Experiment) -> Option<Warmth> {
        let functions = &experiment.functions;
        functions.iter().find(|function| function.cold.is_some())?;
        let of_node = functions
            .iter()
            .map(|function| function.cold.map(Instance::new));
        let of_node: Vec<Option<Instance>> = of_node.collect();
        Some(Warmth {
            functions: functions.len(),
            instances: of_node.repeat(experiment.nodes.len()),
        })
    }

    fn instance(&mut self, node: usize, function: usize) -> Option<&mut Instance> {
        self.instances[node * self.functions + function].as_mut()
    }

    /// A call begins: how long it waits until an instance is there, and whether one is started for it.
    pub(crate) fn begin(
        &mut self,
        node: usize,
        function: usize,
        speed: f64,
        now: Time,
    ) -> (Duration, bool) {
        let Some(instance) = self.instance(node, function) else {
            return (Duration::ZERO, false);
        };
        let starts = instance.is_asleep(now);
        if starts {
            instance.ready = now + nanos(instance.cold.start.as_secs_f64() / speed);
        }
        instance.running += 1;
        let wait = if instance.ready > now {
            instance.ready.since(now)
        } else {
            Duration::ZERO
        };
        (wait, starts)
    }

    /// A call has run.
    pub(crate) fn end(&mut self, node: usize, function: usize, now: Time) {
        if let Some(instance) = self.instance(node, function) {
            instance.running -= 1;
            instance.idle_since = Some(now);
        }
    }

    /// The node has crashed: nothing runs there, and nothing is warm.
    pub(crate) fn forget(&mut self, node: usize) {
        let of_node = node * self.functions..(node + 1) * self.functions;
        for instance in self.instances[of_node].iter_mut().flatten() {
            *instance = Instance::new(instance.cold);
        }
    }
}
