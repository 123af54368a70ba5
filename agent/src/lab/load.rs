//! What clients bring to the agents of a lab: calls that are due at the drawn times, whether or not those before them were
//! answered.

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::{NodeId, Time};
use dfaas_sim::engine::Brings;
use dfaas_sim::scenario::{Experiment, Source};
use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::process::http_client;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The runtime's timers count whole milliseconds and round up, so they are late by half of one.
const LATE: Duration = Duration::from_micros(500);

/// A call, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The node that it was brought to.
    pub(super) node: usize,
    /// Which function.
    pub(super) function: usize,
    /// When it was due.
    pub(super) due: Time,
    /// When that was known.
    pub(super) ended: Time,
    /// How long it runs on a node of speed 1, in seconds.
    pub(super) service: f64,
    pub(super) end: End,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// It was run.
    Served {
        /// By another node.
        by: Option<NodeId>,
        /// For so many seconds, as the platform there measured it.
        ran: Option<f64>,
    },
    /// Its node said that nothing was run.
    Refused,
    /// Its node could not be reached.
    NodeDown,
    /// Its node went while it ran, or failed; why.
    Lost(String),
}

/// Where an agent takes calls; nowhere while it is down.
pub(super) type Ingress = watch::Receiver<Option<String>>;

/// Brings the calls of a source, and returns what became of each.
pub(super) async fn bring(
    experiment: Arc<Experiment>,
    index: usize,
    ingress: Ingress,
    start: Instant,
) -> anyhow::Result<Vec<Outcome>> {
    let source: &Source = &experiment.sources[index];
    let function = &experiment.functions[source.function];
    let client = http_client(PATIENCE)?;
    let end = Time::ZERO + experiment.duration;
    let mut drawn = Brings::new(experiment.seed, index);
    let mut sent = 0;
    let mut calls = JoinSet::new();
    while let Some(due) = drawn.next(source, end) {
        let service = drawn.service(&function.service);
        sleep_until(start + due.since(Time::ZERO) - LATE).await;
        let address = ingress.borrow().clone();
        let request = address.map(|address| {
            let ms = service * 1e3;
            let url = format!("http://{address}/function/{}?ms={ms}", function.name);
            let request = client.post(url).body(vec![0; function.body_bytes as usize]);
            match function.deadline {
                Some(within) => request.header("dfaas-deadline-ms", within.as_millis().to_string()),
                None => request,
            }
        });
        let (node, which) = (source.node, source.function);
        sent += 1;
        calls.spawn(async move {
            let end = match request {
                Some(request) => call(request).await,
                None => End::NodeDown,
            };
            Outcome {
                node,
                function: which,
                due,
                ended: Time::ZERO + start.elapsed(),
                service,
                end,
            }
        });
    }
    let mut outcomes = Vec::with_capacity(sent);
    while let Some(outcome) = calls.join_next().await {
        outcomes.push(outcome?);
    }
    anyhow::ensure!(
        outcomes.len() == sent,
        "{sent} calls were sent and {} have an outcome, which is a fault of the lab",
        outcomes.len()
    );
    Ok(outcomes)
}

async fn call(request: reqwest::RequestBuilder) -> End {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return End::NodeDown,
        Err(error) => return End::Lost(reason(&error)),
    };
    let status = response.status();
    let forwarded = response.headers().get("dfaas-forwarded-to");
    let by = forwarded.and_then(|node| node.to_str().ok()?.parse().ok());
    let ran = response.headers().get("x-duration-seconds");
    let ran = ran.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    match (status, response.text().await) {
        (StatusCode::OK, Ok(_)) => End::Served { by, ran },
        (StatusCode::SERVICE_UNAVAILABLE, Ok(_)) => End::Refused,
        (status, Ok(text)) => End::Lost(format!("{status}: {}", text.trim_end())),
        (_, Err(error)) => End::Lost(reason(&error)),
    }
}

/// What lies under an error, which says more than the error.
fn reason(error: &reqwest::Error) -> String {
    let last = anyhow::Chain::new(error).last();
    last.map_or_else(|| error.to_string(), ToString::to_string)
}
