//! Open-loop load: calls are sent at their time whether or not those before them were answered.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How calls ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent.
    pub offered: u64,
    /// Answered with 200.
    pub served: u64,
    /// Of those: by another node.
    pub forwarded: u64,
    /// Answered with 503.
    pub refused: u64,
    /// Anything else, each in words.
    pub failed: Vec<String>,
}

impl Tally {
    /// The share of the offered calls that were served.
    pub fn share(&self) -> f64 {
        self.served as f64 / self.offered.max(1) as f64
    }
}

/// Sends calls to `url` at a constant `rate` per second for `time`, and waits for every answer.
///
/// # Panics
/// If the client itself cannot be made.
pub async fn constant(url: String, rate: f64, time: Duration) -> Tally {
    timed(url, rate, time).await.0
}

/// As [`constant`]; also says how long each call that was served took, from the moment at which it was due.
///
/// # Panics
/// If the client itself cannot be made.
pub async fn timed(url: String, rate: f64, time: Duration) -> (Tally, Vec<Duration>) {
    let end = Instant::now() + time;
    spread(|| (Instant::now() < end).then(|| url.clone()), rate).await
}

/// Sends calls at a constant `rate` per second, each to the URL that `next` gives when it is due, until it gives none; then
/// waits for every answer.
///
/// # Panics
/// If the client itself cannot be made.
pub async fn spread(mut next: impl FnMut() -> Option<String>, rate: f64) -> (Tally, Vec<Duration>) {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .expect("a client");
    let start = Instant::now();
    let mut calls = JoinSet::new();
    let mut tally = Tally::default();
    let mut times = Vec::new();
    loop {
        let due = start + Duration::from_secs_f64(tally.offered as f64 / rate);
        tokio::time::sleep_until(due).await;
        let Some(url) = next() else {
            break;
        };
        tally.offered += 1;
        let request = client.get(url);
        calls.spawn(async move {
            let response = request.send().await?;
            let forwarded = response.headers().contains_key("dfaas-forwarded-to");
            let status = response.status();
            response.bytes().await?;
            Ok::<_, reqwest::Error>((status, forwarded, due.elapsed()))
        });
    }
    while let Some(ended) = calls.join_next().await {
        match ended.expect("the call did not panic") {
            Ok((status, forwarded, time)) if status == 200 => {
                times.push(time);
                tally.served += 1;
                tally.forwarded += u64::from(forwarded);
            }
            Ok((status, ..)) if status == 503 => tally.refused += 1,
            Ok((status, ..)) => tally.failed.push(status.to_string()),
            Err(error) => tally.failed.push(format!("{error:?}")),
        }
    }
    (tally, times)
}
