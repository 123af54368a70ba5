//! The run: takes events in their order and does what the nodes decide.

mod arrivals;
mod calendar;
mod calls;
mod cores;
mod event;
mod faults;
mod local;
mod messages;
mod node;
mod warmth;
mod wires;

use std::time::Duration;

use dfaas_protocol::delivery::{Delivery, MAX_ATTEMPTS};
use dfaas_protocol::gate::Turn;
use dfaas_protocol::wire::WireError;
use dfaas_protocol::{Headroom, Time};
use rand::RngExt;

use crate::policy::Policy;
use crate::report::{Ledger, Report};
use crate::scenario::Experiment;
use crate::scenario::random::Stream;

pub use arrivals::Brings;
use arrivals::nanos;
use calendar::Calendar;
use calls::{Call, Calls};
use cores::Cores;
use event::{CallId, Came, Event};
use local::Next;
use messages::Messages;
use node::{Node, Step};
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
    while let Some((now, event)) = world.calendar.next() {
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
    /// For each node, the cores that its calls share, if they do.
    cores: Vec<Option<Cores>>,
    /// What is warm, if any function goes to sleep.
    warmth: Option<Warmth>,
    /// For each node, how fast it runs calls now.
    speeds: Vec<f64>,
    /// For each node, the share of its messages that is lost now.
    losses: Vec<f64>,
    sources: Vec<Brings>,
    wires: Wires,
    messages: Messages,
    ledger: Ledger,
    /// How often a call has begun to wait.
    waits: u32,
}

impl<'a> World<'a> {
    fn new(experiment: &'a Experiment, policy: Policy) -> Result<World<'a>, WireError> {
        let period = experiment.periods.of(policy.strategy());
        let seed = experiment.seed;
        let count = experiment.nodes.len();
        let start = |node| Node::new(experiment, node, policy, 1, Time::ZERO);
        let mut world = World {
            experiment,
            policy,
            period,
            end: Time::ZERO + experiment.duration,
            now: Time::ZERO,
            events: 0,
            calendar: Calendar::new(events_a_second(experiment, period)),
            calls: Calls::default(),
            nodes: (0..count).map(start).collect(),
            cores: experiment
                .nodes
                .iter()
                .map(|site| site.cores.map(Cores::new))
                .collect(),
            warmth: Warmth::new(experiment),
            speeds: experiment.nodes.iter().map(|site| site.speed).collect(),
            losses: vec![0.0; count],
            sources: (0..experiment.sources.len())
                .map(|n| Brings::new(seed, n))
                .collect(),
            wires: Wires::new(experiment),
            messages: Messages::default(),
            ledger: Ledger::new(experiment),
            waits: 0,
        };
        world.schedule_faults();
        // Every node offers as it starts and then ticks at its own pace, so that they do not all plan at once.
        let mut rng = Stream::Phases.rng(seed);
        for node in 0..count {
            world.offer(node)?;
            let first = period.mul_f64(rng.random());
            world.schedule_tick(node, Time::ZERO + first);
            world.schedule_watch(node, Time::ZERO + first);
        }
        for source in 0..experiment.sources.len() {
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
            Event::Turn { call } => self.turn(call),
            Event::Late { call, wait } => self.late(call, wait),
            Event::Done { call } => self.done(call),
            Event::SharedDone { node, version } => self.shared_done(node as usize, version),
            Event::Answer {
                call,
                came,
                free,
                size,
            } => {
                self.answered(call, came, Headroom { free, size });
            }
            Event::Fault { incident, begins } => self.fault(incident, begins)?,
        }
        Ok(())
    }

    fn schedule_arrival(&mut self, index: usize) {
        let source = &self.experiment.sources[index];
        if let Some(at) = self.sources[index].next(source, self.end) {
            let event = Event::Arrival {
                source: index as u32,
            };
            self.calendar.schedule(at, event);
        }
    }

    fn arrival(&mut self, index: usize) {
        let source = &self.experiment.sources[index];
        let function = &self.experiment.functions[source.function];
        let service = self.sources[index].service(&function.service);
        self.schedule_arrival(index);
        self.ledger.offer(source.node, source.function, self.now);
        let node = &mut self.nodes[source.node];
        if !node.up {
            return self.ledger.refuse(source.node, NODE_DOWN, self.now);
        }
        let terms = node.take_in(source.function, self.now);
        let call = self.calls.put(Call {
            delivery: Delivery::on(terms),
            terms,
            place: None,
            wait: 0,
            arrived: self.now,
            since: self.now,
            sent_at: self.now,
            service,
            origin: source.node as u32,
            origin_boot: node.boot,
            at: source.node as u32,
            at_boot: node.boot,
            function: source.function as u16,
            sent: 0,
            live: true,
        });
        self.deliver(call);
    }

    /// Decides a call at its origin, and does it.
    fn deliver(&mut self, id: CallId) {
        let call = &mut self.calls[id];
        let (origin, function) = (call.origin as usize, usize::from(call.function));
        if self.policy == Policy::Dispatcher {
            look_around(&self.nodes, origin, function, self.now);
        }
        let node = &mut self.nodes[origin];
        let step = node.decide(self.experiment, function, &mut call.delivery, self.now);
        call.at = call.origin;
        call.at_boot = call.origin_boot;
        match step {
            Step::Run => self.start(id),
            Step::Wait(turn) => self.wait(id, turn),
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
        call.sent_at = self.now;
        call.at = to as u32;
        call.at_boot = self.nodes[to].boot;
        self.ledger.forward(origin, self.now);
        let bytes = HEAD_BYTES + self.experiment.functions[usize::from(call.function)].body_bytes;
        let arrives = self.cross(origin, to, bytes);
        if !self.wires.joins(origin, to) {
            let at = self.now + CONNECT;
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
        let node = &mut self.nodes[to];
        if !node.up {
            // It takes the way back to learn that nobody listens.
            let at = self.cross(to, origin, 0);
            self.calendar.schedule(at, Event::Unreached { call: id });
            return;
        }
        call.at_boot = node.boot;
        call.terms = node.terms(function, call.delivery.tried().terms(), self.now);
        match node.admit(self.experiment, function, origin, &call.terms, self.now) {
            Step::Run => self.start(id),
            Step::Wait(turn) => self.wait(id, turn),
            Step::Displace(other) => self.displace(id, other),
            Step::Refuse(why) => self.answer(id, why.into()),
            Step::Forward(_) => unreachable!("an admission has no way to say forward"),
        }
    }

    /// The origin learns that nobody took a call that it sent: nothing was executed.
    fn unreached(&mut self, id: CallId) {
        let call = &self.calls[id];
        let (origin, to, sent) = (call.origin as usize, call.at as usize, call.since);
        let function = usize::from(call.function);
        self.ledger.unreached();
        if self.nodes[origin].boot != call.origin_boot || !self.nodes[origin].up {
            return self.lose(id);
        }
        self.nodes[origin].unreached(function, to, sent, self.now);
        self.deliver(id);
    }

    fn wait(&mut self, id: CallId, turn: Turn) {
        self.waits = self.waits.wrapping_add(1);
        let call = &mut self.calls[id];
        call.since = self.now;
        call.wait = self.waits;
        let function = usize::from(call.function);
        let node = &mut self.nodes[call.at as usize];
        match turn {
            Turn::WhenFreed => {
                let Some((place, latest)) = node.wait(function, id, &call.terms) else {
                    return;
                };
                call.place = Some(place);
                if let Some(latest) = latest {
                    let late = latest.max(self.now) + JUST_AFTER;
                    let wait = call.wait;
                    self.calendar.schedule(late, Event::Late { call: id, wait });
                }
            }
            Turn::At(at) => {
                let latest = node.latest_start(function, &call.terms);
                if latest.is_some_and(|latest| latest < at) {
                    node.give_back(function);
                    return self.drop_from_queue(id);
                }
                self.calendar.schedule(at, Event::Turn { call: id });
            }
        }
    }

    /// A call waits in the place of another, of lower priority.
    fn displace(&mut self, id: CallId, other: CallId) {
        self.wait(id, Turn::WhenFreed);
        self.drop_from_queue(other);
    }

    /// A call that waits can no longer start in time, unless it has started or given up since.
    fn late(&mut self, id: CallId, wait: u32) {
        let Some(call) = self.calls.get(id).filter(|call| call.wait == wait) else {
            return;
        };
        let (node, function) = (call.at as usize, usize::from(call.function));
        if let Some(place) = call.place
            && self.nodes[node].leave(function, place)
        {
            self.drop_from_queue(id);
        }
    }

    /// A call has been taken out of a queue: nothing of it was executed.
    fn drop_from_queue(&mut self, id: CallId) {
        let call = &mut self.calls[id];
        call.place = None;
        if call.at == call.origin {
            call.delivery.dropped_here();
            self.deliver(id);
        } else {
            self.answer(id, Came::Refused);
        }
    }

    fn turn(&mut self, id: CallId) {
        if self.is_gone(id) {
            return self.lose(id);
        }
        self.ledger.waited(self.now.since(self.calls[id].since));
        self.start(id);
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
        let took = self.now.since(call.since);
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

    /// A slot is given up: whoever waits first and can still start in time has it.
    fn release(&mut self, node: usize, mut function: usize) {
        loop {
            let next;
            (function, next) = self.nodes[node].release(function, self.now);
            match next {
                Next::Nobody => return,
                Next::Drop(call) => self.drop_from_queue(call),
                Next::Start(call) => {
                    self.calls[call].place = None;
                    self.ledger.waited(self.now.since(self.calls[call].since));
                    return self.start(call);
                }
            }
        }
    }

    /// Sends the answer to a forwarded call back, with what is left here now.
    fn answer(&mut self, id: CallId, came: Came) {
        let call = &self.calls[id];
        let (from, origin) = (call.at as usize, call.origin as usize);
        let function = usize::from(call.function);
        let body = if came == Came::Served {
            self.experiment.functions[function].answer_bytes
        } else {
            0
        };
        let at = self.cross(from, origin, HEAD_BYTES + body);
        let Headroom { free, size } = self.nodes[from].says(function, self.now);
        let answer = Event::Answer {
            call: id,
            came,
            free,
            size,
        };
        self.calendar.schedule(at, answer);
    }

    fn answered(&mut self, id: CallId, came: Came, headroom: Headroom) {
        let call = &self.calls[id];
        let (origin, from) = (call.origin as usize, call.at as usize);
        let is_there = self.nodes[origin].up && self.nodes[origin].boot == call.origin_boot;
        if !is_there || !self.wires.joins(origin, from) {
            return self.lose(id);
        }
        let (function, sent) = (usize::from(call.function), call.sent_at);
        self.nodes[origin].answered(function, from, came, headroom, sent, self.now);
        if came == Came::Served {
            let call = self.calls.take(id);
            let latency = self.now.since(call.arrived);
            self.ledger
                .serve((origin, function), latency, true, self.now);
        } else {
            self.ledger.peer_refusal(from, self.now);
            self.deliver(id);
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

/// For the dispatcher: a node sees what is left at each of its candidates now.
fn look_around(nodes: &[Node], origin: usize, function: usize, now: Time) {
    for (place, candidate) in nodes[origin].candidates(function).enumerate() {
        let headroom = nodes[candidate].headroom(function, now);
        nodes[origin].inform(function, place, headroom);
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
