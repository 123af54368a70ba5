//! The run: takes events in their order and does what the nodes decide.

mod ahead;
mod arrivals;
mod calendar;
mod calls;
mod clocks;
mod cores;
mod delivering;
mod event;
mod faults;
mod local;
mod messages;
mod node;
mod running;
mod sources;
mod waiting;
mod warmth;
mod wires;

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::delivery::Delivery;
use dfaas_protocol::neighbours::Policies;
use dfaas_protocol::wire::WireError;
use dfaas_protocol::{Health, Time};
use rand::RngExt;

use crate::policy::Policy;
use crate::report::{Ledger, Report};
use crate::scenario::random::Stream;
use crate::scenario::{Experiment, Link};

use ahead::Ahead;
pub use arrivals::Brings;
use calendar::Calendar;
use calls::{Call, Calls, Way};
use clocks::Clocks;
use event::{CallId, Event};
use messages::Messages;
use node::Node;
use sources::Sources;
use warmth::Warmth;
use wires::Wires;

/// How long a node waits for a connection that cannot be made, as in the agent.
const CONNECT: Duration = Duration::from_secs(1);
/// Bytes of a call's head and of an answer's head, about.
const HEAD_BYTES: u32 = 200;
/// What comes next after a time.
const JUST_AFTER: Duration = Duration::from_nanos(1);
/// How many events pass between two tellings of the progress.
pub const PROGRESS_EVENTS: u64 = 1 << 16;
/// Why a call is refused whose node is gone.
const NODE_DOWN: &str = "node-down";

/// Runs an experiment until its last call is answered. `progress` is told the virtual time now and then.
///
/// # Errors
/// If a node says what another does not take, which is a fault of the protocol crate.
///
/// # Panics
/// If a call was lost or counted twice, which is a fault of this crate.
pub fn run(
    experiment: &Experiment,
    policy: Policy,
    progress: &mut dyn FnMut(Time),
) -> Result<Report, WireError> {
    let mut world = World::new(experiment, policy)?;
    while world.calendar.turn() {
        if world.events >= world.looked {
            world.look_ahead();
        }
        let Some((now, event)) = world.calendar.next_today() else {
            continue;
        };
        world.now = now;
        world.events += 1;
        if world.events.is_multiple_of(PROGRESS_EVENTS) {
            progress(now);
        }
        world.happen(event)?;
    }
    assert_eq!(world.calls.live(), 0, "every call is answered or lost");
    Ok(world
        .ledger
        .close(experiment, policy, world.now, world.events))
}

struct World<'a> {
    experiment: &'a Experiment,
    policy: Policy,
    period: Duration,
    end: Time,
    now: Time,
    events: u64,
    calendar: Calendar<Event>,
    calls: Calls,
    nodes: Vec<Node>,
    clocks: Clocks,
    /// The health of all platforms: whenever a node is there, its platform answers.
    platform: Arc<Health>,
    /// What all nodes ask of their neighbours for each function.
    policies: Arc<Policies>,
    /// What is warm, if any function goes to sleep.
    warmth: Option<Warmth>,
    /// For each node, the share of its messages that is lost now.
    losses: Vec<f64>,
    sources: Sources,
    wires: Wires,
    messages: Messages,
    ledger: Ledger,
    /// How often a call has begun to wait.
    waits: u32,
    /// How many events were looked ahead to.
    looked: u64,
    /// The ways of those, while they are looked for.
    ahead: Ahead,
}

impl<'a> World<'a> {
    fn new(experiment: &'a Experiment, policy: Policy) -> Result<World<'a>, WireError> {
        let period = experiment.periods.of(policy.strategy());
        let seed = experiment.seed;
        let count = experiment.nodes.len();
        let end = Time::ZERO + experiment.duration;
        let platform = Arc::default();
        let policies = experiment.functions.iter();
        let policies = policies
            .map(|function| (function.name.clone(), (*function.policy).clone()))
            .collect();
        let policies = Arc::new(policies);
        let clocks = Clocks::new(experiment);
        let start = |node| {
            let now = clocks.shows(node, Time::ZERO);
            Node::new(experiment, node, policy, &platform, &policies, 1, now)
        };
        let nodes = (0..count).map(start).collect();
        let mut world = World {
            experiment,
            policy,
            period,
            end,
            now: Time::ZERO,
            events: 0,
            calendar: Calendar::new(events_a_second(experiment, period)),
            calls: Calls::default(),
            nodes,
            clocks,
            platform,
            policies,
            warmth: Warmth::new(experiment),
            losses: vec![0.0; count],
            sources: Sources::new(experiment, end),
            wires: Wires::new(experiment),
            messages: Messages::default(),
            ledger: Ledger::new(experiment),
            waits: 0,
            looked: 0,
            ahead: Ahead::default(),
        };
        world.schedule_faults();
        // Every node offers as it starts and then ticks at its own pace, so that they do not all plan at once.
        let mut rng = Stream::Phases.rng(seed);
        for node in 0..count {
            world.offer(node)?;
            let first = period.mul_f64(rng.random());
            let first = world.clocks.after(node, Time::ZERO, first);
            world.schedule_tick(node, first);
            world.schedule_watch(node, first);
        }
        for source in 0..world.sources.len() {
            world.schedule_arrival(source);
        }
        Ok(world)
    }

    fn happen(&mut self, event: Event) -> Result<(), WireError> {
        match event {
            Event::Arrival { source } => self.arrival(source as usize),
            Event::Tick { node, boot } => self.tick(node as usize, boot)?,
            Event::Watch { node, boot } => self.watch(node as usize, boot)?,
            Event::Message { to, from, message } => self.hear(to as usize, from, message)?,
            Event::Forwarded { call } => self.forwarded(call),
            Event::Unreached { call } => self.unreached(call),
            Event::Token { node, function } => self.token(node as usize, function.into()),
            Event::Late { call, wait } => self.late(call, wait),
            Event::Done { call } => self.done(call),
            Event::SharedDone { node, version } => self.shared_done(node as usize, version),
            Event::Answer { call, came } => self.answered(call, came),
            Event::Fault { incident, begins } => self.fault(incident, begins)?,
        }
        Ok(())
    }

    fn schedule_arrival(&mut self, index: usize) {
        if let Some(at) = self.sources.next(self.experiment, index) {
            let event = Event::Arrival {
                source: index as u32,
            };
            self.calendar.schedule(at, event);
        }
    }

    fn arrival(&mut self, index: usize) {
        let brought = self.sources.arrive(index);
        let (origin, function) = (brought.node as usize, usize::from(brought.function));
        self.schedule_arrival(index);
        self.ledger.offer(origin, function, self.now);
        let node = &mut self.nodes[origin];
        if !node.up {
            return self.ledger.refuse(origin, NODE_DOWN, self.now);
        }
        let now = self.clocks.shows(origin, self.now);
        let mut terms = node.take_in(function, now);
        let deadline = self.experiment.functions[function].deadline;
        terms.deadline = deadline.map(|within| now + within);
        let call = self.calls.put(Call {
            arrived: self.now,
            since: self.now,
            service: brought.service,
            origin: brought.node,
            origin_boot: node.boot,
            at: brought.node,
            at_boot: node.boot,
            wait: 0,
            before: brought.node,
            back: 0,
            way: None,
            function: brought.function,
            sent: 0,
            live: true,
        });
        let way = Way {
            delivery: Delivery::on(terms),
            terms,
            ..Way::default()
        };
        self.deliver(call, way);
    }

    /// Whether the node where a call runs or waits has crashed since.
    fn is_gone(&self, id: CallId) -> bool {
        let call = &self.calls[id];
        let node = &self.nodes[call.at as usize];
        !node.up || node.boot != call.at_boot
    }

    fn lose(&mut self, id: CallId) {
        let call = self.calls.take(id);
        self.ledger.lose(call.origin as usize, self.now);
    }

    /// When something is at the other end of a link.
    fn cross(&mut self, link: Link, bytes: u32) -> Time {
        self.wires.cross(self.experiment, link, bytes, self.now)
    }

    /// When the answer to a call that was sent is back.
    fn cross_back(&mut self, id: CallId, bytes: u32) -> Time {
        self.cross(self.link_back(id), bytes)
    }

    /// The link by which the answer to a call that was sent goes back.
    fn link_back(&self, id: CallId) -> Link {
        self.experiment.links.at(self.calls[id].back as usize)
    }

    /// The link from one node to another. Only neighbours are known to a node, so there is one.
    fn link(&self, from: usize, to: usize) -> Link {
        let link = self.experiment.links.between(from, to);
        link.expect("calls and messages go to neighbours only, over their link")
    }
}

/// About how many events a second there are, for the calendar's days.
fn events_a_second(experiment: &Experiment, period: Duration) -> f64 {
    let highest = |rates: &[crate::scenario::Rate]| {
        rates.iter().map(|rate| rate.per_second).fold(0.0, f64::max)
    };
    let calls: f64 = experiment
        .sources
        .iter()
        .map(|source| highest(&source.rates))
        .sum();
    let messages = (experiment.nodes.len() + experiment.links.len()) as f64 / period.as_secs_f64();
    2.5 * calls + messages
}
