//! What clients saw, and whether that may be.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::network::Ingresses;
use super::platform::Executions;

/// A call that began so long after a failure does not fail for it.
const GRACE: Duration = Duration::from_secs(3);
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of the calls that were not on a node that was down, so many are served.
const SHARE: f64 = 0.995;

/// What goes wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Killed(usize),
    Stopped(usize),
    CutOff(usize),
    Slow(usize),
    /// Ended as a service manager does, and started again: no failure at all.
    Restarted(usize),
}

#[derive(Clone, Copy, Debug)]
struct Incident {
    what: Trouble,
    began: Instant,
    ended: Option<Instant>,
}

impl Incident {
    /// Whether it excuses that a call failed: the call was on the node that was down, or began soon after the failure.
    fn excuses(&self, call: &Call) -> bool {
        match self.what {
            Trouble::Killed(_) | Trouble::Stopped(_) | Trouble::CutOff(_) => {
                self.took(call) || call.began <= self.began + GRACE && call.ended >= self.began
            }
            Trouble::Slow(_) | Trouble::Restarted(_) => false,
        }
    }

    /// Whether a call was on a node that was down.
    fn took(&self, call: &Call) -> bool {
        let until = self.ended.unwrap_or_else(Instant::now);
        matches!(self.what, Trouble::Killed(node) | Trouble::Stopped(node) if node == call.node)
            && call.began <= until
            && call.ended >= self.began
    }
}

/// A call as its client saw it.
#[derive(Debug)]
struct Call {
    id: String,
    node: usize,
    began: Instant,
    ended: Instant,
    /// The status and the body, or why there is none.
    answer: Result<(u16, String), String>,
}

impl Call {
    fn is_served(&self) -> bool {
        self.answer.as_ref().is_ok_and(|(status, _)| *status == 200)
    }
}

/// All that happened.
pub(super) struct Ledger {
    ingresses: Ingresses,
    calls: Mutex<Vec<Call>>,
    incidents: Mutex<Vec<Incident>>,
    stopped: AtomicBool,
}

impl Ledger {
    pub(super) fn new(ingresses: Ingresses) -> Ledger {
        Ledger {
            ingresses,
            calls: Mutex::default(),
            incidents: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Something begins to go wrong. What is returned names it.
    pub(super) fn begins(&self, what: Trouble) -> usize {
        let mut incidents = self.incidents.lock().unwrap();
        incidents.push(Incident {
            what,
            began: Instant::now(),
            ended: None,
        });
        incidents.len() - 1
    }

    pub(super) fn ends(&self, incident: usize) {
        self.incidents.lock().unwrap()[incident].ended = Some(Instant::now());
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Brings calls at that rate, each to a node that is there, until it is stopped and all are answered.
    pub(super) async fn load(self: Arc<Self>, rate: f64, seed: u64) {
        let mut rng = StdRng::seed_from_u64(!seed);
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut calls = JoinSet::new();
        let start = Instant::now();
        for number in 0.. {
            sleep_until(start + Duration::from_secs_f64(f64::from(number) / rate)).await;
            if self.stopped.load(Relaxed) {
                break;
            }
            let there: Vec<(usize, String)> = {
                let ingresses = self.ingresses.lock().unwrap();
                let there = ingresses.iter().enumerate();
                there
                    .filter_map(|(node, url)| Some((node, url.clone()?)))
                    .collect()
            };
            let (node, url) = there[rng.random_range(0..there.len())].clone();
            let id = format!("chaos-{number}");
            let request = client.get(url).header("X-Call-Id", &id);
            let ledger = Arc::clone(&self);
            calls.spawn(async move {
                let began = Instant::now();
                let answer = async {
                    let response = request.send().await?;
                    Ok::<_, reqwest::Error>((response.status().as_u16(), response.text().await?))
                };
                let answer = answer.await.map_err(|error| format!("{error:?}"));
                ledger.calls.lock().unwrap().push(Call {
                    id,
                    node,
                    began,
                    ended: Instant::now(),
                    answer,
                });
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
    }

    /// Fails if anything was not as it is promised.
    pub(super) fn judge(&self, executions: &Executions, seed: u64) {
        let (calls, incidents) = (self.calls.lock().unwrap(), self.incidents.lock().unwrap());
        assert_eq!(executions.doubled(), Vec::<String>::new(), "seed {seed}");
        let (mut reachable, mut served, mut unexcused) = (0u32, 0u32, Vec::new());
        for call in calls.iter() {
            if let Ok((200, body)) = &call.answer {
                assert_eq!(*body, call.id, "each call has its own answer");
                assert_eq!(executions.of(&call.id), 1, "what is answered was executed");
            }
            if !call.is_served() && !incidents.iter().any(|incident| incident.excuses(call)) {
                unexcused.push(call);
            }
            if call.is_served() || !incidents.iter().any(|incident| incident.took(call)) {
                reachable += 1;
                served += u32::from(call.is_served());
            }
        }
        let share = f64::from(served) / f64::from(reachable.max(1));
        println!(
            "{} calls, {} troubles; of {reachable} that were on no node that was down {served} were served, {:.3} %",
            calls.len(),
            incidents.len(),
            share * 100.0
        );
        let first = unexcused.first();
        let around = first.map(|call| {
            let near = incidents
                .iter()
                .filter(|incident| incident.began <= call.ended);
            near.map(|i| (i.what, call.began.saturating_duration_since(i.began)))
                .collect::<Vec<_>>()
        });
        assert!(
            unexcused.is_empty(),
            "seed {seed}: {} calls failed without excuse, such as {first:?}, after {around:?}",
            unexcused.len()
        );
        assert!(share >= SHARE, "seed {seed}: only {share} was served");
    }
}
