//! The threads of the data path.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::datapath::{Context, Shared, prepare};
use crate::ingress::Front;
use crate::{ingress, peer};

/// How often idle connections are looked over.
const LOOK_OVER: Duration = Duration::from_secs(5);
/// How long to wait after a connection could not be taken, for want of file descriptors above all.
const BREATHE: Duration = Duration::from_millis(20);
/// How many turns tasks may take before the sockets are looked at again while some are still ready. A call takes five or six, so
/// that the steps of some forty calls go together (`datapath/turn.rs`) before others can join them.
const TURNS_A_LOOK: u32 = 256;

/// The running threads.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Workers {
    /// Starts one thread for each listener of the ingress. A node that stands alone has none for peers.
    pub(super) fn start(
        shared: &Arc<Shared>,
        front: &Arc<Front>,
        ingress: Vec<TcpListener>,
        peer: Vec<TcpListener>,
        stop: &watch::Receiver<bool>,
    ) -> io::Result<Workers> {
        let threads = ingress
            .into_iter()
            .zip(
                peer.into_iter()
                    .map(Some)
                    .chain(std::iter::repeat_with(|| None)),
            )
            .enumerate()
            .map(|(index, (ingress, peer))| {
                let (shared, front) = (Arc::clone(shared), Arc::clone(front));
                let stop = stop.clone();
                std::thread::Builder::new()
                    .name(format!("calls-{index}"))
                    .spawn(move || {
                        tokio::runtime::Builder::new_current_thread()
                            .enable_all()
                            .event_interval(TURNS_A_LOOK)
                            .build_local(LocalOptions::default())?
                            .block_on(work(shared, front, ingress, peer, stop))
                    })
            })
            .collect::<io::Result<_>>()?;
        Ok(Workers { threads })
    }

    /// Whether a thread has ended, which none does before it is told to.
    pub(super) fn any_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Whether all threads have ended.
    pub(super) fn all_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

/// Takes connections until told to stop, then waits for those that are left.
async fn work(
    shared: Arc<Shared>,
    front: Arc<Front>,
    ingress: TcpListener,
    peer: Option<TcpListener>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let ingress = tokio::net::TcpListener::from_std(ingress)?;
    let peer = peer.map(tokio::net::TcpListener::from_std).transpose()?;
    let context = Context::new(shared);
    let mut connections = JoinSet::new();
    let mut look_over = tokio::time::interval(LOOK_OVER);
    look_over.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = stop.clone();
    loop {
        tokio::select! {
            taken = ingress.accept() => if let Some((stream, address)) = usable(taken).await {
                let (front, context) = (Arc::clone(&front), Rc::clone(&context));
                let stop = stopped.clone();
                connections.spawn_local(ingress::serve_connection(
                    front, context, stream, address, stop,
                ));
            },
            taken = accept(peer.as_ref()) => if let Some((stream, address)) = usable(taken).await {
                let (context, stop) = (Rc::clone(&context), stopped.clone());
                connections.spawn_local(peer::serve_connection(context, stream, address, stop));
            },
            Some(ended) = connections.join_next() => report(ended),
            _ = look_over.tick() => {
                context.pool.close_idle();
                context.lines.close_idle();
                context.trunks.close_idle();
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    drop((ingress, peer));
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
    Ok(())
}

/// The next connection; never, where there is no listener.
async fn accept(listener: Option<&tokio::net::TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn usable(taken: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, SocketAddr)> {
    match taken {
        Ok((stream, address)) => {
            prepare(&stream, Some(address));
            Some((stream, address))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            tokio::time::sleep(BREATHE).await;
            None
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task ended in a panic; its call is lost");
    }
}
