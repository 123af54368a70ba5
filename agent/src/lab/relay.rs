//! What joins the agents of a lab in place of a network: relays that delay, limit and hold what crosses them. They need no
//! rights and no devices; each listens at a port of the loopback interface.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Bytes that are taken at one time.
const CHUNK: usize = 16 * 1024;
/// Chunks of a connection that may be on their way.
const IN_FLIGHT: usize = 64;
/// What was lost is sent again after so long, as TCP does it at first.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// How often at most.
const RETRANSMISSIONS: u32 = 10;
/// The runtime's timers count whole milliseconds and round up, so they are late by half of one.
const LATE: Duration = Duration::from_micros(500);

/// What one direction of a link does to what crosses it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    pub(super) delay: Duration,
    /// Up to so much more.
    pub(super) jitter: Duration,
    /// Bytes a second.
    pub(super) bandwidth: Option<f64>,
    /// The probability that a chunk is lost and sent again.
    pub(super) loss: f64,
}

/// One direction of a link. All connections that use it share its bandwidth.
#[derive(Debug)]
pub(super) struct Wire {
    nature: Nature,
    state: Mutex<State>,
    whole: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    /// When all that was given to it is sent.
    sent: Instant,
}

impl Wire {
    pub(super) fn new(nature: Nature, seed: u64) -> Wire {
        Wire {
            nature,
            state: Mutex::new(State {
                rng: StdRng::seed_from_u64(seed),
                sent: Instant::now(),
            }),
            whole: watch::Sender::new(true),
        }
    }

    /// Cuts it, or mends it. Nothing comes out of a wire that is cut; what is on its way comes out when it is mended, as TCP
    /// would send it again.
    pub(super) fn cut(&self, is_cut: bool) {
        self.whole.send_replace(!is_cut);
    }

    /// When bytes that are given to it now come out.
    fn arrival(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = now;
        if let Some(bandwidth) = self.nature.bandwidth {
            state.sent = now.max(state.sent) + Duration::from_secs_f64(bytes as f64 / bandwidth);
            at = state.sent;
        }
        at += self.nature.delay + self.nature.jitter.mul_f64(state.rng.random());
        let mut lost = 0;
        while lost < RETRANSMISSIONS && state.rng.random_bool(self.nature.loss) {
            lost += 1;
        }
        at + RETRANSMISSION * lost
    }

    async fn mended(&self) {
        let mut whole = self.whole.subscribe();
        // It fails only if the sender is gone, which is here.
        let _ = whole.wait_for(|whole| *whole).await;
    }
}

/// A port that leads to an agent over a link.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    task: AbortHandle,
}

impl Relay {
    /// Opens a port at that address. Who connects there is led to where `target` says, as soon as it says anything: over `there`, and back over
    /// `back`.
    pub(super) async fn open(
        address: IpAddr,
        there: Arc<Wire>,
        back: Arc<Wire>,
        target: watch::Receiver<Option<SocketAddr>>,
    ) -> io::Result<Relay> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, there, back, target)).abort_handle();
        Ok(Relay { address, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    there: Arc<Wire>,
    back: Arc<Wire>,
    target: watch::Receiver<Option<SocketAddr>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (there, back) = (Arc::clone(&there), Arc::clone(&back));
                    connections.spawn(relay(stream, there, back, target.clone()));
                }
                Err(error) => tracing::warn!(%error, "a relay cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(
    from: TcpStream,
    there: Arc<Wire>,
    back: Arc<Wire>,
    mut target: watch::Receiver<Option<SocketAddr>>,
) -> io::Result<()> {
    let target = match target.wait_for(Option::is_some).await {
        Ok(address) => *address,
        Err(_) => None,
    };
    let Some(target) = target else {
        return Ok(());
    };
    there.mended().await;
    // A connection that cannot be made closes the one that asked for it.
    let to = TcpStream::connect(target).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = to.into_split();
    tokio::try_join!(
        carry(&there, from_read, to_write),
        carry(&back, to_read, from_write)
    )?;
    Ok(())
}

/// Carries bytes over a wire until they end, in their order.
async fn carry(wire: &Wire, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let (sender, mut on_the_way) = mpsc::channel::<(Instant, Bytes)>(IN_FLIGHT);
    let take = async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let count = from.read_buf(&mut chunk).await?;
            let item = (wire.arrival(count), chunk.freeze());
            if sender.send(item).await.is_err() || count == 0 {
                return Ok::<(), io::Error>(());
            }
        }
    };
    let give = async move {
        while let Some((at, chunk)) = on_the_way.recv().await {
            sleep_until(at - LATE).await;
            wire.mended().await;
            if chunk.is_empty() {
                to.shutdown().await?;
            } else {
                to.write_all(&chunk).await?;
            }
        }
        Ok::<(), io::Error>(())
    };
    tokio::try_join!(take, give).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const DELAY: Duration = Duration::from_millis(40);

    fn wire(nature: Nature) -> Arc<Wire> {
        Arc::new(Wire::new(nature, 1))
    }

    fn plain() -> Nature {
        Nature {
            delay: DELAY,
            jitter: Duration::ZERO,
            bandwidth: None,
            loss: 0.0,
        }
    }

    /// Both ends of a connection through a relay.
    async fn joined(there: &Arc<Wire>, back: &Arc<Wire>) -> (TcpStream, TcpStream, Relay) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (target, reached) = watch::channel(None);
        let relay = Relay::open(
            Ipv4Addr::LOCALHOST.into(),
            Arc::clone(there),
            Arc::clone(back),
            reached,
        )
        .await
        .unwrap();
        let near = TcpStream::connect(relay.address).await.unwrap();
        target.send_replace(Some(listener.local_addr().unwrap()));
        let (far, _) = listener.accept().await.unwrap();
        (near, far, relay)
    }

    #[tokio::test]
    async fn each_way_takes_its_delay_and_the_end_arrives_too() {
        let (there, back) = (wire(plain()), wire(plain()));
        let (mut near, mut far, _relay) = joined(&there, &back).await;
        let start = Instant::now();
        near.write_all(b"there").await.unwrap();
        let mut bytes = [0; 5];
        far.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"there");
        assert!(start.elapsed() >= DELAY - LATE);
        far.write_all(b"back!").await.unwrap();
        near.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"back!");
        assert!(start.elapsed() >= DELAY * 2 - LATE * 2);
        drop(far);
        assert_eq!(near.read(&mut bytes).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn bandwidth_is_shared_by_the_connections_of_a_wire() {
        let limited = Nature {
            bandwidth: Some(1e6),
            ..plain()
        };
        let (there, back) = (wire(limited), wire(plain()));
        let start = Instant::now();
        for _ in 0..2 {
            let (mut near, mut far, _relay) = joined(&there, &back).await;
            near.write_all(&[7; 100_000]).await.unwrap();
            drop(near);
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), 100_000);
        }
        assert!(start.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn what_a_cut_holds_comes_when_it_is_mended() {
        let (there, back) = (wire(plain()), wire(plain()));
        let (mut near, mut far, _relay) = joined(&there, &back).await;
        there.cut(true);
        near.write_all(b"x").await.unwrap();
        let mut byte = [0];
        let held = tokio::time::timeout(DELAY * 5, far.read_exact(&mut byte)).await;
        assert!(held.is_err());
        there.cut(false);
        far.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"x");
    }

    #[tokio::test]
    async fn where_nobody_listens_the_connection_ends() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let gone = listener.local_addr().unwrap();
        drop(listener);
        let (_target, reached) = watch::channel(Some(gone));
        let relay = Relay::open(
            Ipv4Addr::LOCALHOST.into(),
            wire(plain()),
            wire(plain()),
            reached,
        )
        .await
        .unwrap();
        let mut near = TcpStream::connect(relay.address).await.unwrap();
        let end = near.read(&mut [0]).await;
        assert!(matches!(end, Ok(0) | Err(_)));
    }
}
