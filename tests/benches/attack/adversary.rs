//! Nine attacks at one time, until the process is ended.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use dfaas_agent::membership::{AuthorityDir, Terms};
use dfaas_protocol::membership::{Certificate, UnixTime};
use dfaas_tests::adversary::{
    Gossip, Intruder, Mutation, Silence, ask_to_join, frames, hellos, hold, messages, requests,
    send_calls, send_messages, send_raw, send_requests,
};
use dfaas_tests::{Agent, Federation};
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

/// A member that was cut off is given up for another one after this time.
const GIVEN_UP: Duration = Duration::from_secs(2);
/// What is held in silence is let go after this time, and taken anew.
const HELD: Duration = Duration::from_secs(3);

/// What is attacked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    authority: PathBuf,
    ingress: String,
    peer: String,
    overlay: String,
}

impl Target {
    pub(crate) fn of(agent: &Agent, federation: &Federation) -> Target {
        Target {
            authority: federation.path(),
            ingress: agent.ingress().to_owned(),
            peer: agent.peer().to_owned(),
            overlay: agent.ready.addresses.overlay[0].clone(),
        }
    }

    /// A member that nobody has met.
    fn member(&self) -> Result<(Intruder, Certificate)> {
        let member = Intruder::stranger();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let now = UnixTime::from_secs(since.as_secs());
        let authority = AuthorityDir::open(&self.authority)?;
        let signed = authority.sign(member.node(), &Terms::default(), now)?;
        Ok((member.showing(signed.to_bytes()), signed))
    }

    /// Where the overlay is, `HOST:PORT`.
    fn overlay_port(&self) -> String {
        let parts: Vec<&str> = self.overlay.split('/').collect();
        format!("{}:{}", parts[2], parts[4])
    }
}

fn paced(pace: Option<f64>) -> Interval {
    let every = pace.map_or(Duration::from_nanos(1), |pace| {
        Duration::from_secs_f64(1.0 / pace)
    });
    let mut interval = interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Attacks until standard input ends. A blow is one frame or request where one sender has many of them, else one connection.
pub(crate) async fn attack(target: Target, pace: Option<f64>) -> Result<()> {
    let attacks = LocalSet::new();
    for seed in 0..2 {
        attacks.spawn_local(gossip(target.clone(), seed, pace.map(|pace| pace / 50.0)));
    }
    let (caller, _) = target.member()?;
    let (other, silent) = (caller.clone(), caller.clone());
    let peer = target.peer.clone();
    let mut pacing = paced(pace.map(|pace| pace / 100.0));
    attacks.spawn_local(async move {
        let mut both = (
            Mutation::new(requests("work"), 3),
            Mutation::new(frames("work"), 4),
        );
        loop {
            pacing.tick().await;
            send_calls(&caller, &peer, (&mut both.0, &mut both.1), 100).await;
        }
    });
    let peer = target.peer.clone();
    let mut pacing = paced(pace);
    attacks.spawn_local(async move {
        let mut mutation = Mutation::new(requests("work"), 5);
        loop {
            pacing.tick().await;
            send_requests(&other, &peer, &mut mutation, 1).await;
        }
    });
    let peer = target.peer.clone();
    let mut pacing = paced(pace);
    attacks.spawn_local(async move {
        let mut mutation = Mutation::new(vec![vec![0; 80]], 6);
        loop {
            pacing.tick().await;
            ask_to_join(&peer, &mut mutation, 1).await;
        }
    });
    for (address, from) in [
        (target.ingress.clone(), requests("work")),
        (target.peer.clone(), hellos()),
        (target.overlay_port(), hellos()),
    ] {
        let mut pacing = paced(pace);
        attacks.spawn_local(async move {
            let mut mutation = Mutation::new(from, 7);
            loop {
                pacing.tick().await;
                send_raw(&address, &mut mutation, 1).await;
            }
        });
    }
    let overlay = target.overlay_port();
    attacks.spawn_local(async move {
        loop {
            let held = [
                hold(&silent, &target.peer, Silence::HalfHello, 300).await,
                hold(&silent, &target.peer, Silence::Shaken("dfaas-trunk/1"), 20).await,
                hold(&silent, &overlay, Silence::Opened, 200).await,
                hold(&silent, &target.ingress, Silence::HalfHead, 300).await,
            ];
            tokio::time::sleep(HELD).await;
            drop(held);
        }
    });
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    attacks.run_until(ended).await??;
    Ok(())
}

/// Mutated messages from one member after the other, as each is cut off.
async fn gossip(target: Target, seed: u64, pace: Option<f64>) -> Result<()> {
    let mut pacing = paced(pace);
    loop {
        let (member, shown) = target.member()?;
        let mut mutation = Mutation::new(messages(&shown), seed);
        let mut gossip = Gossip::connect(&member, &target.overlay);
        let sending = async {
            loop {
                pacing.tick().await;
                let sent = send_messages(&mut gossip, &mut mutation, 50);
                if timeout(GIVEN_UP, sent).await.is_err() {
                    break;
                }
            }
        };
        sending.await;
    }
}
