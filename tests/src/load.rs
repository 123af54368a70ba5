//! Load. Open-loop, calls are sent at their time whether or not those before them were answered; closed-loop, when they were.

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
    tally(recorded(url, &[(rate, time)]).await)
}

/// Sends calls at a constant `rate` per second, each to the URL that `next` gives when it is due, until it gives none, and
/// waits for every answer.
///
/// # Panics
/// If the client itself cannot be made.
pub async fn spread(next: impl FnMut() -> Option<String>, rate: f64) -> Tally {
    let start = Instant::now();
    let due = (0..).map(|n| start + Duration::from_secs_f64(f64::from(n) / rate));
    tally(send(due, next).await).0
}

/// Sends calls to `url` for `time`, so many at once, each when the one before it was answered. So no more are under way, however
/// slow the machine is.
///
/// # Panics
/// If the client itself cannot be made.
pub async fn closed(url: String, at_once: usize, time: Duration) -> Tally {
    let client = client();
    let end = Instant::now() + time;
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let (client, url) = (client.clone(), url.clone());
        callers.spawn(async move {
            let mut seen = Vec::new();
            while Instant::now() < end {
                seen.push(call(client.get(&url), Instant::now()).await);
            }
            seen
        });
    }
    tally(callers.join_all().await.concat()).0
}

fn tally(calls: Vec<Seen>) -> (Tally, Vec<Duration>) {
    let mut tally = Tally::default();
    let mut times = Vec::new();
    for call in calls {
        tally.offered += 1;
        match call.status {
            Ok(200) => {
                times.push(call.ended - call.due);
                tally.served += 1;
                tally.forwarded += u64::from(call.forwarded);
            }
            Ok(503) => tally.refused += 1,
            Ok(status) => tally.failed.push(status.to_string()),
            Err(error) => tally.failed.push(error),
        }
    }
    (tally, times)
}

/// A call as its client saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it should have been sent.
    pub due: Instant,
    /// When it was.
    pub sent: Instant,
    /// When its answer had come.
    pub ended: Instant,
    /// The status of the answer, or why there was none.
    pub status: Result<u16, String>,
    /// Whether another node answered.
    pub forwarded: bool,
}

/// Sends calls to `url` at constant rates per second, one after the other, each for its time, and waits for every answer.
/// The calls are in the order in which they were sent.
///
/// # Panics
/// If the client itself cannot be made.
pub async fn recorded(url: String, phases: &[(f64, Duration)]) -> Vec<Seen> {
    let mut start = Instant::now();
    let mut due = Vec::new();
    for (rate, time) in phases {
        let end = start + *time;
        let times = (0..).map(|n| start + Duration::from_secs_f64(f64::from(n) / rate));
        due.extend(times.take_while(|at| *at < end));
        start = end;
    }
    send(due.into_iter(), || Some(url.clone())).await
}

async fn send(
    due: impl Iterator<Item = Instant>,
    mut next: impl FnMut() -> Option<String>,
) -> Vec<Seen> {
    let client = client();
    let mut calls = JoinSet::new();
    for due in due {
        tokio::time::sleep_until(due).await;
        let Some(url) = next() else {
            break;
        };
        calls.spawn(call(client.get(url), due));
    }
    let mut seen = calls.join_all().await;
    seen.sort_by_key(|call| call.due);
    seen
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    client.expect("a client")
}

async fn call(request: reqwest::RequestBuilder, due: Instant) -> Seen {
    let sent = Instant::now();
    let answer = async {
        let response = request.send().await?;
        let forwarded = response.headers().contains_key("dfaas-forwarded-to");
        let status = response.status().as_u16();
        response.bytes().await?;
        Ok::<_, reqwest::Error>((status, forwarded))
    };
    let (status, forwarded) = match answer.await {
        Ok((status, forwarded)) => (Ok(status), forwarded),
        Err(error) => (Err(format!("{error:?}")), false),
    };
    Seen {
        due,
        sent,
        ended: Instant::now(),
        status,
        forwarded,
    }
}
