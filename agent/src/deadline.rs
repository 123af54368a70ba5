//! Waiting that ends, on a machine that may be late itself.
//!
//! On a machine with too much to do a thread gets its turn when others leave it one. Then its timers fire late, and all at once with
//! what came meanwhile. Nobody else is to blame for that: what is there when time is over has come in time, and while this thread
//! stood still it waited for nobody.
//!
//! The work is pinned by who waits for it: a future that is handed over takes its room twice, once on its way.

use std::pin::Pin;
use std::time::Duration;

use futures::future::poll_immediate;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// A limit is counted in so many steps.
const STEPS: u32 = 10;

/// Waits until the deadline. What came before it counts, also where another task of this thread has yet to read it: a client's deadline
/// is a moment, but an answer that is there is not thrown away.
pub(crate) async fn by<T>(
    deadline: Instant,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    if let Ok(done) = timeout_at(deadline, work.as_mut()).await {
        return Some(done);
    }
    // The runtime looks at its sockets, and whoever has something to read goes first.
    yield_now().await;
    poll_immediate(work).await
}

/// Waits for so long, not counting the time in which this thread stood still: what another machine gets to do its part. The limit is
/// counted in steps, each of which begins when it is looked at, so that a stall costs no more than the step that it falls into.
pub(crate) async fn within<T>(
    limit: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    for _ in 0..STEPS {
        let step = Instant::now() + limit / STEPS;
        if let Some(done) = by(step, work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io::Write;
    use std::pin::pin;

    use tokio::io::AsyncReadExt;
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::sync::oneshot;
    use tokio::task::spawn_local;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn what_is_there_when_time_is_over_has_come_in_time() {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default());
        let seen = runtime.unwrap().block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut there = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (here, _) = listener.accept().unwrap();
            here.set_nonblocking(true).unwrap();
            let mut here = tokio::net::TcpStream::from_std(here).unwrap();
            let (tells, told) = oneshot::channel();
            spawn_local(async move { tells.send(here.read_u8().await.unwrap()) });
            // The reader waits for its socket now. As this is loopback, what is written is there.
            yield_now().await;
            there.write_all(&[7]).unwrap();
            // It passed so long ago that no timer is needed to find that out.
            let passed = Instant::now() - LIMIT;
            spawn_local(async move { by(passed, pin!(told)).await })
                .await
                .unwrap()
        });
        assert_eq!(seen, Some(Ok(7)));
    }

    #[tokio::test]
    async fn time_is_over_for_what_does_not_come() {
        let start = Instant::now();
        assert_eq!(by(start + LIMIT, pin!(pending::<()>())).await, None);
        assert!(start.elapsed() >= LIMIT);
        assert_eq!(within(LIMIT, pin!(pending::<()>())).await, None);
        assert!(start.elapsed() >= LIMIT * 2);
    }

    #[tokio::test]
    async fn a_stall_of_this_thread_is_not_counted() {
        let (tells, told) = oneshot::channel();
        let waits = tokio::spawn(async move { within(LIMIT, pin!(told)).await });
        yield_now().await;
        std::thread::sleep(LIMIT * 2);
        // It sees that time has passed before it is told.
        yield_now().await;
        yield_now().await;
        tells.send(7).unwrap();
        assert_eq!(waits.await.unwrap(), Some(Ok(7)));
    }
}
