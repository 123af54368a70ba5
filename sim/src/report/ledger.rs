//! What is counted while a run goes on.

use std::iter::repeat_with;
use std::time::Duration;

use dfaas_protocol::{Capacity, Time};
use hdrhistogram::{Counter, Histogram};

use crate::policy::Policy;
use crate::scenario::Experiment;

use super::figures::{FunctionFigures, Interval, NodeFigures, Report, Totals, share};

/// The longest latency that is told from longer ones: an hour.
const LONGEST_MICROS: u64 = 3_600_000_000;
/// Intervals of a run at most; they are whole seconds.
const MOST_INTERVALS: f64 = 600.0;
/// In larger runs, nodes have no latencies of their own.
const MOST_LATENCIES: usize = 1000;

/// What is counted while a run goes on, in virtual or in real time. Times never go back.
#[derive(Debug)]
pub struct Ledger {
    totals: Totals,
    refused_by: Vec<(&'static str, u64)>,
    /// How long the calls took of the intervals that are over.
    latency: Histogram<u64>,
    there: u64,
    wait: Duration,
    nodes: Vec<Account>,
    /// How long the calls of each node's clients took, unless there are too many nodes.
    latencies: Vec<Histogram<u32>>,
    /// For each function, calls that clients brought, and how long those took that were served.
    functions: Vec<(u64, Histogram<u32>)>,
    interval: Duration,
    next_interval: Time,
    intervals: Vec<Interval>,
    interval_latency: Histogram<u64>,
}

/// What is counted of a node. What nearly every call changes is in one line of the cache.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Account {
    offered: u64,
    served: u64,
    refused: u64,
    ran: u64,
    forwards: u64,
    /// Seconds of slots or cores.
    busy: f64,
    latency_sum: Duration,
    lost: u64,
    refused_peers: u64,
    messages: u64,
    message_bytes: u64,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3)
        .expect("the bounds are in order and 3 significant digits are at most 5")
}

fn latencies() -> Histogram<u32> {
    Histogram::new(2).expect("2 significant digits are at most 5")
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

fn ms<C: Counter>(histogram: &Histogram<C>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

impl Ledger {
    /// An empty ledger of an experiment.
    pub fn new(experiment: &Experiment) -> Ledger {
        let seconds = experiment.duration.as_secs_f64();
        let whole = Duration::from_secs((seconds / MOST_INTERVALS).ceil().max(1.0) as u64);
        let interval = experiment.interval.unwrap_or(whole);
        let has_latencies = experiment.nodes.len() <= MOST_LATENCIES;
        let nodes = experiment.nodes.len();
        let own = if has_latencies { nodes } else { 0 };
        Ledger {
            totals: Totals::default(),
            refused_by: Vec::new(),
            latency: histogram(),
            there: 0,
            wait: Duration::ZERO,
            nodes: repeat_with(Account::default).take(nodes).collect(),
            latencies: repeat_with(latencies).take(own).collect(),
            functions: experiment
                .functions
                .iter()
                .map(|_| (0, latencies()))
                .collect(),
            interval,
            next_interval: Time::ZERO,
            intervals: Vec::new(),
            interval_latency: histogram(),
        }
    }

    /// The interval at hand.
    fn now(&mut self, now: Time) -> &mut Interval {
        while now >= self.next_interval {
            self.close_interval();
            let from_s = self.next_interval.as_nanos() as f64 / 1e9;
            self.next_interval = self.next_interval + self.interval;
            self.intervals.push(Interval {
                from_s,
                offered: 0,
                served: 0,
                refused: 0,
                lost: 0,
                forwards: 0,
                peer_refusals: 0,
                p50_ms: 0.0,
                p95_ms: 0.0,
                p99_ms: 0.0,
            });
        }
        let last = self.intervals.len() - 1;
        &mut self.intervals[last]
    }

    fn close_interval(&mut self) {
        if let Some(interval) = self.intervals.last_mut()
            && !self.interval_latency.is_empty()
        {
            interval.p50_ms = ms(&self.interval_latency, 0.5);
            interval.p95_ms = ms(&self.interval_latency, 0.95);
            interval.p99_ms = ms(&self.interval_latency, 0.99);
            self.latency += &self.interval_latency;
            self.interval_latency.reset();
        }
    }

    /// Reads what is counted of a node.
    pub(crate) fn glance(&self, node: usize) -> u64 {
        let account = &self.nodes[node];
        account.offered
    }

    /// A client brought a call of a function to a node.
    pub fn offer(&mut self, node: usize, function: usize, now: Time) {
        self.functions[function].0 += 1;
        self.totals.offered += 1;
        self.nodes[node].offered += 1;
        self.now(now).offered += 1;
    }

    /// A call of a function of a node's clients was answered; `there`: it had run at another node.
    pub fn serve(
        &mut self,
        (node, function): (usize, usize),
        latency: Duration,
        there: bool,
        now: Time,
    ) {
        self.totals.served += 1;
        self.there += u64::from(there);
        self.now(now).served += 1;
        let micros = micros(latency);
        self.interval_latency.saturating_record(micros);
        // It grows as it has to, and an hour is no size that it cannot have.
        let _ = self.functions[function]
            .1
            .record(micros.min(LONGEST_MICROS));
        let account = &mut self.nodes[node];
        account.served += 1;
        account.latency_sum += latency;
        if let Some(own) = self.latencies.get_mut(node) {
            let _ = own.record(micros.min(LONGEST_MICROS));
        }
    }

    /// A call of a node's clients was refused.
    pub fn refuse(&mut self, node: usize, why: &'static str, now: Time) {
        self.totals.refused += 1;
        self.nodes[node].refused += 1;
        self.now(now).refused += 1;
        match self.refused_by.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => self.refused_by.push((why, 1)),
        }
    }

    /// A call of a node's clients was lost to a crash or a partition.
    pub fn lose(&mut self, node: usize, now: Time) {
        self.totals.lost += 1;
        self.nodes[node].lost += 1;
        self.now(now).lost += 1;
    }

    /// A node sent a call to a neighbour.
    pub fn forward(&mut self, node: usize, now: Time) {
        self.totals.forwards += 1;
        self.nodes[node].forwards += 1;
        self.now(now).forwards += 1;
    }

    /// A node refused a call that a neighbour had sent.
    pub fn peer_refusal(&mut self, by: usize, now: Time) {
        self.totals.peer_refusals += 1;
        self.nodes[by].refused_peers += 1;
        self.now(now).peer_refusals += 1;
    }

    /// A node could not reach the neighbour to which it sent a call.
    pub fn unreached(&mut self) {
        self.totals.unreached += 1;
    }

    /// A call found its function asleep.
    pub fn cold_start(&mut self) {
        self.totals.cold_starts += 1;
    }

    /// A call waited for its turn.
    pub fn waited(&mut self, duration: Duration) {
        self.totals.waited += 1;
        self.wait += duration;
    }

    /// A slot or core of a node is busy for so long.
    pub fn busy(&mut self, node: usize, seconds: f64) {
        self.nodes[node].busy += seconds;
    }

    /// A call has run on a node.
    pub fn ran(&mut self, node: usize) {
        self.nodes[node].ran += 1;
    }

    /// A node sent a control message of so many bytes.
    pub fn message(&mut self, node: usize, bytes: u32) {
        self.nodes[node].messages += 1;
        self.nodes[node].message_bytes += u64::from(bytes);
    }

    /// The report of a run that ended then.
    ///
    /// # Panics
    /// If a call was lost or counted twice, which is a fault of this crate.
    pub fn close(
        mut self,
        experiment: &Experiment,
        policy: Policy,
        ended: Time,
        events: u64,
    ) -> Report {
        self.close_interval();
        let seconds = experiment.duration.as_secs_f64();
        let ended_s = (ended.as_nanos() as f64 / 1e9).max(seconds);
        let nodes: Vec<NodeFigures> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(node, account)| {
                account.figures(experiment, node, self.latencies.get(node), ended_s)
            })
            .collect();
        let functions = self.functions.iter().zip(&experiment.functions);
        let functions = functions
            .map(|((offered, latency), function)| FunctionFigures {
                function: function.name.display_name().to_owned(),
                offered: *offered,
                served: latency.len(),
                p95_ms: ms(latency, 0.95),
            })
            .collect();
        let mut totals = self.totals;
        assert_eq!(
            totals.offered,
            totals.served + totals.refused + totals.lost,
            "a call is served, refused or lost, once"
        );
        let named = self.refused_by.into_iter();
        totals.refused_by = named.map(|(why, count)| (why.to_owned(), count)).collect();
        totals.served_share = share(totals.served as f64, totals.offered as f64);
        totals.forwards_per_call = share(totals.forwards as f64, totals.offered as f64);
        totals.peer_refusal_share = share(totals.peer_refusals as f64, totals.forwards as f64);
        totals.hops = share(self.there as f64, totals.served as f64);
        totals.wait_ms = share(self.wait.as_secs_f64() * 1e3, totals.waited as f64);
        let sum: Duration = self.nodes.iter().map(|account| account.latency_sum).sum();
        totals.mean_ms = share(sum.as_secs_f64() * 1e3, totals.served as f64);
        totals.p50_ms = ms(&self.latency, 0.5);
        totals.p90_ms = ms(&self.latency, 0.9);
        totals.p95_ms = ms(&self.latency, 0.95);
        totals.p99_ms = ms(&self.latency, 0.99);
        totals.p999_ms = ms(&self.latency, 0.999);
        totals.max_ms = self.latency.max() as f64 / 1e3;
        totals.jain = jain(&nodes);
        totals.messages = nodes.iter().map(|node| node.messages).sum();
        totals.message_bytes = nodes.iter().map(|node| node.message_bytes).sum();
        totals.joules = nodes.iter().map(|node| node.joules).sum();
        Report {
            scenario: experiment.name.clone(),
            seed: experiment.seed,
            strategy: policy,
            seconds,
            ended_s,
            events,
            totals,
            nodes,
            functions,
            intervals: self.intervals,
        }
    }
}

impl Account {
    fn figures(
        &self,
        experiment: &Experiment,
        node: usize,
        latency: Option<&Histogram<u32>>,
        seconds: f64,
    ) -> NodeFigures {
        let site = &experiment.nodes[node];
        let busy_share = (self.busy / (seconds * width(experiment, node))).min(1.0);
        let power = site.power;
        let watts = power.idle_watts + (power.max_watts - power.idle_watts) * busy_share;
        let quantile = |q| latency.map(|own| ms(own, q));
        NodeFigures {
            node: site.name.clone(),
            offered: self.offered,
            served: self.served,
            refused: self.refused,
            lost: self.lost,
            served_share: match self.offered {
                0 => 1.0,
                offered => self.served as f64 / offered as f64,
            },
            ran: self.ran,
            forwards: self.forwards,
            refused_peers: self.refused_peers,
            mean_ms: share(self.latency_sum.as_secs_f64() * 1e3, self.served as f64),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            busy_share,
            messages: self.messages,
            message_bytes: self.message_bytes,
            joules: watts * seconds,
        }
    }
}

/// How many calls a node runs at one time when it is busy.
fn width(experiment: &Experiment, node: usize) -> f64 {
    let site = &experiment.nodes[node];
    let functions = site.functions.iter().zip(&experiment.functions);
    let slots = functions.filter_map(|(placement, function)| {
        Some(match placement.as_ref()?.capacity {
            Capacity::Slots(slots) => f64::from(slots.get()),
            Capacity::Rate(rate) => rate.per_second() * function.service.mean() / site.speed,
        })
    });
    site.cores.unwrap_or_else(|| slots.sum()).max(1e-9)
}

/// Jain's index of the served shares of those nodes whose clients brought something.
fn jain(nodes: &[NodeFigures]) -> f64 {
    let asked = nodes.iter().filter(|node| node.offered > 0);
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for node in asked {
        n += 1.0;
        sum += node.served_share;
        squares += node.served_share * node.served_share;
    }
    if squares > 0.0 {
        sum * sum / (n * squares)
    } else {
        1.0
    }
}
