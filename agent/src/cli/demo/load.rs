//! Load on one site: calls that arrive whether or not those before them were answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest latency that is told apart, in microseconds.
const LARGEST_US: u64 = 60_000_000;

/// Calls to one site.
pub(super) struct Load {
    /// The function.
    pub(super) url: String,
    /// Calls a second, as a Poisson process.
    pub(super) rate: f64,
    /// When no more calls are sent.
    pub(super) end: Instant,
    pub(super) rng: StdRng,
    pub(super) tally: Tally,
}

/// How the calls to one site ended. Copies count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Mutex<Counts>>);

/// See [`Tally`].
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Calls that were sent.
    pub(super) offered: u64,
    /// Answered with 200.
    pub(super) served: u64,
    /// Of those: by another site.
    pub(super) forwarded: u64,
    /// Answered with 503.
    pub(super) refused: u64,
    /// Anything else.
    pub(super) failed: u64,
    /// Of the served calls, in microseconds from the moment when they were due.
    pub(super) latency: Histogram<u64>,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            offered: 0,
            served: 0,
            forwarded: 0,
            refused: 0,
            failed: 0,
            latency: Histogram::new_with_max(LARGEST_US, 3)
                .expect("a maximum above two and three digits are always accepted"),
        }
    }
}

impl Tally {
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn read(&self) -> Counts {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Load {
    /// Sends calls until the end, and waits for every answer.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut calls = JoinSet::new();
        let mut due = Instant::now();
        loop {
            // The time between two arrivals of a Poisson process is exponential.
            let unit: f64 = self.rng.random();
            due += Duration::from_secs_f64(-(1.0 - unit).ln() / self.rate);
            if due >= self.end {
                break;
            }
            tokio::time::sleep_until(due).await;
            let request = client.get(&self.url);
            calls.spawn(call(request, due, self.tally.clone()));
        }
        while let Some(ended) = calls.join_next().await {
            ended?;
        }
        Ok(())
    }
}

async fn call(request: reqwest::RequestBuilder, due: Instant, tally: Tally) {
    tally.change(|counts| counts.offered += 1);
    let answer = async {
        let response = request.send().await?;
        let status = response.status();
        let forwarded = response.headers().contains_key("dfaas-forwarded-to");
        response.bytes().await?;
        Ok::<_, reqwest::Error>((status, forwarded))
    };
    let answer = answer.await;
    let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(LARGEST_US);
    tally.change(|counts| match answer {
        Ok((StatusCode::OK, forwarded)) => {
            counts.served += 1;
            counts.forwarded += u64::from(forwarded);
            counts.latency.saturating_record(micros);
        }
        Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => counts.refused += 1,
        Ok(_) | Err(_) => counts.failed += 1,
    });
}
