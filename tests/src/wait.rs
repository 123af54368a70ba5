//! Waiting for a condition, with a generous deadline.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `look` returns something.
///
/// # Panics
/// If it does not within the limit.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < end,
            "within {limit:?} it did not come true that {what}"
        );
        tokio::time::sleep(LOOK).await;
    }
}
