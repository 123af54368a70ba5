//! The links, as calls and messages cross them.

use std::time::Duration;

use dfaas_protocol::Time;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::scenario::random::Stream;
use crate::scenario::{Experiment, Link};

use super::arrivals::nanos;

/// What was lost is sent again after so long, as TCP does it at first.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// How often at most.
const RETRANSMISSIONS: u32 = 10;

#[derive(Debug)]
pub(crate) struct Wires {
    rng: ChaCha8Rng,
    /// For each direction of each link, when it has sent all that was given to it; only where there is a bandwidth.
    sent: Vec<Time>,
    /// The side of each node in every partition at hand.
    partitions: Vec<(u32, Vec<usize>)>,
}

impl Wires {
    pub(crate) fn new(experiment: &Experiment) -> Wires {
        let links = &experiment.links;
        let limited = links.bandwidth.map_or(0, |_| links.len());
        Wires {
            rng: Stream::Links.rng(experiment.seed),
            sent: vec![Time::ZERO; limited],
            partitions: Vec::new(),
        }
    }

    /// When something of so many bytes is at the other end of a link.
    pub(crate) fn cross(
        &mut self,
        experiment: &Experiment,
        link: Link,
        bytes: u32,
        now: Time,
    ) -> Time {
        let links = &experiment.links;
        let mut at = now;
        if let Some(bandwidth) = links.bandwidth {
            let sent = &mut self.sent[link.index];
            *sent = now.max(*sent) + nanos(f64::from(bytes) / bandwidth);
            at = *sent;
        }
        at = at + link.delay;
        if links.jitter > Duration::ZERO {
            at = at + links.jitter.mul_f64(self.rng.random());
        }
        if links.loss > 0.0 {
            let mut lost = 0;
            while lost < RETRANSMISSIONS && self.rng.random_bool(links.loss) {
                lost += 1;
            }
            at = at + RETRANSMISSION * lost;
        }
        at
    }

    /// Whether a message is lost of which that share is.
    pub(crate) fn loses(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }

    pub(crate) fn part(&mut self, incident: u32, side: Vec<usize>) {
        self.partitions.push((incident, side));
    }

    pub(crate) fn heal(&mut self, incident: u32) {
        self.partitions.retain(|(known, _)| *known != incident);
    }

    /// Whether something crosses between two nodes.
    pub(crate) fn joins(&self, a: usize, b: usize) -> bool {
        let on = |side: &Vec<usize>, node| side.binary_search(&node).is_ok();
        self.partitions
            .iter()
            .all(|(_, side)| on(side, a) == on(side, b))
    }
}
