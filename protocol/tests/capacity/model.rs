//! A platform in virtual time, and the gate before it.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use dfaas_protocol::estimate::{Limiter, Samples};
use dfaas_protocol::gate::{Entry, Freed, Gate};
use dfaas_protocol::{Capacity, Slots, Time};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a platform does with more calls than it has workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// They wait in the platform, first come first served.
    Fifo,
    /// All run, and share the workers.
    Shared,
    /// They are refused.
    Refusing,
}

/// How long calls take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Exponential,
    Constant,
    /// With a standard deviation of the logarithm of one: a coefficient of variation of 1.3.
    Lognormal,
}

pub(crate) const MEAN: f64 = 0.05;
const QUEUE: u32 = 8;
/// How often the limiter steps.
const STEP: f64 = 0.1;

impl Service {
    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        let uniform = |rng: &mut ChaCha8Rng| 1.0 - rng.random::<f64>();
        MEAN * match self {
            Service::Exponential => -uniform(rng).ln(),
            Service::Constant => 1.0,
            Service::Lognormal => {
                let radius = (-2.0 * uniform(rng).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * uniform(rng)).cos();
                (normal - 0.5).exp()
            }
        }
    }
}

/// A call inside the platform. Ordered by when it ends, the first the greatest, as a heap has them.
#[derive(Clone, Copy, Debug)]
struct Call {
    began: f64,
    running: u32,
    /// Its own work, in seconds of one worker.
    work: f64,
    /// When it ends; where workers are shared, in work done for each call since the beginning.
    ends: f64,
}

impl Ord for Call {
    fn cmp(&self, other: &Call) -> Ordering {
        other.ends.total_cmp(&self.ends)
    }
}

impl PartialOrd for Call {
    fn partial_cmp(&self, other: &Call) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Call {}

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) service: Service,
    /// From which time how many workers there are.
    pub(crate) workers: Vec<(f64, u32)>,
    /// Arrivals a second.
    pub(crate) rate: f64,
    /// The slots that the limiter begins with; without, the workers of the beginning are declared.
    pub(crate) first: Option<u32>,
    pub(crate) seed: u64,
}

/// What was seen at a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at: f64,
    pub(crate) learned: u32,
    served: f64,
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<Step>,
}

impl Trace {
    /// Work served from one time to another, in seconds of one worker. Calls would be the same on average, with the noise of
    /// how long each happened to take.
    pub(crate) fn served(&self, from: f64, to: f64) -> f64 {
        let until = |time: f64| {
            let before = self.steps.iter().take_while(|s| s.at <= time);
            before.last().map_or(0.0, |s| s.served)
        };
        until(to) - until(from)
    }

    /// The share of the steps from one time to another at which that holds of what is learned.
    pub(crate) fn share(&self, from: f64, to: f64, holds: impl Fn(u32) -> bool) -> f64 {
        let steps = self.steps.iter();
        let steps: Vec<_> = steps.filter(|s| (from..to).contains(&s.at)).collect();
        let held = steps.iter().filter(|s| holds(s.learned)).count();
        held as f64 / steps.len() as f64
    }
}

impl Case {
    pub(crate) fn run(&self, until: f64) -> Trace {
        self.world().run(until)
    }

    /// The same with calls that take `factor` times as long from that time on.
    pub(crate) fn slower_from(&self, time: f64, factor: f64) -> World {
        let mut world = self.world();
        world.slower = (time, factor);
        world
    }

    fn world(&self) -> World {
        let slots = Slots::new(self.first.unwrap_or(self.workers[0].1)).unwrap();
        World {
            model: self.model,
            service: self.service,
            workers: self.workers.clone(),
            rate: self.rate,
            slower: (f64::INFINITY, 1.0),
            gate: Gate::new(Capacity::Slots(slots), QUEUE),
            limiter: self.first.map(|_| Limiter::new(slots, Time::ZERO)),
            samples: Samples::default(),
            arrivals: ChaCha8Rng::seed_from_u64(self.seed),
            services: ChaCha8Rng::seed_from_u64(self.seed + 1000),
            now: 0.0,
            work: 0.0,
            runs: BinaryHeap::new(),
            waits: VecDeque::new(),
            served: 0.0,
            trace: Trace::default(),
        }
    }
}

/// A run of the model.
pub(crate) struct World {
    model: Model,
    service: Service,
    workers: Vec<(f64, u32)>,
    rate: f64,
    slower: (f64, f64),
    gate: Gate,
    limiter: Option<Limiter>,
    samples: Samples,
    arrivals: ChaCha8Rng,
    services: ChaCha8Rng,
    now: f64,
    /// Work done since the beginning for a call that was there all the time, where workers are shared.
    work: f64,
    runs: BinaryHeap<Call>,
    /// Inside the platform without a worker.
    waits: VecDeque<Call>,
    /// Work of the calls that ended.
    served: f64,
    trace: Trace,
}

fn time(seconds: f64) -> Time {
    Time::ZERO + Duration::from_secs_f64(seconds)
}

impl World {
    fn workers(&self) -> usize {
        let so_far = self
            .workers
            .iter()
            .take_while(|(from, _)| *from <= self.now);
        so_far.last().unwrap().1 as usize
    }

    /// How fast calls go.
    fn speed(&self) -> f64 {
        match self.model {
            Model::Shared => (self.workers() as f64 / self.runs.len() as f64).min(1.0),
            // A worker that is taken away finishes its call.
            Model::Fifo | Model::Refusing => 1.0,
        }
    }

    fn advance(&mut self, until: f64) {
        if self.model == Model::Shared && !self.runs.is_empty() {
            self.work += (until - self.now) * self.speed();
        }
        self.now = until;
    }

    fn next_end(&self) -> f64 {
        self.runs.peek().map_or(f64::INFINITY, |call| {
            if self.model == Model::Shared {
                self.now + (call.ends - self.work).max(0.0) / self.speed()
            } else {
                call.ends
            }
        })
    }

    /// Gives workers that are free to calls that wait for one.
    fn employ(&mut self) {
        while (self.model == Model::Shared || self.runs.len() < self.workers())
            && let Some(mut call) = self.waits.pop_front()
        {
            let begins = if self.model == Model::Shared {
                self.work
            } else {
                self.now
            };
            call.ends = begins + call.work;
            self.runs.push(call);
        }
    }

    /// A call ended. Whether another starts.
    fn hand_over(&self) -> bool {
        self.gate.end() == Freed::ForNext && self.gate.resume(time(self.now))
    }

    /// Starts calls that the gate has let run.
    fn begin(&mut self, mut calls: u32) {
        while calls > 0 {
            calls -= 1;
            if self.model == Model::Refusing && self.runs.len() >= self.workers() {
                if self.limiter.is_some() {
                    self.gate.refused_by_platform();
                    self.samples.refuse();
                }
                calls += u32::from(self.hand_over());
                continue;
            }
            let mut work = self.service.draw(&mut self.services);
            if self.now >= self.slower.0 {
                work *= self.slower.1;
            }
            self.samples.begins(self.gate.running(), time(self.now));
            self.waits.push_back(Call {
                began: self.now,
                running: self.gate.running(),
                work,
                ends: f64::INFINITY,
            });
            self.employ();
        }
    }

    pub(crate) fn run(mut self, until: f64) -> Trace {
        let (mut arrival, mut step) = (0.0, 0.0);
        let changes: Vec<f64> = self.workers.iter().map(|(from, _)| *from).collect();
        loop {
            let end = self.next_end();
            let change = changes.iter().copied().find(|at| *at > self.now);
            let change = change.unwrap_or(f64::INFINITY);
            let next = end.min(arrival).min(step).min(change);
            self.advance(next);
            if next >= until {
                self.look();
                return self.trace;
            }
            if next == step {
                step += STEP;
                self.look();
            } else if next == arrival {
                arrival += -(1.0 - self.arrivals.random::<f64>()).ln() / self.rate;
                if self.gate.enter(time(self.now)) == Entry::Run {
                    self.begin(1);
                }
            } else if next == change {
                self.employ();
            } else if let Some(call) = self.runs.pop() {
                self.served += call.work;
                let took = Duration::from_secs_f64(self.now - call.began);
                let (running, now) = (self.gate.running(), time(self.now));
                self.samples.answered(call.running, running, took, now);
                self.employ();
                let next = self.hand_over();
                self.begin(u32::from(next));
            }
        }
    }

    /// The limiter's step.
    fn look(&mut self) {
        let Capacity::Slots(mut slots) = self.gate.capacity() else {
            unreachable!("the gate has slots")
        };
        if let Some(limiter) = &mut self.limiter {
            let full = self.gate.running() >= slots.get();
            let to = limiter.step(&self.samples, slots, full, time(self.now));
            slots = limiter.learned();
            self.gate.set_slots(to);
            while self.gate.resume(time(self.now)) {
                self.begin(1);
            }
        }
        self.trace.steps.push(Step {
            at: self.now,
            learned: slots.get(),
            served: self.served,
        });
    }
}
