//! Starts the swarm's task anew when it fails, so that a panic in libp2p costs connections and not the agent.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio_util::sync::DropGuard;

use super::Setup;
use super::driver::{Driver, Ended};
use crate::backoff::Backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A task that ran this long was no failed start.
const SETTLED: Duration = Duration::from_secs(60);

/// Runs a driver, and others after it, until the overlay is to stop. `_ended` is dropped then.
pub(super) async fn supervise(setup: Arc<Setup>, first: Driver, _ended: DropGuard) {
    let listen = first.listen_again();
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut task = tokio::spawn(first.run());
    loop {
        let started = tokio::time::Instant::now();
        let ended = task.await;
        setup.shared.peers.clear();
        setup.shared.set_addresses(Vec::new());
        let reason = match ended {
            Ok(Ended::Stopped) => return,
            Ok(Ended::Failed(reason)) => reason,
            Err(error) => error.to_string(),
        };
        if started.elapsed() >= SETTLED {
            backoff.reset();
        }
        let pause = backoff.pause();
        tracing::error!(reason, ?pause, "the overlay failed and is started anew");
        tokio::select! {
            () = setup.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        setup.shared.counters.task_restarts.add(1);
        task = tokio::spawn(run_again(Arc::clone(&setup), listen.clone()));
    }
}

async fn run_again(setup: Arc<Setup>, listen: Vec<Multiaddr>) -> Ended {
    match Driver::start(setup, &listen).await {
        Ok(driver) => driver.run().await,
        Err(error) => Ended::Failed(error.to_string()),
    }
}
