use std::io;

use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::raw::count_of;
use super::seeds::frame;
use super::{Intruder, Mutation, PATIENCE};

/// Calls on a trunk that wait for their answers at one time.
const ROUND: u32 = 64;
/// The kinds of frames, see `agent/src/datapath/trunk/frame.rs`.
const CALL: u8 = 1;
const ANSWER: u8 = 2;
const REFUSED: u8 = 0x84;
const RESET: u8 = 0x85;
const MORE: u8 = 6;
const LAST: u8 = 0x80;
const HEADER: usize = 8;

/// What became of calls that a member brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered {
    /// Frames or requests that the agent has read.
    pub read: usize,
    /// Of those: refused with nothing executed.
    pub refused: usize,
    /// Of those: answered with 200.
    pub served: usize,
    /// Of those: the last on their connections, of whose answers nothing is known.
    pub last: usize,
}

/// Brings so many frames on trunks: calls of mutated requests, which are waited for, between them what belongs to no call, and now
/// and then a mutated frame, which ends a trunk.
///
/// # Panics
/// If the agent does not answer, or does not let the member in.
pub async fn send_calls(
    member: &Intruder,
    peer: &str,
    (requests, frames): (&mut Mutation, &mut Mutation),
    count: usize,
) -> Answered {
    let mut answered = Answered::default();
    while answered.read < count {
        let stream = member.connect(peer, "dfaas-trunk/1").await;
        let mut stream = stream.expect("a member is let in");
        let mut number = 1000;
        for _ in 0..requests.rng().random_range(1..4) {
            let round = bring_round(&mut stream, requests, &mut number, &mut answered);
            let round = timeout(PATIENCE, round).await;
            round.expect("calls are answered").expect("the trunk lives");
        }
        let end = async {
            let _ = stream.write_all(&frames.one()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        timeout(PATIENCE, end).await.expect("the trunk is ended");
        answered.read += 1;
        answered.last += 1;
    }
    answered
}

async fn bring_round(
    stream: &mut TlsStream<TcpStream>,
    requests: &mut Mutation,
    number: &mut u32,
    answered: &mut Answered,
) -> io::Result<()> {
    let mut out = Vec::new();
    for request in requests.some(ROUND as usize) {
        *number += 1;
        // Any priority, and every eighth with a deadline of a second.
        let priority = requests.rng().random_range(0..8);
        let asked = if number.is_multiple_of(8) {
            vec![0x80 | priority, 0, 0, 3, 0xe8]
        } else {
            vec![priority]
        };
        out.extend(frame(CALL, *number, &[&asked[..], &request].concat()));
        // What is said of calls that are not there is nobody's.
        let nobodys = requests.rng().random_range(1..500);
        match requests.rng().random_range(0..16) {
            0 => out.extend(frame(RESET, nobodys, b"")),
            1 => out.extend(frame(MORE, nobodys, &nobodys.to_be_bytes())),
            _ => continue,
        }
        answered.read += 1;
    }
    stream.write_all(&out).await?;
    stream.flush().await?;
    let mut open = ROUND;
    while open > 0 {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).await?;
        let [kind, a, b, c, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        if kind == REFUSED {
            answered.refused += 1;
        }
        if kind & !LAST == ANSWER && payload[HEADER..].starts_with(b"HTTP/1.1 200") {
            answered.served += 1;
        }
        if kind & LAST != 0 {
            open -= 1;
            answered.read += 1;
        }
    }
    Ok(())
}

/// Brings so many mutated requests by HTTP/1.1, a few behind one another on each connection.
///
/// # Panics
/// If the agent does not let the member in, or does not end the connection.
pub async fn send_requests(
    member: &Intruder,
    peer: &str,
    requests: &mut Mutation,
    count: usize,
) -> Answered {
    let mut answered = Answered::default();
    while answered.read < count {
        let stream = member.connect(peer, "dfaas-peer/1").await;
        let mut stream = stream.expect("a member is let in");
        let batch = requests.rng().random_range(1..7);
        let mut said = Vec::new();
        let exchanged = async {
            let _ = stream.write_all(&requests.some(batch).concat()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut said).await;
        };
        let ended = timeout(PATIENCE, exchanged).await;
        ended.expect("a connection that its client has ended is ended");
        let answers = count_of(&said, b"HTTP/1.1 ");
        // Behind one that is malformed nothing is read.
        answered.read += (answers + 1).min(batch);
        answered.refused += count_of(&said, b"dfaas-refused: ");
        answered.served += count_of(&said, b"HTTP/1.1 200");
        answered.last += 1;
    }
    answered
}
