//! Driving a client's connection: until it ends, until the client has not done its part in time, or until the node drains.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::datapath::Shared;

use super::watch::{Due, Patience, Watch};

/// How HTTP ended on a connection.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, and what it had to say was said.
    Served,
    /// With an error, or because the client did not do its part.
    Cut,
    /// Not yet, but nothing is under way: the stream can be taken back.
    Idle,
}

/// Drives a connection to its end. `graceful` tells it to end after the calls that run.
///
/// The clock is only read, and the timer only set, when something may have become due: a call costs neither.
pub(super) async fn drive<C>(
    mut connection: Pin<&mut C>,
    graceful: impl Fn(Pin<&mut C>),
    watch: &Watch,
    patience: Patience,
    shared: &Shared,
    stop: &mut Receiver<bool>,
) -> End
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut stop = pin!(stop.wait_for(|stop| *stop));
    let mut timer = pin!(sleep_until(Instant::now() + patience.idle));
    let mut begun = false;
    let mut ending = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(match ended {
                    Ok(()) => End::Served,
                    Err(error) => {
                        tracing::trace!(%error, "a client's connection broke");
                        End::Cut
                    }
                });
            }
            if watch.take_resumes() {
                continue;
            }
            if watch.is_idle() {
                return Poll::Ready(End::Idle);
            }
            // Whoever says that the node drains sets the flag first, then wakes this task.
            if !ending && shared.is_draining() {
                ending = true;
                graceful(connection.as_mut());
                continue;
            }
            if !begun {
                let _ = stop.as_mut().poll(cx);
            }
            if begun && !watch.take_hurried() && !timer.is_elapsed() {
                return Poll::Pending;
            }
            begun = true;
            let now = Instant::now();
            let next = match watch.due(patience) {
                Some((at, Due::Head)) if at <= now => {
                    watch.give_up_head();
                    continue;
                }
                Some((at, Due::Request)) if at <= now && !ending => {
                    ending = true;
                    graceful(connection.as_mut());
                    if connection.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(End::Served);
                    }
                    // The client is told, and has to hang up.
                    now + patience.header
                }
                Some((at, _)) if at <= now => return Poll::Ready(End::Cut),
                Some((at, _)) => at,
                // A call runs. What can become due after it is later than this.
                None => now + patience.idle.min(patience.header),
            };
            timer.as_mut().reset(next);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}
