//! The tasks of the control plane: one that panics is started anew, so that a fault in one costs neither the others nor the
//! calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A task that ran this long did not fail at its start.
const SETTLED: Duration = Duration::from_secs(60);

/// Keeps tasks running, and counts how often it had to start one anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    restarts: Arc<AtomicU64>,
}

impl Tasks {
    /// Runs what `start` makes until it ends by itself. After a panic it is made anew, after a pause that grows.
    pub(super) fn keep<F>(&self, name: &'static str, start: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let restarts = Arc::clone(&self.restarts);
        tokio::spawn(async move {
            let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
            loop {
                let started = Instant::now();
                let Err(error) = tokio::spawn(start()).await else {
                    return;
                };
                if started.elapsed() >= SETTLED {
                    backoff.reset();
                }
                let pause = backoff.pause();
                tracing::error!(task = name, %error, ?pause, "a task failed and is started anew");
                tokio::time::sleep(pause).await;
                restarts.fetch_add(1, Relaxed);
            }
        });
    }

    /// How often a task was started anew.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_anew_until_it_ends_by_itself() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (tasks, begun) = (Tasks::default(), Arc::new(AtomicU64::new(0)));
        tasks.keep("work", move || {
            let (sender, begun) = (sender.clone(), Arc::clone(&begun));
            async move {
                let times = begun.fetch_add(1, Relaxed) + 1;
                sender.send(times).unwrap();
                assert!(times == 4, "it fails three times");
            }
        });
        let mut starts = Vec::new();
        // The channel closes when the task is given up with what starts it.
        while let Some(times) = receiver.recv().await {
            starts.push(times);
        }
        assert_eq!(starts, [1, 2, 3, 4]);
        assert_eq!(tasks.restarts(), 3);
    }
}
