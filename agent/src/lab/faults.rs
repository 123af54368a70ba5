//! What goes wrong in a lab, and is mended.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use dfaas_protocol::Time;
use dfaas_sim::scenario::{Experiment, Trouble};

use super::relay::Wire;
use super::site::Site;

/// The faults of an experiment, in the order in which they begin and end.
pub(super) struct Faults {
    /// When, which, and whether it begins.
    steps: Vec<(Duration, usize, bool)>,
    next: usize,
    /// The partitions at hand: the fault, and one side.
    partitions: Vec<(usize, Vec<usize>)>,
}

impl Faults {
    /// # Errors
    /// If the experiment has a fault that real agents cannot be made to have.
    pub(super) fn new(experiment: &Experiment) -> anyhow::Result<Faults> {
        let mut steps = Vec::new();
        for (index, incident) in experiment.faults.iter().enumerate() {
            match incident.what {
                Trouble::Crash(_) | Trouble::Partition(_) => {}
                Trouble::LoseMessages(..) => bail!(
                    "the lab cannot lose messages, as they go over TCP: remove that fault, or give links.loss, which delays"
                ),
                Trouble::Lie(_) => bail!("the lab's agents do not lie: remove that fault"),
                Trouble::Slow(..) => bail!(
                    "the lab's platforms do not change their speed: remove that fault, or give the node a speed"
                ),
            }
            steps.push((incident.at.since(Time::ZERO), index, true));
            let until = incident.until.map(|until| until.since(Time::ZERO));
            steps.extend(until.map(|until| (until, index, false)));
        }
        steps.sort();
        Ok(Faults {
            steps,
            next: 0,
            partitions: Vec::new(),
        })
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.steps.get(self.next)?.0)
    }

    /// Takes the next step.
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
            _ => {}
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
