//! Calls that run.

use super::World;
use super::arrivals::nanos;
use super::event::{CallId, Came, Event};

impl World<'_> {
    /// A call begins to run, where it is.
    pub(super) fn start(&mut self, id: CallId) {
        let call = &self.calls[id];
        let node = call.at as usize;
        let speed = self.nodes[node].speed;
        let mut seconds = call.service / speed;
        if let Some(warmth) = &mut self.warmth {
            let (wait, starts) = warmth.begin(node, usize::from(call.function), speed, self.now);
            seconds += wait.as_secs_f64();
            if starts {
                self.ledger.cold_start();
            }
        }
        self.ledger.busy(node, seconds);
        match &mut self.nodes[node].cores {
            None => {
                let at = self.now + nanos(seconds);
                self.calendar.schedule(at, Event::Done { call: id });
            }
            Some(cores) => {
                cores.start(id, seconds, self.now);
                self.foretell(node);
            }
        }
        // From now on: how long it runs, for the measured service time.
        self.calls[id].since = self.now;
    }

    /// Schedules the end of the call that ends first on a node whose calls share cores.
    pub(super) fn foretell(&mut self, node: usize) {
        let next = self.nodes[node]
            .cores
            .as_mut()
            .and_then(|cores| cores.next_end(self.now));
        if let Some((at, version)) = next {
            let node = node as u32;
            self.calendar
                .schedule(at, Event::SharedDone { node, version });
        }
    }

    pub(super) fn shared_done(&mut self, node: usize, version: u32) {
        let cores = self.nodes[node]
            .cores
            .as_mut()
            .filter(|cores| cores.version == version);
        if let Some(call) = cores.and_then(|cores| cores.end(self.now)) {
            self.done(call);
            self.foretell(node);
        }
    }

    pub(super) fn done(&mut self, id: CallId) {
        if self.is_gone(id) {
            return self.lose(id);
        }
        let call = &self.calls[id];
        let (node, function) = (call.at as usize, usize::from(call.function));
        let shown = |at| self.clocks.shows(node, at);
        let took = shown(self.now).since(shown(call.since));
        let is_own = call.at == call.origin;
        self.ledger.ran(node);
        if let Some(warmth) = &mut self.warmth {
            warmth.end(node, function, self.now);
        }
        self.nodes[node].served(function, took);
        self.release(node, function);
        if is_own {
            let call = self.calls.take(id);
            let latency = self.now.since(call.arrived);
            self.ledger
                .serve((node, function), latency, false, self.now);
        } else {
            self.answer(id, Came::Served);
        }
    }
}
