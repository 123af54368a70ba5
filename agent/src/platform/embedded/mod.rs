//! The embedded platform: functions of the agent's own process behind a real HTTP/1.1 gateway, with the paths, statuses
//! and headers of an OpenFaaS gateway. An agent cannot tell the two apart.

mod answer;
mod builtin;
mod function;
mod gateway;
mod request;
mod system;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use self::function::Functions;
use self::gateway::Router;
use super::{DeployedFunction, Gateway, Pace, Platform, PlatformError};
use crate::config::EmbeddedConfig;

/// How long a client may take for a request's head, and so also how long an idle connection is kept; as faasd has it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The pause after a failed accept, which mostly means that the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The embedded platform. It stops accepting when it is dropped.
#[derive(Debug)]
pub struct Embedded {
    gateway: Gateway,
    router: Arc<Router>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Embedded {
    /// Opens the gateway on the runtime that this is called in. Its functions run at that pace.
    ///
    /// # Errors
    /// If a function cannot be deployed, the address cannot be had, or there is no tokio runtime.
    pub fn start(config: &EmbeddedConfig, pace: Arc<Pace>) -> Result<Embedded, PlatformError> {
        let runtime = Handle::try_current()?;
        let router = Arc::new(Router::new(Functions::deploy(&config.functions)?, pace));
        let (listener, address) =
            listen(config.listen).map_err(|source| PlatformError::Listen {
                address: config.listen,
                source,
            })?;
        if !address.ip().is_loopback() {
            warn!(%address, "the embedded platform's gateway asks nobody for credentials");
        }
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accepting = accept(listener, router.clone(), stop.clone(), tasks.clone());
        tasks.spawn_on(accepting, &runtime);
        Ok(Embedded {
            gateway: Gateway {
                authority: reachable(address).to_string(),
                secure: false,
            },
            router,
            stop,
            tasks,
        })
    }

    /// Stops accepting, lets running calls end, and returns when the last connection is closed. The caller decides how
    /// long it waits for that.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Platform for Embedded {
    fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn functions(&self) -> BoxFuture<'_, Result<Vec<DeployedFunction>, PlatformError>> {
        future::ready(Ok(self.router.functions().deployed())).boxed()
    }

    fn healthy(&self) -> BoxFuture<'_, bool> {
        future::ready(!self.stop.is_cancelled()).boxed()
    }
}

fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The address to connect to for one that is listened at.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn accept(
    listener: TcpListener,
    router: Arc<Router>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, router.clone(), stop.clone()));
            }
            Err(error) => {
                warn!(%error, "the embedded platform cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Arc<Router>, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection to the embedded platform was closed at once");
        return;
    }
    let service = service_fn(move |request| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.answer(request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection to the embedded platform broke off");
    }
}
