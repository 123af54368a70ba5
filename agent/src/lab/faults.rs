//! What goes wrong in a lab, and is mended.

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_sim::scenario::{Experiment, Trouble};

use super::relay::Wire;
use super::site::Site;
use crate::node::Order;

/// The faults of an experiment, in the order in which they begin and end.
pub(super) struct Faults {
    /// When, which, and whether it begins.
    steps: Vec<(Duration, usize, bool)>,
    next: usize,
    /// The partitions at hand: the fault, and one side.
    partitions: Vec<(usize, Vec<usize>)>,
}

impl Faults {
    pub(super) fn new(experiment: &Experiment) -> Faults {
        let mut steps = Vec::new();
        for (index, incident) in experiment.faults.iter().enumerate() {
            steps.push((incident.at.since(Time::ZERO), index, true));
            let until = incident.until.map(|until| until.since(Time::ZERO));
            steps.extend(until.map(|until| (until, index, false)));
        }
        steps.sort();
        Faults {
            steps,
            next: 0,
            partitions: Vec::new(),
        }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.steps.get(self.next)?.0)
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// If an agent does not end, start or take orders.
    pub(super) async fn step(
        &mut self,
        experiment: &Experiment,
        sites: &mut [Site],
        wires: &[Arc<Wire>],
    ) -> anyhow::Result<()> {
        let Some(&(_, fault, begins)) = self.steps.get(self.next) else {
            return Ok(());
        };
        self.next += 1;
        match &experiment.faults[fault].what {
            Trouble::Crash(node) if begins => sites[*node].crash().await?,
            Trouble::Crash(node) if !sites[*node].is_up() => sites[*node].start().await?,
            Trouble::Partition(side) => {
                if begins {
                    self.partitions.push((fault, side.clone()));
                } else {
                    self.partitions.retain(|(known, _)| *known != fault);
                }
                self.cut(experiment, wires);
            }
            Trouble::Slow(node, factor) => {
                let times = if begins { *factor } else { 1.0 };
                sites[*node].order(Order::Slow(times)).await?;
            }
            Trouble::LoseMessages(node, share) => {
                let share = if begins { *share } else { 0.0 };
                sites[*node].order(Order::Lose(share)).await?;
            }
            Trouble::Cordon(node) => sites[*node].cordon(begins).await?,
            Trouble::Lie(node) => sites[*node].order(Order::Lie(begins)).await?,
            // It runs already.
            Trouble::Crash(_) => {}
        }
        Ok(())
    }

    fn cut(&self, experiment: &Experiment, wires: &[Arc<Wire>]) {
        for from in 0..experiment.nodes.len() {
            for link in experiment.links.of(from) {
                let parted = |side: &[usize]| side.contains(&from) != side.contains(&link.to);
                let is_cut = self.partitions.iter().any(|(_, side)| parted(side));
                wires[link.index].cut(is_cut);
            }
        }
    }
}
