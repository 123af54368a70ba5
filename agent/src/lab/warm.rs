//! What a lab does before its first call counts: agents that have just started have no connections to each other, and
//! making them all at once takes longer than calls do. The simulator has no connections to make.

use std::time::Duration;

use dfaas_protocol::Capacity;
use dfaas_sim::scenario::Experiment;
use futures::future::join_all;

use super::process::http_client;
use super::site::Site;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Calls at one node at most.
const MOST_CALLS: f64 = 100.0;
/// The longest that a call takes, in milliseconds.
const LONGEST_MS: f64 = 500.0;
/// How long the nodes rest afterwards, in parts of their period, and at least.
const REST_PERIODS: u32 = 2;
const LEAST_REST: Duration = Duration::from_secs(2);

/// Brings each node in its turn as many calls at one time as it and its neighbours can take, and lets them rest.
///
/// # Errors
/// If a node does not answer.
pub(super) async fn warm_up(
    experiment: &Experiment,
    sites: &[Site],
    period: Duration,
) -> anyhow::Result<()> {
    let client = http_client(PATIENCE)?;
    for (node, site) in sites.iter().enumerate() {
        let Some(address) = site.ingress.borrow().clone() else {
            continue;
        };
        for (place, function) in experiment.functions.iter().enumerate() {
            let neighbours = experiment
                .links
                .neighbours(node)
                .iter()
                .map(|n| *n as usize);
            let reachable = neighbours.chain([node]);
            let calls: f64 = reachable
                .map(|node| at_one_time(experiment, node, place))
                .sum();
            let ms = (function.service.mean() * 1e3).min(LONGEST_MS);
            let url = format!("http://{address}/function/{}?ms={ms}", function.name);
            let send = |_| client.post(&url).send();
            let answers = join_all((0..calls.min(MOST_CALLS) as usize).map(send)).await;
            for answer in answers {
                answer?.bytes().await?;
            }
        }
    }
    tokio::time::sleep((period * REST_PERIODS).max(LEAST_REST)).await;
    Ok(())
}

/// Calls of a function that a node runs at one time.
fn at_one_time(experiment: &Experiment, node: usize, function: usize) -> f64 {
    let site = &experiment.nodes[node];
    match site.functions[function].map(|placement| placement.capacity) {
        Some(Capacity::Slots(slots)) => f64::from(slots.get()),
        Some(Capacity::Rate(rate)) => {
            let seconds = experiment.functions[function].service.mean() / site.speed;
            (rate.per_second() * seconds).ceil()
        }
        None => 0.0,
    }
}
