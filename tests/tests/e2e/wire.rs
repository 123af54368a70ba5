//! A network between agents that a test cuts and slows down.

use std::net::SocketAddr;
use std::time::Duration;

use dfaas_tests::agent::SOON;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A port that leads to an agent as long as the network is whole. What is on its way when it is cut never arrives, and who
/// connects meanwhile hears nothing, as where packets are lost.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    pub(crate) whole: watch::Sender<bool>,
    pub(crate) target: watch::Sender<Option<SocketAddr>>,
    /// How long what crosses it takes.
    pub(crate) delay: watch::Sender<Duration>,
}

impl Wire {
    pub(crate) async fn open() -> Wire {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, target) = (watch::Sender::new(true), watch::Sender::new(None));
        let delay = watch::Sender::new(Duration::ZERO);
        let (joined, reached, late) = (whole.subscribe(), target.subscribe(), delay.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, joined.clone(), reached.clone(), late.clone()));
            }
        });
        Wire {
            address,
            whole,
            target,
            delay,
        }
    }
}

async fn carry(
    near: TcpStream,
    mut whole: watch::Receiver<bool>,
    mut target: watch::Receiver<Option<SocketAddr>>,
    delay: watch::Receiver<Duration>,
) {
    let target = target.wait_for(Option::is_some).await;
    let Some(to) = target.ok().and_then(|to| *to) else {
        return;
    };
    if *whole.borrow_and_update() {
        let Ok(far) = TcpStream::connect(to).await else {
            return;
        };
        let (mut near, mut far) = (near.into_split(), far.into_split());
        tokio::select! {
            _ = copy(&mut near.0, &mut far.1, &delay) => return,
            _ = copy(&mut far.0, &mut near.1, &delay) => return,
            _ = whole.wait_for(|whole| !whole) => {}
        }
        // Held, and never carried again.
        tokio::time::sleep(SOON).await;
        drop((near, far));
    } else {
        tokio::time::sleep(SOON).await;
        drop(near);
    }
}

/// Carries bytes one way until they end, which ends the connection.
async fn copy(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    delay: &watch::Receiver<Duration>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        let late = *delay.borrow();
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}
