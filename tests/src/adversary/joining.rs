use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Intruder, Mutation, PATIENCE};

/// Asks to be let in as a new stranger each time, with so many mutated requests. Returns to how many of them the agent listened, and
/// to how many it gave an answer: it has only so much time for strangers.
///
/// # Panics
/// If a connection is not ended.
pub async fn ask_to_join(peer: &str, mutation: &mut Mutation, count: usize) -> (usize, usize) {
    let (mut heard, mut answered) = (0, 0);
    for _ in 0..count {
        let stranger = Intruder::stranger();
        let asked = async {
            let mut stream = stranger.connect(peer, "dfaas-join/1").await.ok()?;
            let mut said = Vec::new();
            let body = mutation.one();
            let frame = [&(body.len() as u16).to_be_bytes()[..], &body].concat();
            let _ = stream.write_all(&frame).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut said).await;
            Some(said.len())
        };
        let said = timeout(PATIENCE, asked).await;
        if let Some(said) = said.expect("a stranger's connection is ended") {
            heard += 1;
            answered += usize::from(said > 0);
        }
    }
    (heard, answered)
}
