//! A body larger than anybody would keep.

use std::time::Duration;

use dfaas_tests::{Agent, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;
/// The body that goes there and back.
const BODY: usize = 256 * MIB;
/// How much more an agent may take for it than before.
const ROOM: usize = 32 * MIB;

/// Memory that a process has in use, and the most that it ever had.
fn memory(agent: &Agent) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    };
    (value("VmRSS:"), value("VmHWM:"))
}

/// Sends a body to be echoed and checks each byte that comes back.
async fn echo(agent: &Agent, size: usize) -> String {
    let stream = TcpStream::connect(agent.ingress()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let byte = |at: usize| (at / 7 % 251) as u8;
    let sent = tokio::spawn(async move {
        let head = format!(
            "POST /function/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
        );
        write.write_all(head.as_bytes()).await.unwrap();
        let mut at = 0;
        while at < size {
            let piece: Vec<u8> = (at..size.min(at + 65_536)).map(byte).collect();
            write.write_all(&piece).await.unwrap();
            at += piece.len();
        }
        write
    });
    let mut seen = Vec::new();
    let end = loop {
        if let Some(at) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(read.read_buf(&mut seen).await.unwrap() > 0);
    };
    let head = String::from_utf8(seen.drain(..end).collect()).unwrap();
    let length = format!("content-length: {size}\r\n");
    assert!(head.to_lowercase().contains(&length), "{head}");
    let mut back = 0;
    while back < size {
        if seen.is_empty() {
            seen.reserve(1 << 18);
            assert!(
                read.read_buf(&mut seen).await.unwrap() > 0,
                "{back} bytes came back"
            );
        }
        assert!(seen.iter().enumerate().all(|(n, b)| *b == byte(back + n)));
        back += seen.len();
        seen.clear();
    }
    drop(sent.await.unwrap());
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_a_body_that_crosses() {
    let _machine = crate::alone().await;
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let second = Site::new()
        .function("echo", "\"echo\"", 4, "")
        .joins(&first)
        .start()
        .await;
    first.knows("echo", 1).await;
    // What the first call needs is not the body's.
    echo(&first, 4 * MIB).await;
    let before = [&first, &second].map(|agent| memory(agent).0);
    let began = std::time::Instant::now();
    let head = echo(&first, BODY).await;
    let took = began.elapsed();
    assert!(
        head.to_lowercase().contains("dfaas-forwarded-to: "),
        "{head}"
    );
    for (agent, before) in [&first, &second].into_iter().zip(before) {
        let (after, most) = memory(agent);
        println!(
            "{} MiB there and back in {took:?}: {:.1} MiB before, {:.1} after, {:.1} at most",
            BODY / MIB,
            before as f64 / MIB as f64,
            after as f64 / MIB as f64,
            most as f64 / MIB as f64
        );
        assert!(most < before + ROOM, "{most} bytes, {before} before");
    }
    tokio::time::timeout(Duration::from_secs(60), echo(&first, MIB))
        .await
        .expect("the node goes on");
}
