//! Turns: the tasks of a thread do the same step one after the other.
//!
//! What a call costs is mostly code that is not in the first cache any more, as a send alone runs through more of the kernel than
//! that holds. Where each task reads, thinks and sends in one go, each step finds the cache full of another one. So a task that
//! has done one step lets all others that are ready do theirs first: all read, then all decide, then all
//! send. Calls that go to a neighbour take no turns: a trunk reads and sends for all of them together.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

/// Lets every task of this thread that is ready now go first. It costs a turn of the queue and no system call; where nobody else
/// is ready, the task goes on at once.
pub(crate) async fn others_first() {
    let mut waited = false;
    poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        // To the end of the queue, before the runtime looks at its sockets again; yield_now would go behind that.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Has the task woken when the runtime has looked at all sockets, and after the tasks for which it found something.
pub(crate) fn wake_after_sockets(cx: &mut Context<'_>) {
    // The first poll leaves word with the runtime, which keeps it although the future is dropped.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
