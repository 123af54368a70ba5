//! Taking plain calls that a neighbour sends on a trunk, many at a time.
//!
//! One task serves the connection: it reads what came, polls the runners of calls that can go on, and writes what all of them had to
//! say in one go.

mod call;
mod calls;
mod connection;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use dfaas_protocol::NodeId;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::BufReader;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use crate::datapath::trunk::{Gathering, Wire};
use crate::datapath::{Context, Metered, wake_after_sockets};

use call::run;
use calls::Calls;
use connection::Connection;

/// How long the other end may take to close a trunk on which nothing is left.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one trunk until it ends, or until `stop` says that the node drains and its calls have ended.
pub(super) async fn serve_trunk(
    context: Rc<Context>,
    stream: TlsStream<BufReader<Wire>>,
    from: NodeId,
    metered: Metered,
    mut stop: watch::Receiver<bool>,
) {
    let calls = Calls::new(context, from, metered.again());
    let mut connection = Connection::new(stream, metered, &calls);
    let mut runners = FuturesUnordered::new();
    let mut stopped = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut farewell: Option<Pin<Box<Sleep>>> = None;
    let mut last_look = false;
    let mut closing = false;
    let mut gathering = Gathering::default();
    let ended = poll_fn(|cx| -> Poll<io::Result<()>> {
        if !closing && stopped.as_mut().poll(cx).is_ready() {
            closing = true;
            calls.close();
        }
        loop {
            let full = calls.is_full();
            if !full {
                while let Poll::Ready(read) = connection.poll_read(cx) {
                    if read? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    for ticket in connection.take_new() {
                        runners.push(run(&calls, ticket));
                    }
                }
            }
            while let Poll::Ready(Some(())) = runners.poll_next_unpin(cx) {}
            if let Some(next) = calls.next_deadline() {
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
                if timer.deadline() != next {
                    timer.as_mut().reset(next);
                }
                if timer.as_mut().poll(cx).is_ready() {
                    // What has come in time may still have to be read, where this thread is late itself.
                    if std::mem::take(&mut last_look) {
                        calls.pass_deadlines(Instant::now());
                        continue;
                    }
                    last_look = true;
                    wake_after_sockets(cx);
                }
            }
            // With no call left there is nothing to wait for.
            let waiting = if calls.is_empty() { 0 } else { calls.waiting() };
            if connection.has_sent_all() && gathering.goes_on(waiting, cx) {
                return Poll::Pending;
            }
            ready!(connection.poll_write(cx))?;
            // What was not read for want of room can be read now.
            if !full {
                break;
            }
        }
        if closing && calls.is_empty() {
            let last = farewell.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
            return last.as_mut().poll(cx).map(Ok);
        }
        Poll::Pending
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, neighbour = %from, "a trunk broke");
    }
    // A courtesy to the other end, which otherwise hears of it by a reset.
    let goodbye = poll_fn(|cx| connection.poll_shutdown(cx));
    let _ = tokio::time::timeout(FAREWELL, goodbye).await;
}
