//! Many connections at one time: what idle ones cost, and what those cost others that send their heads a byte at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use dfaas_tests::agent::{Agent, SOON};
use dfaas_tests::message::Messages;
use dfaas_tests::wait::until;
use dfaas_tests::{Site, load};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Descriptors that a process needs beside those of the crowd.
const SPARE: usize = 2_000;
/// Connections from one address of loopback, far fewer than an address has ports.
const FROM_ONE_ADDRESS: usize = 2_500;

/// How many connections of so many this machine allows a process, after it was allowed as many as possible.
fn allowed(wanted: usize) -> usize {
    let own = format!("--pid={}", std::process::id());
    let limits = || std::fs::read_to_string("/proc/self/limits").unwrap();
    let limit = |column: usize| {
        let limits = limits();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let value = line.unwrap().split_whitespace().nth(3 + column);
        value.unwrap().parse::<usize>().unwrap_or(usize::MAX)
    };
    // Agents that are started from now on inherit it.
    let raise = format!("--nofile={}:", limit(1));
    if let Err(error) = Command::new("prlimit").args([own, raise]).status() {
        println!("the limit of open files stays as it is: {error}");
    }
    let allowed = wanted.min(limit(0).saturating_sub(SPARE));
    if allowed < wanted {
        println!("only {allowed} connections of {wanted}: a process may have no more open files");
    }
    assert!(
        allowed >= 100,
        "with so few connections nothing is measured"
    );
    allowed
}

async fn connect(number: usize, to: SocketAddr) -> TcpStream {
    let host = u8::try_from(2 + number / FROM_ONE_ADDRESS).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind((Ipv4Addr::new(127, 0, 0, host), 0).into())
        .unwrap();
    let stream = socket.connect(to).await.unwrap();
    // Ten thousand ports in TIME_WAIT would be in the way of the tests after this one.
    stream.set_zero_linger().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Resident memory, in bytes.
fn resident(agent: &Agent) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

/// Calls that go through the agent in different ways.
const PLAIN: &str = "GET /function/echo HTTP/1.1\r\nHost: x\r\n\r\n";
const CHUNKED: &str = "POST /function/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\nhi\r\n0\r\n\r\n";

/// One call on a connection that stays open.
async fn call(messages: &mut Messages<TcpStream>, request: &str) {
    let request = request.as_bytes();
    messages.stream().write_all(request).await.unwrap();
    let head = messages.head().await.unwrap().expect("an answer");
    assert_eq!(head.status().unwrap(), 200);
    messages.answer_body(&head).await.unwrap();
}

async fn idle_connections_are_cheap(request: &str) {
    const EACH: usize = 10_000; // bytes: 100 MB for 10,000
    let _machine = crate::alone().await;
    let count = allowed(10_000);
    let agent = Site::new()
        .function("echo", "\"echo\"", 64, "")
        .config("[timeouts]\nidle_ms = 600000\n")
        .start()
        .await;
    let ingress: SocketAddr = agent.ingress().parse().unwrap();
    // What the first calls need is not the connections'.
    let mut first = Messages::new(connect(0, ingress).await);
    for _ in 0..200 {
        call(&mut first, request).await;
    }
    let before = resident(&agent);
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let mut messages = Messages::new(connect(number, ingress).await);
        call(&mut messages, request).await;
        idle.push(messages);
    }
    let cost = resident(&agent).saturating_sub(before);
    println!(
        "{count} idle connections cost {:.1} MB, {} bytes each",
        cost as f64 / 1e6,
        cost / count
    );
    assert!(cost < count * EACH, "{cost} bytes for {count} connections");
    // They are still served, from the first to the last.
    for messages in idle.iter_mut().step_by(97) {
        call(messages, request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_cost_under_a_hundred_megabytes() {
    idle_connections_are_cheap(PLAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_cost_no_more_when_their_last_call_was_in_chunks() {
    idle_connections_are_cheap(CHUNKED).await;
}

/// Sends the head of a request a byte at a time, for ever; and again on a new connection when it was cut off.
async fn drip(number: usize, to: SocketAddr) {
    const PAUSE: Duration = Duration::from_millis(500);
    let head = b"GET /function/echo HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter();
    // They do not all send in the same moment.
    tokio::time::sleep(PAUSE * (number as u32 % 100) / 100).await;
    loop {
        let mut stream = connect(number, to).await;
        for byte in head.clone().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The time within which 99 of 100 calls at a constant rate were answered; every call must be served.
async fn p99(agent: &Agent) -> Duration {
    let url = agent.url("/function/echo");
    let (tally, mut times) = load::timed(url, 200.0, Duration::from_secs(4)).await;
    assert_eq!(tally.served, tally.offered, "{tally:?}");
    times.sort();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_do_not_slow_down_honest_calls() {
    const ROUNDS: usize = 3;
    const AT_MOST: f64 = 4.0;
    let _machine = crate::alone().await;
    let count = allowed(2_000);
    let labels = "\"dfaas.concurrency\" = \"1000\"";
    let agent = Site::new()
        .function("echo", "\"echo\"", 1000, labels)
        .start()
        .await;
    let ingress: SocketAddr = agent.ingress().parse().unwrap();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let quiet = p99(&agent).await;
        let mut crowd = JoinSet::new();
        for number in 0..count {
            crowd.spawn(drip(number, ingress));
        }
        until("the crowd is connected", SOON, || async {
            (connections(&agent) >= count).then_some(())
        })
        .await;
        let crowded = p99(&agent).await;
        crowd.shutdown().await;
        until("the crowd is gone", SOON, || async {
            (connections(&agent) < count / 2).then_some(())
        })
        .await;
        let ratio = crowded.as_secs_f64() / quiet.as_secs_f64();
        println!("p99 {quiet:?}, with {count} slow heads {crowded:?}: {ratio:.2} times");
        ratios.push(ratio);
    }
    // Other work on the machine can only make a round worse.
    let best = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best <= AT_MOST, "{ratios:?}");
}

/// The sockets and files that an agent has open.
fn connections(agent: &Agent) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", agent.pid()));
    open.map_or(0, Iterator::count)
}
