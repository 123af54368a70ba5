//! A run of a lab.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dfaas_protocol::Time;
use dfaas_protocol::strategy::StrategyName;
use dfaas_sim::report::Report;
use dfaas_sim::scenario::Experiment;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::account::{Account, Sample};
use super::faults::Faults;
use super::load::{Outcome, bring};
use super::namespaces::Namespaces;
use super::process::{self, LOOK};
use super::relay::{Nature, Wire};
use super::site::{self, Site};
use super::warm::warm_up;

/// How long the agents may take to hear their neighbours.
const MEET_LIMIT: Duration = Duration::from_secs(60);
/// From when all are ready to the first call.
const LEAD: Duration = Duration::from_millis(200);
/// How often the agents' counters are read.
const SAMPLE: Duration = Duration::from_secs(1);

/// Runs an experiment with that strategy on every node, each in a network of its own if `netns` says so, and reports what it
/// came to. `progress` is told the time now and then.
///
/// # Errors
/// If the experiment has what the lab has not got, an agent does not start or ends by itself, or a call has no outcome.
pub(crate) async fn run(
    experiment: Experiment,
    strategy: StrategyName,
    netns: bool,
    progress: impl Fn(&str),
) -> anyhow::Result<Report> {
    if let Some(site) = experiment.nodes.iter().find(|site| site.cores.is_some()) {
        bail!(
            "node {} has cores that its functions share, which the lab has not got: give it slots or a rate",
            site.name
        );
    }
    if let Some(function) = experiment.functions.iter().find(|f| f.cold.is_some()) {
        bail!(
            "function {} has cold starts, which the lab has not got: leave `cold` out",
            function.name
        );
    }
    let mut faults = Faults::new(&experiment);
    let experiment = Arc::new(experiment);
    let directory = tempfile::Builder::new()
        .prefix("dfaas-lab-")
        .tempdir()
        .context("no directory could be made for the lab's files")?;
    // Dropped after the agents, which are in them.
    let namespaces = netns
        .then(|| Namespaces::make(experiment.nodes.len()))
        .transpose()?;
    let wires = wires(&experiment);
    let mut sites = site::prepare(
        &experiment,
        strategy,
        &wires,
        directory.path(),
        namespaces.as_ref(),
    )
    .await?;
    progress(&format!("starting {} agents", sites.len()));
    for site in &mut sites {
        site.start().await?;
    }
    wait_until_acquainted(&experiment, &sites).await?;

    progress("warming up");
    warm_up(&experiment, &sites, experiment.periods.of(strategy)).await?;
    let start = Instant::now() + LEAD;
    let mut samples = vec![sample(&mut sites, start).await?];
    let mut load = JoinSet::new();
    for (index, source) in experiment.sources.iter().enumerate() {
        let ingress = sites[source.node].ingress.subscribe();
        load.spawn(bring(Arc::clone(&experiment), index, ingress, start));
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut next_sample = start + SAMPLE;
    loop {
        let next_fault = faults.due().map(|due| start + due);
        tokio::select! { biased;
            () = until(next_fault) => faults.step(&experiment, &mut sites, &wires).await?,
            ended = load.join_next() => match ended {
                Some(ended) => outcomes.extend(ended.context("a load generator failed")??),
                None => break,
            },
            () = tokio::time::sleep_until(next_sample) => {
                next_sample += SAMPLE;
                samples.push(sample(&mut sites, start).await?);
                let seconds = start.elapsed().as_secs();
                progress(&format!("{seconds} of {} s", experiment.duration.as_secs()));
            }
        }
    }
    samples.push(sample(&mut sites, start).await?);
    let nodes = sites.iter().map(|site| site.node).collect();
    process::stop(sites.into_iter().filter_map(Site::into_agent)).await;
    Account {
        experiment: &experiment,
        strategy,
        nodes,
        outcomes,
        samples,
    }
    .close()
}

/// Waits until then, or for ever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The directions of the links, by their places.
fn wires(experiment: &Experiment) -> Vec<Arc<Wire>> {
    let links = &experiment.links;
    let from_nodes = (0..experiment.nodes.len()).flat_map(|node| links.of(node));
    from_nodes
        .map(|link| {
            let nature = Nature {
                delay: link.delay,
                jitter: links.jitter,
                bandwidth: links.bandwidth,
                loss: links.loss,
            };
            Arc::new(Wire::new(nature, experiment.seed ^ link.index as u64))
        })
        .collect()
}

async fn sample(sites: &mut [Site], start: Instant) -> anyhow::Result<Sample> {
    let mut counted = Vec::with_capacity(sites.len());
    for site in sites {
        counted.push(site.count().await?);
    }
    Ok(Sample {
        at: Time::ZERO + start.elapsed(),
        counted,
    })
}

/// Waits until every node hears all of its neighbours and knows how far they are.
async fn wait_until_acquainted(experiment: &Experiment, sites: &[Site]) -> anyhow::Result<()> {
    let limit = Instant::now() + MEET_LIMIT;
    loop {
        let mut missing = 0;
        for (node, site) in sites.iter().enumerate() {
            let wanted = experiment.links.of(node).len();
            missing += wanted.saturating_sub(site.acquainted().await?);
        }
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() > limit {
            bail!("the agents do not hear each other: {missing} neighbours are missing");
        }
        tokio::time::sleep(LOOK).await;
    }
}
