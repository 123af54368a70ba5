//! Ticks, and the control messages that nodes send each other. A message is encoded once, goes to many and is decoded
//! once, as its bytes say the same to each.

use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_protocol::wire::{self, WireError};

use super::World;
use super::event::Event;

/// How often a node looks after its neighbours.
const WATCH: Duration = Duration::from_millis(250);

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Messages {
    places: Vec<Message>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    /// What the bytes say, once the first of its receivers has read them.
    said: Option<wire::Message>,
    /// To how many it is still on its way.
    left: u32,
}

impl Messages {
    fn put(&mut self, bytes: Vec<u8>, left: u32) -> u32 {
        let said = None;
        let message = Message { bytes, said, left };
        match self.free.pop() {
            Some(id) => {
                self.places[id as usize] = message;
                id
            }
            None => {
                self.places.push(message);
                (self.places.len() - 1) as u32
            }
        }
    }

    /// What a message says to one more of those to whom it is on its way.
    fn read(&mut self, id: u32) -> Result<wire::Message, WireError> {
        let message = &mut self.places[id as usize];
        let said = match message.said.take() {
            Some(said) => said,
            None => wire::decode(&message.bytes)?,
        };
        if message.left > 1 {
            message.said = Some(said.clone());
        }
        Ok(said)
    }

    /// Reads a message ahead.
    pub(super) fn glance(&self, id: u32) -> u64 {
        let message = &self.places[id as usize];
        match &message.said {
            Some(wire::Message::Offer(offer)) => offer
                .functions
                .first()
                .map_or(0, |function| u64::from(function.queue) + offer.sequence),
            Some(_) => u64::from(message.left),
            None => message.bytes.first().copied().unwrap_or_default().into(),
        }
    }

    /// It is no longer on its way to one of them.
    fn arrived(&mut self, id: u32) {
        let message = &mut self.places[id as usize];
        message.left -= 1;
        if message.left == 0 {
            message.bytes = Vec::new();
            message.said = None;
            self.free.push(id);
        }
    }
}

impl World<'_> {
    pub(super) fn schedule_tick(&mut self, node: usize, at: Time) {
        if at < self.end {
            let boot = self.nodes[node].boot;
            let node = node as u32;
            self.calendar.schedule(at, Event::Tick { node, boot });
        }
    }

    pub(super) fn tick(&mut self, index: usize, boot: u32) -> Result<(), WireError> {
        if !self.nodes[index].up || self.nodes[index].boot != boot {
            return Ok(());
        }
        let now = self.clocks.shows(index, self.now);
        for peer in self.nodes[index].unwell() {
            let passed = self.nodes[peer].up && self.wires.joins(index, peer);
            self.nodes[index].checked(peer, passed, now);
        }
        for (to, bytes) in self.nodes[index].tick(self.experiment, now)? {
            self.send(index, &[to as u32], bytes);
        }
        self.offer(index)?;
        let next = self.clocks.after(index, self.now, self.period);
        self.schedule_tick(index, next);
        Ok(())
    }

    pub(super) fn schedule_watch(&mut self, node: usize, at: Time) {
        if at < self.end {
            let boot = self.nodes[node].boot;
            let node = node as u32;
            self.calendar.schedule(at, Event::Watch { node, boot });
        }
    }

    pub(super) fn watch(&mut self, index: usize, boot: u32) -> Result<(), WireError> {
        if !self.nodes[index].up || self.nodes[index].boot != boot {
            return Ok(());
        }
        let now = self.clocks.shows(index, self.now);
        for (to, bytes) in self.nodes[index].watch(now)? {
            self.send(index, &[to as u32], bytes);
        }
        let next = self.clocks.after(index, self.now, WATCH);
        self.schedule_watch(index, next);
        Ok(())
    }

    pub(super) fn offer(&mut self, node: usize) -> Result<(), WireError> {
        let now = self.clocks.shows(node, self.now);
        let bytes = self.nodes[node].offer(now)?;
        self.send(node, self.experiment.links.neighbours(node), bytes);
        Ok(())
    }

    fn send(&mut self, from: usize, to: &[u32], bytes: Vec<u8>) {
        if to.is_empty() {
            return;
        }
        let size = bytes.len() as u32;
        let message = self.messages.put(bytes, to.len() as u32);
        for to in to.iter().copied() {
            self.ledger.message(from, size);
            let is_lost = self.wires.loses(self.losses[from]);
            let at = self.cross(self.link(from, to as usize), size);
            if is_lost || !self.wires.joins(from, to as usize) {
                self.messages.arrived(message);
            } else {
                let from = from as u32;
                self.calendar
                    .schedule(at, Event::Message { to, from, message });
            }
        }
    }

    pub(super) fn hear(&mut self, to: usize, from: u32, message: u32) -> Result<(), WireError> {
        let node = &mut self.nodes[to];
        let mut answer = None;
        if node.up {
            let said = self.messages.read(message)?;
            let now = self.clocks.shows(to, self.now);
            answer = node.hear(self.experiment, from as usize, said, now)?;
        }
        self.messages.arrived(message);
        if let Some(bytes) = answer {
            self.send(to, &[from], bytes);
        }
        Ok(())
    }
}
