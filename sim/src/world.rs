//! The run: takes events in their order and does what the nodes decide.

use std::rc::Rc;
use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Admission, Decision, Delivery};
use dfaas_protocol::gate::{Freed, Turn};
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::wire::WireError;
use rand::RngExt;

use crate::bound;
use crate::event::{Call, Event, Events};
use crate::knobs::{Arrivals, Network, Scenario, Stream};
use crate::node::Node;
use crate::report::{Comparison, Report};

/// How often every strategy but `recalc` plans.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs a scenario once with each strategy, on the same network with the same calls.
///
/// # Errors
/// If a node says what another does not take, which is a fault of the protocol crate.
pub fn compare(scenario: &Scenario, strategies: &[StrategyName]) -> Result<Comparison, WireError> {
    let network = scenario.draw();
    let rows = strategies
        .iter()
        .map(|strategy| Ok(run(scenario, &network, *strategy)?.row()))
        .collect::<Result<_, WireError>>()?;
    Ok(Comparison { rows })
}

/// Runs a scenario until its last call is answered.
///
/// # Errors
/// As [`compare`].
///
/// # Panics
/// If a call was lost or counted twice, which is a fault of this crate.
pub fn run(
    scenario: &Scenario,
    network: &Network,
    strategy: StrategyName,
) -> Result<Report, WireError> {
    let mut world = World::new(scenario, network, strategy)?;
    while let Some((now, event)) = world.events.next() {
        world.now = now;
        world.happen(event)?;
    }
    let report = world.report;
    assert_eq!(
        report.offered,
        report.served + report.refused,
        "a call is served or refused, once"
    );
    Ok(report)
}

struct World<'a> {
    scenario: &'a Scenario,
    network: &'a Network,
    period: Duration,
    now: Time,
    events: Events,
    nodes: Vec<Node>,
    arrivals: Vec<Arrivals>,
    report: Report,
}

impl<'a> World<'a> {
    fn new(
        scenario: &'a Scenario,
        network: &'a Network,
        strategy: StrategyName,
    ) -> Result<World<'a>, WireError> {
        let period = match strategy {
            StrategyName::Recalc => scenario.recalc_period,
            _ => PERIOD,
        };
        let seed = scenario.seed;
        let nodes = network
            .slots
            .iter()
            .enumerate()
            .map(|(index, slots)| Node::new(index, *slots, strategy, period, seed))
            .collect();
        let mut world = World {
            scenario,
            network,
            period,
            now: Time::ZERO,
            events: Events::default(),
            nodes,
            arrivals: (0..scenario.nodes)
                .map(|n| Arrivals::new(seed, n))
                .collect(),
            report: Report::new(strategy, bound::one_hop(scenario, network)),
        };
        // Every node offers as it starts and then ticks at its own pace, so that they do not all plan at once.
        let mut rng = Stream::Network.rng(seed.wrapping_add(1));
        for node in 0..scenario.nodes {
            world.offer(node)?;
            let first = period.mul_f64(rng.random());
            world
                .events
                .schedule(Time::ZERO + first, Event::Tick { node });
            world.schedule_arrival(node);
        }
        Ok(world)
    }

    fn happen(&mut self, event: Event) -> Result<(), WireError> {
        match event {
            Event::Arrival(call) => {
                self.report.offered += 1;
                self.nodes[call.origin].take_in();
                self.schedule_arrival(call.origin);
                self.deliver(call);
            }
            Event::Tick { node } => self.tick(node)?,
            Event::Message { to, from, bytes } => {
                let round_trip = self.delay(to, from) * 2;
                self.nodes[to].hear(from, round_trip, &bytes, self.now)?;
            }
            Event::Forwarded { to, call } => self.forwarded(to, call),
            Event::Turn { node, call } => self.start(node, call),
            Event::Done { node, call } => self.done(node, call),
            Event::Answer {
                from,
                call,
                served,
                headroom,
            } => {
                self.nodes[call.origin].reported(from, headroom);
                if served {
                    self.report.serve(self.now.since(call.arrived));
                } else {
                    self.report.peer_refusals += 1;
                    self.deliver(call);
                }
            }
        }
        Ok(())
    }

    fn schedule_arrival(&mut self, node: usize) {
        if let Some((at, service)) = self.arrivals[node].next(self.scenario, self.network) {
            let call = Call {
                origin: node,
                arrived: at,
                service,
                delivery: Delivery::new(),
            };
            self.events.schedule(at, Event::Arrival(Box::new(call)));
        }
    }

    /// Decides a call at its origin, and does it.
    fn deliver(&mut self, mut call: Box<Call>) {
        let origin = call.origin;
        match self.nodes[origin].decide(&mut call.delivery, self.now) {
            Decision::Run(_) => self.start(origin, call),
            Decision::Wait(turn, _) => self.wait(origin, call, turn),
            Decision::Forward(index, _) => {
                self.report.forwards += 1;
                let to = self.nodes[origin].candidate(index);
                let at = self.now + self.delay(origin, to);
                self.events.schedule(at, Event::Forwarded { to, call });
            }
            Decision::Reject(_) => self.report.refused += 1,
        }
    }

    fn forwarded(&mut self, node: usize, call: Box<Call>) {
        match self.nodes[node].admit(call.origin, self.now) {
            Admission::Run => self.start(node, call),
            Admission::Wait(turn) => self.wait(node, call, turn),
            Admission::Refuse(_) => self.answer(node, call, false),
        }
    }

    fn start(&mut self, node: usize, call: Box<Call>) {
        let at = self.now + call.service;
        self.events.schedule(at, Event::Done { node, call });
    }

    fn wait(&mut self, node: usize, call: Box<Call>, turn: Turn) {
        match turn {
            Turn::WhenFreed => self.nodes[node].waiting.push_back(call),
            Turn::At(at) => self.events.schedule(at, Event::Turn { node, call }),
        }
    }

    fn done(&mut self, node: usize, call: Box<Call>) {
        let here = &mut self.nodes[node];
        here.served(call.service);
        if here.gate.end() == Freed::HandedOver {
            let next = here
                .waiting
                .pop_front()
                .expect("a slot is handed over only while the gate counts a call that waits");
            self.start(node, next);
        }
        if node == call.origin {
            self.report.serve(self.now.since(call.arrived));
        } else {
            self.answer(node, call, true);
        }
    }

    /// Sends the answer to a forwarded call back, with what is left here now.
    fn answer(&mut self, from: usize, call: Box<Call>, served: bool) {
        let at = self.now + self.delay(from, call.origin);
        let headroom = self.nodes[from].gate.headroom(self.now);
        let answer = Event::Answer {
            from,
            call,
            served,
            headroom,
        };
        self.events.schedule(at, answer);
    }

    fn tick(&mut self, node: usize) -> Result<(), WireError> {
        for (to, bytes) in self.nodes[node].tick(self.now)? {
            self.send(node, to, bytes.into());
        }
        self.offer(node)?;
        let next = self.now + self.period;
        if next < Time::ZERO + self.scenario.duration {
            self.events.schedule(next, Event::Tick { node });
        }
        Ok(())
    }

    fn offer(&mut self, node: usize) -> Result<(), WireError> {
        let bytes: Rc<[u8]> = self.nodes[node].offer(self.now)?.into();
        let network = self.network;
        for to in network.links[node].keys() {
            self.send(node, *to, Rc::clone(&bytes));
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, bytes: Rc<[u8]>) {
        let at = self.now + self.delay(from, to);
        self.events.schedule(at, Event::Message { to, from, bytes });
    }

    /// Only neighbours are known to a node, so there is a link.
    fn delay(&self, from: usize, to: usize) -> Duration {
        self.network.links[from][&to]
    }
}
