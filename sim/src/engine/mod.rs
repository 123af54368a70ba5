//! The run: takes events in their order and does what the nodes decide.

mod ahead;
mod arrivals;
mod calendar;
mod calls;
mod clocks;
mod cores;
mod event;
mod faults;
mod local;
mod messages;
mod node;
mod sources;
mod warmth;
mod wires;

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::delivery::{Delivery, MAX_ATTEMPTS};
use dfaas_protocol::wire::WireError;
use dfaas_protocol::{Health, Time};
use rand::RngExt;

use crate::policy::Policy;
use crate::report::{Ledger, Report};
use crate::scenario::Experiment;
use crate::scenario::random::Stream;

use ahead::Visit;
pub use arrivals::Brings;
use arrivals::nanos;
use calendar::Calendar;
use calls::{Call, Calls, Way};
use clocks::Clocks;
use cores::Cores;
use event::{CallId, Event};
use local::Next;
use messages::Messages;
use node::{Node, Step};
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
const PROGRESS_EVENTS: u64 = 1 << 16;
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
    /// For each node, the cores that its calls share, if they do.
    cores: Vec<Option<Box<Cores>>>,
    /// What is warm, if any function goes to sleep.
    warmth: Option<Warmth>,
    /// For each node, how fast it runs calls now.
    speeds: Vec<f64>,
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
    /// The nodes that those ask, while they are looked for.
    visits: Vec<Visit>,
}

impl<'a> World<'a> {
    fn new(experiment: &'a Experiment, policy: Policy) -> Result<World<'a>, WireError> {
        let period = experiment.periods.of(policy.strategy());
        let seed = experiment.seed;
        let count = experiment.nodes.len();
        let end = Time::ZERO + experiment.duration;
        let platform = Arc::default();
        let clocks = Clocks::new(experiment);
        let start = |node| {
            let now = clocks.shows(node, Time::ZERO);
            Node::new(experiment, node, policy, &platform, 1, now)
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
            cores: experiment
                .nodes
                .iter()
                .map(|site| site.cores.map(|cores| Box::new(Cores::new(cores))))
                .collect(),
            warmth: Warmth::new(experiment),
            speeds: experiment.nodes.iter().map(|site| site.speed).collect(),
            losses: vec![0.0; count],
            sources: Sources::new(experiment, end),
            wires: Wires::new(experiment),
            messages: Messages::default(),
            ledger: Ledger::new(experiment),
            waits: 0,
            looked: 0,
            visits: Vec::new(),
        };
        world.schedule_faults();
        // Every node offers as it starts and then ticks at its own pace, so that they do not all plan at once.
        let mut rng = Stream::Phases.rng(seed);
        for node in 0..count {
            world.offer(node)?;
            let first = period.mul_f64(rng.random());
            let first = world.clocks.after(node, Time::ZERO, first);
            world.schedule_tick(node, first);
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
            Event::Message { to, from, message } => self.hear(to as usize, from, message)?,
            Event::Forwarded { call } => self.forwarded(call),
            Event::Unreached { call } => self.unreached(call),
            Event::Token { node, function } => self.token(node as usize, function.into()),
            Event::Late { call, wait } => self.late(call, wait),
            Event::Done { call } => self.done(call),
            Event::SharedDone { node, version } => self.shared_done(node as usize, version),
            Event::Answer { call, served } => self.answered(call, served),
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
        let terms = node.take_in(function, self.clocks.shows(origin, self.now));
        let call = self.calls.put(Call {
            arrived: self.now,
            since: self.now,
            service: brought.service,
            origin: brought.node,
            origin_boot: node.boot,
            at: brought.node,
            at_boot: node.boot,
            wait: 0,
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

    /// Decides a call that came back to its origin, or did not leave it.
    fn deliver_again(&mut self, id: CallId) {
        let way = *self.calls.way(id);
        self.deliver(id, way);
    }

    /// Decides a call at its origin, and does it.
    fn deliver(&mut self, id: CallId, mut way: Way) {
        let call = &self.calls[id];
        let (origin, function) = (call.origin as usize, usize::from(call.function));
        if self.policy == Policy::Dispatcher {
            self.look_around(origin, function);
        }
        let call = &mut self.calls[id];
        let now = self.clocks.shows(origin, self.now);
        let node = &mut self.nodes[origin];
        let step = node.decide(self.experiment, function, &mut way.delivery, now);
        call.at = call.origin;
        call.at_boot = call.origin_boot;
        // Most calls run at once, and nobody asks for their way again.
        if !matches!(step, Step::Run | Step::Refuse(_)) {
            *self.calls.way_mut(id) = way;
        }
        match step {
            Step::Run => self.start(id),
            Step::Wait => self.wait(id),
            Step::Displace(other) => self.displace(id, other),
            Step::Forward(to) => self.forward(id, to as usize),
            Step::Refuse(why) => {
                self.calls.take(id);
                self.ledger.refuse(origin, why.as_str(), self.now);
            }
        }
    }

    fn forward(&mut self, id: CallId, to: usize) {
        let call = &mut self.calls[id];
        let origin = call.origin as usize;
        call.sent += 1;
        assert!(
            usize::from(call.sent) <= MAX_ATTEMPTS,
            "a call is sent to neighbours so often at most"
        );
        call.since = self.now;
        call.at = to as u32;
        call.at_boot = self.nodes[to].boot;
        self.ledger.forward(origin, self.now);
        let bytes = HEAD_BYTES + self.experiment.functions[usize::from(call.function)].body_bytes;
        let arrives = self.cross(origin, to, bytes);
        if !self.wires.joins(origin, to) {
            let at = self.clocks.after(origin, self.now, CONNECT);
            self.calendar.schedule(at, Event::Unreached { call: id });
        } else {
            self.calendar
                .schedule(arrives, Event::Forwarded { call: id });
        }
    }

    fn forwarded(&mut self, id: CallId) {
        let call = &mut self.calls[id];
        let (to, origin) = (call.at as usize, call.origin as usize);
        let function = usize::from(call.function);
        let now = self.clocks.shows(to, self.now);
        let node = &mut self.nodes[to];
        if !node.up {
            // It takes the way back to learn that nobody listens.
            let at = self.cross(to, origin, 0);
            self.calendar.schedule(at, Event::Unreached { call: id });
            return;
        }
        call.at_boot = node.boot;
        let way = self.calls.way_mut(id);
        way.terms = node.terms(function, way.delivery.tried().terms(), now);
        match node.admit(self.experiment, function, origin, &way.terms, now) {
            Step::Run => self.start(id),
            Step::Wait => self.wait(id),
            Step::Displace(other) => self.displace(id, other),
            Step::Refuse(_) => self.answer(id, false),
            Step::Forward(_) => unreachable!("an admission has no way to say forward"),
        }
    }

    /// The origin learns that nobody took a call that it sent: nothing was executed.
    fn unreached(&mut self, id: CallId) {
        let call = &self.calls[id];
        let (origin, to, sent) = (call.origin as usize, call.at as usize, call.since);
        self.ledger.unreached();
        if self.nodes[origin].boot != call.origin_boot || !self.nodes[origin].up {
            return self.lose(id);
        }
        let function = usize::from(call.function);
        let (sent, now) = (
            self.clocks.shows(origin, sent),
            self.clocks.shows(origin, self.now),
        );
        self.nodes[origin].unreached(function, to, sent, now);
        self.deliver_again(id);
    }

    fn wait(&mut self, id: CallId) {
        self.waits = self.waits.wrapping_add(1).max(1);
        let call = &mut self.calls[id];
        call.since = self.now;
        call.wait = self.waits;
        let (at, function, wait) = (call.at, call.function, call.wait);
        let now = self.clocks.shows(at as usize, self.now);
        let node = &mut self.nodes[at as usize];
        let way = self.calls.way_mut(id);
        let Some((place, latest)) = node.wait(function.into(), id, &way.terms, now) else {
            return self.drop_from_queue(id);
        };
        way.place = Some(place);
        if let Some(latest) = latest {
            let latest = self.clocks.when(at as usize, latest);
            let late = latest.max(self.now) + JUST_AFTER;
            self.calendar.schedule(late, Event::Late { call: id, wait });
        }
        self.await_token(at as usize, function.into());
    }

    fn await_token(&mut self, node: usize, function: usize) {
        let now = self.clocks.shows(node, self.now);
        if let Some(token) = self.nodes[node].awaits_token(function, now) {
            let token = self.clocks.when(node, token);
            let (node, function) = (node as u32, function as u16);
            self.calendar
                .schedule(token, Event::Token { node, function });
        }
    }

    /// A call waits in the place of another, of lower priority.
    fn displace(&mut self, id: CallId, other: CallId) {
        self.wait(id);
        self.drop_from_queue(other);
    }

    /// A call that waits can no longer start in time, unless it has started or given up since.
    fn late(&mut self, id: CallId, wait: u32) {
        let Some(call) = self.calls.get(id).filter(|call| call.wait == wait) else {
            return;
        };
        let (node, function) = (call.at as usize, usize::from(call.function));
        if let Some(place) = self.calls.way(id).place
            && self.nodes[node].leave(function, place)
        {
            self.drop_from_queue(id);
        }
    }

    /// A call has been taken out of a queue: nothing of it was executed.
    fn drop_from_queue(&mut self, id: CallId) {
        let call = &mut self.calls[id];
        call.wait = 0;
        if call.at == call.origin {
            self.calls.way_mut(id).delivery.dropped_here();
            self.deliver_again(id);
        } else {
            self.answer(id, false);
        }
    }

    fn token(&mut self, node: usize, function: usize) {
        let now = self.clocks.shows(node, self.now);
        if self.nodes[node].token_comes(function, now) {
            while self.start_next(node, function) {}
            self.await_token(node, function);
        }
    }

    /// A call begins to run, where it is.
    fn start(&mut self, id: CallId) {
        let call = &self.calls[id];
        let node = call.at as usize;
        let speed = self.speeds[node];
        let mut seconds = call.service / speed;
        if let Some(warmth) = &mut self.warmth {
            let (wait, starts) = warmth.begin(node, usize::from(call.function), speed, self.now);
            seconds += wait.as_secs_f64();
            if starts {
                self.ledger.cold_start();
            }
        }
        self.ledger.busy(node, seconds);
        match &mut self.cores[node] {
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
    fn foretell(&mut self, node: usize) {
        let next = self.cores[node]
            .as_mut()
            .and_then(|cores| cores.next_end(self.now));
        if let Some((at, version)) = next {
            let node = node as u32;
            self.calendar
                .schedule(at, Event::SharedDone { node, version });
        }
    }

    fn shared_done(&mut self, node: usize, version: u32) {
        let cores = self.cores[node]
            .as_mut()
            .filter(|cores| cores.version == version);
        if let Some(call) = cores.and_then(|cores| cores.end(self.now)) {
            self.done(call);
            self.foretell(node);
        }
    }

    fn done(&mut self, id: CallId) {
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
            self.answer(id, true);
        }
    }

    /// A slot is given up: whoever waits first and can still start in time has it.
    fn release(&mut self, node: usize, function: usize) {
        if self.nodes[node].end(function) {
            self.start_next(node, function);
            self.nodes[node].settle(function);
        }
    }

    /// Starts the next one of those who wait, if one can. Returns whether there was one.
    fn start_next(&mut self, node: usize, function: usize) -> bool {
        loop {
            let now = self.clocks.shows(node, self.now);
            match self.nodes[node].next(function, now) {
                Next::Nobody => return false,
                Next::Drop(call) => self.drop_from_queue(call),
                Next::Start(call) => {
                    self.calls[call].wait = 0;
                    self.ledger.waited(self.now.since(self.calls[call].since));
                    self.start(call);
                    return true;
                }
            }
        }
    }

    /// Sends the answer to a forwarded call back, with what is left here now.
    fn answer(&mut self, id: CallId, served: bool) {
        let call = &self.calls[id];
        let (from, origin) = (call.at as usize, call.origin as usize);
        let function = usize::from(call.function);
        let body = if served {
            self.experiment.functions[function].answer_bytes
        } else {
            0
        };
        let at = self.cross(from, origin, HEAD_BYTES + body);
        let left = self.nodes[from].says(function, self.clocks.shows(from, self.now));
        self.calls.way_mut(id).left = Some(left);
        self.calendar
            .schedule(at, Event::Answer { call: id, served });
    }

    fn answered(&mut self, id: CallId, served: bool) {
        let call = &self.calls[id];
        let (origin, from) = (call.origin as usize, call.at as usize);
        let is_there = self.nodes[origin].up && self.nodes[origin].boot == call.origin_boot;
        if !is_there || !self.wires.joins(origin, from) {
            return self.lose(id);
        }
        let function = usize::from(call.function);
        if let Some(left) = self.calls.way(id).left {
            let now = self.clocks.shows(origin, self.now);
            self.nodes[origin].answered(function, from, served, left, now);
        }
        if served {
            let call = self.calls.take(id);
            let latency = self.now.since(call.arrived);
            self.ledger
                .serve((origin, function), latency, true, self.now);
        } else {
            self.ledger.peer_refusal(from, self.now);
            self.deliver_again(id);
        }
    }

    /// For the dispatcher: a node sees what is left at each of its candidates now.
    fn look_around(&self, origin: usize, function: usize) {
        let origin = &self.nodes[origin];
        for (place, candidate) in origin.candidates(function).enumerate() {
            let now = self.clocks.shows(candidate, self.now);
            let headroom = self.nodes[candidate].headroom(function, now);
            origin.inform(function, place, headroom);
        }
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

    /// When something is at the other end. Only neighbours are known to a node, so there is a link.
    fn cross(&mut self, from: usize, to: usize, bytes: u32) -> Time {
        let link = self.experiment.links.between(from, to);
        let link = link.expect("calls and messages go to neighbours only, over their link");
        self.wires.cross(self.experiment, link, bytes, self.now)
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
