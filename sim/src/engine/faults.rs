//! What goes wrong, and is mended.

use dfaas_protocol::wire::WireError;

use crate::scenario::Trouble;

use super::World;
use super::event::Event;
use super::node::Node;

impl World<'_> {
    pub(super) fn schedule_faults(&mut self) {
        for (index, incident) in self.experiment.faults.iter().enumerate() {
            let incident_id = index as u32;
            let mut at = |time, begins| {
                let incident = incident_id;
                self.calendar
                    .schedule(time, Event::Fault { incident, begins });
            };
            at(incident.at, true);
            if let Some(until) = incident.until {
                at(until, false);
            }
        }
    }

    pub(super) fn fault(&mut self, id: u32, begins: bool) -> Result<(), WireError> {
        let experiment = self.experiment;
        match &experiment.faults[id as usize].what {
            Trouble::Crash(node) if begins => self.crash(*node),
            Trouble::Crash(node) => self.come_back(*node)?,
            Trouble::Partition(side) if begins => self.wires.part(id, side.clone()),
            Trouble::Partition(_) => self.wires.heal(id),
            Trouble::Slow(node, factor) => {
                let speed = experiment.nodes[*node].speed;
                self.nodes[*node].speed = if begins { speed / factor } else { speed };
            }
            Trouble::LoseMessages(node, share) => {
                self.losses[*node] = if begins { *share } else { 0.0 };
            }
            Trouble::Lie(node) => self.nodes[*node].lies = begins,
            Trouble::Cordon(node) => {
                self.nodes[*node].cordoned = begins;
                if self.nodes[*node].up {
                    self.offer(*node)?;
                }
            }
        }
        Ok(())
    }

    /// What waits or shares cores is lost now; what runs on its own, when it would have ended; what is on its way, when it
    /// arrives.
    fn crash(&mut self, node: usize) {
        if !self.nodes[node].up {
            return;
        }
        if let Some(warmth) = &mut self.warmth {
            warmth.forget(node);
        }
        let waiting = self.nodes[node].crash(self.clocks.shows(node, self.now));
        let running = self.nodes[node].cores.as_mut().map(|cores| cores.clear());
        for call in waiting.into_iter().chain(running.into_iter().flatten()) {
            self.lose(call);
        }
    }

    fn come_back(&mut self, index: usize) -> Result<(), WireError> {
        let before = &mut self.nodes[index];
        if before.up {
            return Ok(());
        }
        let (boot, lies, cordoned) = (before.boot + 1, before.lies, before.cordoned);
        // The machine is the same.
        let (speed, cores) = (before.speed, before.cores.take());
        let mut node = Node::new(
            self.experiment,
            index,
            self.policy,
            &self.platform,
            &self.policies,
            boot,
            self.clocks.shows(index, self.now),
        );
        (node.speed, node.cores) = (speed, cores);
        node.lies = lies;
        node.cordoned = cordoned;
        self.nodes[index] = node;
        self.offer(index)?;
        let next = self.clocks.after(index, self.now, self.period);
        self.schedule_tick(index, next);
        self.schedule_watch(index, self.now);
        Ok(())
    }
}
