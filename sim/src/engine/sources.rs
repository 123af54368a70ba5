//! The sources of calls as the run reads them: some calls of each are drawn ahead, as its generator is larger than all else
//! that an arrival reads.

use dfaas_protocol::Time;

use crate::scenario::Experiment;

use super::arrivals::Brings;

/// How many calls of a source are drawn at one time; with them a source has two lines of the cache.
const AHEAD: usize = 6;

#[derive(Debug)]
pub(super) struct Sources {
    end: Time,
    drawn: Vec<Drawn>,
    brings: Vec<Brings>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
struct Drawn {
    node: u32,
    function: u16,
    /// How many of the calls have arrived, and how many there are.
    arrived: u8,
    count: u8,
    /// When each arrives, and the seconds that it takes on a node of speed 1.
    calls: [(Time, f64); AHEAD],
}

/// A call that a client brings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brought {
    pub(super) node: u32,
    pub(super) function: u16,
    /// Seconds that it takes on a node of speed 1.
    pub(super) service: f64,
}

impl Sources {
    /// All sources of an experiment, which end then.
    pub(super) fn new(experiment: &Experiment, end: Time) -> Sources {
        let drawn = experiment.sources.iter().map(|source| Drawn {
            node: source.node as u32,
            function: source.function as u16,
            arrived: AHEAD as u8,
            count: AHEAD as u8,
            calls: [(Time::ZERO, 0.0); AHEAD],
        });
        let brings = 0..experiment.sources.len();
        Sources {
            end,
            drawn: drawn.collect(),
            brings: brings.map(|n| Brings::new(experiment.seed, n)).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.drawn.len()
    }

    /// When the next call of a source arrives, if one does.
    pub(super) fn next(&mut self, experiment: &Experiment, index: usize) -> Option<Time> {
        let drawn = &mut self.drawn[index];
        // If fewer were drawn than could be, no more come.
        let is_over = usize::from(drawn.count) < AHEAD;
        if drawn.arrived == drawn.count && !is_over {
            let source = &experiment.sources[index];
            let service = &experiment.functions[source.function].service;
            let brings = &mut self.brings[index];
            (drawn.arrived, drawn.count) = (0, 0);
            while usize::from(drawn.count) < AHEAD
                && let Some(at) = brings.next(source, self.end)
            {
                drawn.calls[usize::from(drawn.count)] = (at, brings.service(service));
                drawn.count += 1;
            }
        }
        let calls = &drawn.calls[..usize::from(drawn.count)];
        calls.get(usize::from(drawn.arrived)).map(|(at, _)| *at)
    }

    /// The call that arrives.
    pub(super) fn arrive(&mut self, index: usize) -> Brought {
        let drawn = &mut self.drawn[index];
        let (_, service) = drawn.calls[usize::from(drawn.arrived)];
        drawn.arrived += 1;
        Brought {
            node: drawn.node,
            function: drawn.function,
            service,
        }
    }

    /// Reads a source ahead, and what it draws its next calls with where it is about to.
    pub(super) fn glance(&self, experiment: &Experiment, index: usize) -> u64 {
        let drawn = &self.drawn[index];
        let (_, service) = drawn.calls[AHEAD - 1];
        let draws = drawn.arrived + 1 == drawn.count;
        let brings = draws.then(|| {
            let rates = experiment.sources[index].rates.first();
            let rate = rates.map_or(0, |rate| rate.per_second.to_bits());
            rate.wrapping_add(self.brings[index].glance())
        });
        service.to_bits().wrapping_add(brings.unwrap_or_default())
    }

    /// The node and the function of a source.
    pub(super) fn of(&self, index: usize) -> (u32, u16) {
        let drawn = &self.drawn[index];
        (drawn.node, drawn.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_two_lines_of_the_cache() {
        assert_eq!(size_of::<Drawn>(), 128);
    }
}
