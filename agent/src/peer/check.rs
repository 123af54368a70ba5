//! Checks of the neighbours over the peer channel, from the control plane: a call waits for none of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::{Health, NodeId};
use rand::RngExt;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::datapath::PeerTls;
use crate::deadline;
use crate::health::{pause, tell};

use super::line::Line;

/// How often a neighbour is checked.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a check may take, a new connection included.
const LIMIT: Duration = Duration::from_secs(2);
/// How often the list of neighbours is looked at, and whether calls stall at one of them.
const LOOK: Duration = Duration::from_millis(500);

/// A neighbour to check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Who.
    pub node: NodeId,
    /// Its address on the peer channel.
    pub address: SocketAddr,
    /// Its health, which the checks report to.
    pub health: Arc<Health>,
}

/// Checks the neighbours that `neighbours` lists, for ever.
pub async fn check_neighbours(tls: PeerTls, clock: Clock, neighbours: impl Fn() -> Vec<Checked>) {
    let mut watched: BTreeMap<NodeId, (SocketAddr, AbortOnDropHandle<()>)> = BTreeMap::new();
    loop {
        let listed = neighbours();
        watched.retain(|node, (address, _)| {
            let mut listed = listed.iter();
            listed.any(|checked| checked.node == *node && checked.address == *address)
        });
        for checked in listed {
            let (node, address) = (checked.node, checked.address);
            watched.entry(node).or_insert_with(|| {
                let watching = tokio::spawn(check_one(tls.clone(), clock, checked));
                (address, AbortOnDropHandle::new(watching))
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn check_one(tls: PeerTls, clock: Clock, checked: Checked) {
    let Checked {
        node,
        address,
        health,
    } = checked;
    let mut line = match Line::new(&tls, node, address) {
        Ok(line) => line,
        Err(error) => return tracing::error!(%node, %error, "a neighbour cannot be checked"),
    };
    // Not at once, as a neighbour may not have heard of this node yet.
    let first = INTERVAL.mul_f64(rand::rng().random_range(0.25..1.0));
    tokio::time::sleep(first).await;
    loop {
        let asked = deadline::within(LIMIT, pin!(line.ask())).await;
        let passed = match asked {
            Some(Ok(passed)) => passed,
            Some(Err(error)) => {
                tracing::debug!(%node, %error, "a check failed");
                false
            }
            None => {
                tracing::debug!(%node, "a check was not answered in time");
                line.close();
                false
            }
        };
        let now = clock.now();
        tell(
            node,
            if passed {
                health.check_passed(now)
            } else {
                health.check_failed(now)
            },
        );
        rest(&health, pause(INTERVAL, passed, health.state())).await;
    }
}

/// Waits for the next check: for so long, or until calls stall there.
async fn rest(health: &Health, pause: Duration) {
    let due = Instant::now() + pause;
    loop {
        let look = Instant::now() + LOOK;
        tokio::time::sleep_until(due.min(look)).await;
        if due <= look || health.is_doubted() {
            return;
        }
    }
}
