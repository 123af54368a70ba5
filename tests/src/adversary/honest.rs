use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::call::{Answer, Call, Framing};
use crate::scripted::pattern;

/// Bytes of each body, there and back.
const BODY: usize = 600;

/// A client that calls at a constant rate while others attack, and looks at every byte of its answers.
#[derive(Debug)]
pub struct Honest {
    stop: watch::Sender<bool>,
    calling: JoinHandle<Service>,
}

/// How it was served.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// The calls' ids, each executed once if all is well.
    pub ids: Vec<String>,
    /// What was wrong with answers.
    pub wrong: Vec<String>,
    /// How long each call took from the moment at which it was due, connecting included.
    pub times: Vec<Duration>,
}

impl Service {
    /// The time within which that share of the calls was answered.
    ///
    /// # Panics
    /// If none was.
    pub fn within(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let place = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        times[place]
    }
}

impl Honest {
    /// Begins to send the calls that `call` makes of numbers, see [`call_to`].
    pub fn begin(rate: f64, call: impl Fn(u64) -> Call + Send + 'static) -> Honest {
        let (stop, mut stopped) = watch::channel(false);
        let calling = tokio::spawn(async move {
            let mut running = JoinSet::new();
            let mut due = interval(Duration::from_secs_f64(1.0 / rate));
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut number = 0;
            loop {
                let at = tokio::select! {
                    at = due.tick() => at,
                    _ = stopped.changed() => break,
                };
                running.spawn(one(call(number), at));
                number += 1;
            }
            let mut service = Service::default();
            for (id, took, wrong) in running.join_all().await {
                service
                    .wrong
                    .extend(wrong.map(|wrong| format!("{id}: {wrong}")));
                service.ids.push(id);
                service.times.push(took);
            }
            service
        });
        Honest { stop, calling }
    }

    /// Ends it, and waits for the last answers.
    ///
    /// # Panics
    /// If the client itself failed.
    pub async fn end(self) -> Service {
        self.stop.send_replace(true);
        self.calling.await.expect("the client does not panic")
    }
}

/// A call to a function at `HOST:PORT` that the gateway of that name answers with what an honest client looks for.
pub fn call_to(ingress: &str, function: &str, gateway: &str, id: &str) -> Call {
    Call::new(ingress, function, id)
        .at(gateway, &format!("big={BODY}"))
        .body(Framing::Sized(BODY))
}

async fn one(call: Call, due: Instant) -> (String, Duration, Option<String>) {
    let answer = call.send().await;
    let took = due.elapsed();
    let wrong = match &answer {
        Answer::Whole(_, body) if answer.is_served() && *body == pattern(call.id(), BODY) => None,
        other => Some(format!("{other:?}")),
    };
    (call.id().to_owned(), took, wrong)
}
