//! `dfaas demo`: a federation on this machine, one site of it overloaded, without and with offloading.

mod load;
mod site;
mod summary;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use dfaas_protocol::strategy::StrategyName;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use load::{Load, Tally};
use site::Site;
use summary::{Phase, Summary};
use table::LiveTable;

use crate::membership::{AuthorityDir, Terms};

/// The two halves.
const STRATEGIES: [StrategyName; 2] = [StrategyName::AllLocal, StrategyName::Headroom];
/// How long a call runs.
const SERVICE: Duration = Duration::from_millis(100);
/// Slots of the first site, which is the overloaded one, and of each other.
const HOT_SLOTS: u32 = 4;
const OTHER_SLOTS: u32 = 6;
/// What the overloaded site is offered, in parts of what it can serve; likewise each other site.
const HOT_LOAD: f64 = 3.0;
const OTHER_LOAD: f64 = 0.1;
/// How long the sites may take to start and to find one another.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often the live table is drawn.
const REDRAW: Duration = Duration::from_millis(250);

/// Starts a federation of agents as processes of this machine and sends one of them more than it can serve: first without
/// offloading, then, switched while they run, with it. Ends with a summary of both halves and leaves nothing behind.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// How many agents to start.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=50))]
    nodes: u32,
    /// How long each half lasts, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Calls a second that the overloaded agent is offered [default: three times what it can serve].
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Prints the summary as JSON, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("give calls a second, from 0.1 to 10000".to_owned()),
    }
}

impl Demo {
    /// Runs the demo.
    ///
    /// # Errors
    /// If the agents cannot be started, do not find one another, or the demo is interrupted.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let summary = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            // Whichever way this ends, the sites are dropped and with them their processes and files.
            tokio::select! {
                summary = play(self) => summary,
                _ = terminate.recv() => bail!("terminated; every agent was stopped"),
                _ = interrupt.recv() => bail!("interrupted; every agent was stopped"),
            }
        })?;
        summary::print(&summary, self.json)
    }
}

async fn play(args: &Demo) -> anyhow::Result<Summary> {
    let directory = tempfile::Builder::new()
        .prefix("dfaas-demo-")
        .tempdir()
        .context("no directory could be made for the demo's files")?;
    eprintln!("starting {} agents", args.nodes);
    let authority = AuthorityDir::init(&directory.path().join("authority"))?;
    let mut sites: Vec<Site> = Vec::new();
    for index in 0..args.nodes {
        let bootstrap = sites.first().and_then(|first| first.overlay_address());
        let slots = if index == 0 { HOT_SLOTS } else { OTHER_SLOTS };
        let path = directory.path().join(format!("site-{index}"));
        authority.enrol(&Site::state(&path), &Terms::default())?;
        sites.push(Site::start(&path, slots, SERVICE, bootstrap, START_LIMIT).await?);
    }
    site::wait_until_acquainted(&sites, START_LIMIT).await?;

    let offered: Vec<f64> = sites.iter().map(|site| offered(args, site)).collect();
    let mut table = LiveTable::new();
    let mut phases = Vec::new();
    for (index, strategy) in STRATEGIES.into_iter().enumerate() {
        for site in &sites {
            site.switch(strategy).await?;
        }
        let seconds = args.seconds;
        let phase = half(
            &sites,
            &offered,
            strategy,
            seconds,
            index as u64,
            &mut table,
        )
        .await?;
        phases.push(phase);
    }
    table.clear();
    let capacity: f64 = sites.iter().map(Site::capacity).sum();
    site::stop(sites).await;
    Ok(Summary {
        offered_of_capacity: offered.iter().sum::<f64>() / capacity,
        phases,
    })
}

fn offered(args: &Demo, site: &Site) -> f64 {
    if site.is_hot() {
        args.rate.unwrap_or(site.capacity() * HOT_LOAD)
    } else {
        site.capacity() * OTHER_LOAD
    }
}

/// One half: all sites are offered their load, until the last call was answered.
async fn half(
    sites: &[Site],
    offered: &[f64],
    strategy: StrategyName,
    seconds: u64,
    seed: u64,
    table: &mut LiveTable,
) -> anyhow::Result<Phase> {
    let executed_before = site::executions(sites).await?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut running = JoinSet::new();
    let tallies: Vec<Tally> = sites
        .iter()
        .zip(offered)
        .enumerate()
        .map(|(index, (site, rate))| {
            let tally = Tally::default();
            let load = Load {
                url: site.function_url(),
                rate: *rate,
                end,
                // The same calls in both halves would be fine too; other seeds show that it is not luck.
                rng: StdRng::seed_from_u64(seed << 32 | index as u64),
                tally: tally.clone(),
            };
            running.spawn(load.run());
            tally
        })
        .collect();
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended.context("the load generator failed")??,
                None => break,
            },
            _ = redraw.tick() => table.draw(strategy, sites, offered, &tallies),
        }
    }
    table.draw(strategy, sites, offered, &tallies);
    let executed_after = site::executions(sites).await?;
    let executed: BTreeMap<usize, u64> = executed_after
        .iter()
        .zip(&executed_before)
        .map(|(after, before)| after - before)
        .enumerate()
        .collect();
    Ok(Phase::new(strategy, seconds, sites, &tallies, &executed))
}
