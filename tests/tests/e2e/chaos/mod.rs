//! Chaos: ten agents under load at 60 % of their capacity, while nodes are killed, stopped, cut off, slowed down and
//! restarted. A minute by default; `DFAAS_CHAOS_SECONDS=600` makes it the ten minutes of the slow suite, and
//! `DFAAS_CHAOS_SEED` another run.

mod judgement;
mod network;
mod platform;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use judgement::{Ledger, Trouble};
use network::Network;
use platform::Executions;

const NODES: usize = 10;
const SERVICE: Duration = Duration::from_millis(400);
const SLOTS: u32 = 4;
/// Calls a second: 60 % of what all nodes run.
const RATE: f64 = 0.6 * NODES as f64 * SLOTS as f64 / 0.4;
/// From one trouble to the next, on average.
const PAUSE: Duration = Duration::from_secs(4);
const SLOW: Duration = Duration::from_millis(60);

fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_each_call_is_answered_once_and_executed_at_most_once() {
    let _machine = crate::alone().await;
    let seconds = setting("DFAAS_CHAOS_SECONDS", 60);
    let seed = setting("DFAAS_CHAOS_SEED", 1);
    let mut rng = StdRng::seed_from_u64(seed);
    let executions = Executions::default();
    let mut network = Network::start(NODES, |_| {
        platform::start(executions.clone(), SERVICE, SLOTS)
    })
    .await;
    let ledger = Arc::new(Ledger::new(network.ingresses()));
    let load = tokio::spawn(Arc::clone(&ledger).load(RATE, seed));
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() + PAUSE < end {
        sleep(PAUSE.mul_f64(rng.random_range(0.5..1.5))).await;
        trouble(&mut network, &ledger, &mut rng).await;
    }
    sleep(PAUSE).await;
    ledger.stop();
    load.await.unwrap();
    ledger.judge(&executions, seed);
}

/// Makes trouble, and ends it.
async fn trouble(network: &mut Network, ledger: &Ledger, rng: &mut impl Rng) {
    let node = rng.random_range(0..NODES);
    let lasts = Duration::from_secs_f64(rng.random_range(1.0..3.0));
    match rng.random_range(0..5) {
        0 => {
            let began = ledger.begins(Trouble::Killed(node));
            network.kill(node);
            sleep(lasts).await;
            network.start_again(node).await;
            ledger.ends(began);
        }
        1 => {
            let began = ledger.begins(Trouble::Stopped(node));
            network.signal(node, "STOP");
            sleep(lasts).await;
            network.signal(node, "CONT");
            ledger.ends(began);
        }
        2 => {
            let began = ledger.begins(Trouble::CutOff(node));
            network.cut(node, true);
            sleep(lasts * 2).await;
            network.cut(node, false);
            ledger.ends(began);
        }
        3 => {
            let began = ledger.begins(Trouble::Slow(node));
            network.slow(node, SLOW);
            sleep(lasts * 2).await;
            network.slow(node, Duration::ZERO);
            ledger.ends(began);
        }
        _ => {
            let began = ledger.begins(Trouble::Restarted(node));
            network.end(node).await;
            network.start_again(node).await;
            ledger.ends(began);
        }
    }
}
