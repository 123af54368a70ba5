//! The thread that plays both ends: it makes the load and it is the backend. One thread does both so that the bench
//! itself costs as little as it can of the core that the two share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mio::{Events, Poll, Token, Waker};
use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::load::{Load, Measured, Running};

/// The token of orders; those below `CALLERS` belong to the backend, those from it on to the load.
const ORDERS: Token = Token(usize::MAX - 1);
/// The first token of the load.
pub(crate) const CALLERS: usize = 1 << 32;

/// A handle on the thread.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

enum Order {
    Gateway(usize, oneshot::Sender<Result<SocketAddr>>),
    Run(Box<Load>, oneshot::Sender<Result<Measured>>),
}

impl Engine {
    /// Starts the thread. It ends with the process.
    ///
    /// # Errors
    /// If the system gives no thread or no `epoll`.
    pub(crate) fn start() -> Result<Engine> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), ORDERS)?);
        let (orders, taken) = channel();
        std::thread::Builder::new()
            .name("load".into())
            .spawn(move || turn(poll, &taken))?;
        Ok(Engine { orders, waker })
    }

    /// A gateway with functions `f0`, `f1` and so on.
    ///
    /// # Errors
    /// If no port is free.
    pub(crate) async fn gateway(&self, functions: usize) -> Result<SocketAddr> {
        self.order(|reply| Order::Gateway(functions, reply)).await
    }

    /// Makes a load, and tells how it went.
    ///
    /// # Errors
    /// If the target cannot be reached or gives answers that are none.
    pub(crate) async fn run(&self, load: Load) -> Result<Measured> {
        self.order(|reply| Order::Run(Box::new(load), reply)).await
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<Result<T>>) -> Order) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.orders
            .send(order(reply))
            .map_err(|_| anyhow!("the load's thread has ended"))?;
        self.waker.wake()?;
        answer.await.context("the load's thread has ended")?
    }
}

/// Serves until the last handle is gone.
fn turn(mut poll: Poll, orders: &Receiver<Order>) {
    let mut backend = Backend::default();
    let mut running: Option<(Running, oneshot::Sender<Result<Measured>>)> = None;
    let mut events = Events::with_capacity(1024);
    loop {
        let wait = running.as_ref().and_then(|(load, _)| load.wait());
        if let Err(error) = poll.poll(&mut events, wait) {
            assert!(
                error.kind() == std::io::ErrorKind::Interrupted,
                "epoll failed: {error}"
            );
        }
        for event in &events {
            match event.token() {
                ORDERS => {}
                Token(token) if token < CALLERS => backend.ready(token, event, poll.registry()),
                Token(token) => {
                    if let Some((load, _)) = &mut running {
                        load.ready(token - CALLERS, event, poll.registry());
                    }
                }
            }
        }
        if let Some((mut load, reply)) = running.take() {
            match load.proceed(Instant::now()) {
                Ok(None) => running = Some((load, reply)),
                Ok(Some(measured)) => drop(reply.send(Ok(measured))),
                Err(error) => drop(reply.send(Err(error))),
            }
        }
        if running.is_some() {
            continue;
        }
        match orders.try_recv() {
            Ok(Order::Gateway(functions, reply)) => {
                let _ = reply.send(backend.listen(functions, poll.registry()));
            }
            Ok(Order::Run(load, reply)) => match Running::start(*load, poll.registry()) {
                Ok(load) => running = Some((load, reply)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

/// How long the load waits at most before it looks at the time.
pub(crate) const LOOK: Duration = Duration::from_millis(10);
