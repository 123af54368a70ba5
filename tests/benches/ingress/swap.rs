//! Swapping the strategy, and with it all routes, ten times a second under load.

use std::time::Duration;

use anyhow::Result;
use comfy_table::Table;
use dfaas_tests::client::RawClient;
use dfaas_tests::{Agent, Site};
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::closed::{PATH, Series, turns};
use crate::engine::Engine;
use crate::load::{Load, Measured, Method, Pace};
use crate::proxies::pin;

/// Connections of the load.
const CONNECTIONS: usize = 32;
/// The distance between two swaps.
const DISTANCE: Duration = Duration::from_millis(100);
/// The strategies that take turns. Neither forwards while there is room here, so that calls cost the same under both.
const STRATEGIES: [&str; 2] = ["all-local", "headroom"];

/// The run with swaps beside the one without.
#[derive(Debug, Serialize)]
pub(crate) struct Swap {
    swaps: u64,
    calls: u64,
    failed: u64,
    rps: f64,
    rps_without: f64,
    p99_us: f64,
    p99_without_us: f64,
    /// How many times the p99 without swaps the p99 with them is.
    p99_ratio: f64,
}

/// Loads an agent with swaps and without, by turns.
pub(crate) async fn run(
    engine: &Engine,
    functions: usize,
    rounds: usize,
    time: Duration,
) -> Result<Swap> {
    let gateway = format!("http://{}", engine.gateway(functions).await?);
    let agent = Site::new().openfaas(&gateway).start().await;
    pin(agent.pid())?;
    let load = Load {
        target: agent.ingress().parse()?,
        path: PATH.into(),
        method: Method::Get,
        connections: CONNECTIONS,
        warm_up: time / 4,
        pace: Pace::Closed(time),
        watched: vec![agent.pid()],
    };
    let series = |target| Series {
        target,
        case: (load.method, CONNECTIONS),
        rounds: Vec::new(),
    };
    let (mut with, mut without) = (series("with"), series("without"));
    let mut swaps = 0;
    for round in 1..=rounds {
        eprintln!("swaps, round {round} of {rounds}");
        for index in turns(round, 2) {
            if index == 0 {
                without.rounds.push(engine.run(load.clone()).await?);
            } else {
                let (measured, made) = swapped(engine, load.clone(), &agent).await?;
                with.rounds.push(measured);
                swaps += made;
            }
        }
    }
    let p99 = |series: &Series| series.median(|m| m.micros(0.99));
    Ok(Swap {
        swaps,
        calls: with.rounds.iter().map(|m| m.answered).sum(),
        failed: with.failed(),
        rps: with.median(Measured::rate),
        rps_without: without.median(Measured::rate),
        p99_us: p99(&with),
        p99_without_us: p99(&without),
        p99_ratio: p99(&with) / p99(&without),
    })
}

/// Makes the load, swapping all the while, and tells how many swaps were made.
async fn swapped(engine: &Engine, load: Load, agent: &Agent) -> Result<(Measured, u64)> {
    let admin = agent.ready.addresses.admin.clone();
    // A raw connection, because a client library's work would be done on the core of the load.
    let mut client = RawClient::connect(&admin).await;
    let mut next = STRATEGIES.iter().cycle();
    let mut ticks = tokio::time::interval(DISTANCE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut run = std::pin::pin!(engine.run(load));
    let mut swaps = 0;
    loop {
        tokio::select! {
            measured = run.as_mut() => return Ok((measured?, swaps)),
            _ = ticks.tick() => {}
        }
        let Some(strategy) = next.next() else {
            unreachable!("a cycle has no end");
        };
        let body = format!("{{\"strategy\":\"{strategy}\"}}");
        let request = format!(
            "PUT /v1/strategy HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        client.send(request).await;
        let answer = client.read_until("}").await;
        anyhow::ensure!(
            answer.starts_with("HTTP/1.1 200"),
            "a swap was refused: {answer}"
        );
        client.forget();
        swaps += 1;
    }
}

impl Swap {
    /// The comparison as a table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.set_header(["", "swaps", "calls", "failed", "rps", "p99 µs", "p99 ratio"]);
        table.add_row([
            "with swaps".to_owned(),
            self.swaps.to_string(),
            self.calls.to_string(),
            self.failed.to_string(),
            format!("{:.0}", self.rps),
            format!("{:.0}", self.p99_us),
            format!("{:.2}", self.p99_ratio),
        ]);
        table.add_row([
            "without".to_owned(),
            "0".to_owned(),
            String::new(),
            String::new(),
            format!("{:.0}", self.rps_without),
            format!("{:.0}", self.p99_without_us),
            "1.00".to_owned(),
        ]);
        table
    }
}
