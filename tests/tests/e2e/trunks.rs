//! Trunks: many calls between two nodes on one connection.

use std::sync::Arc;
use std::time::Duration;

use dfaas_tests::agent::SOON;
use dfaas_tests::call::{Answer, Call, Framing};
use dfaas_tests::client::RawClient;
use dfaas_tests::scripted::{Gateway, Ledger, pattern};
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use libp2p::identity::Keypair;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const MIB: usize = 1 << 20;
/// More than there are calls in any test.
const SLOTS: i32 = 400;

/// An agent without the function `away`, and others that have it.
struct Sites {
    agents: Vec<Agent>,
    ledger: Ledger,
    _gateways: Vec<Gateway>,
}

impl Sites {
    async fn start(others: &[&str]) -> Sites {
        let ledger = Ledger::default();
        let first = Gateway::start("a", &ledger, &[]).await;
        let mut agents = vec![Site::new().openfaas(&first.url()).start().await];
        let mut gateways = vec![first];
        for name in others {
            let slots = SLOTS.to_string();
            let labels = [("dfaas.concurrency", slots.as_str())];
            let gateway = Gateway::start(name, &ledger, &[("away", &labels)]).await;
            let site = Site::new().openfaas(&gateway.url()).joins(&agents[0]);
            agents.push(site.start().await);
            gateways.push(gateway);
        }
        agents[0].knows("away", others.len()).await;
        Sites {
            agents,
            ledger,
            _gateways: gateways,
        }
    }

    fn call(&self, id: &str) -> Call {
        Call::new(self.agents[0].ingress(), "away", id)
    }
}

/// Connections that stand at a port of this machine.
fn connections_at(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let lines = table.lines().skip(1);
    lines
        .filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[1].ends_with(&local) && words[3] == ESTABLISHED
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_cross_on_few_connections_and_each_gets_its_own_answer() {
    const CALLS: usize = 80;
    let _machine = crate::beside_others().await;
    let sites = Sites::start(&["b"]).await;
    let mut calls = JoinSet::new();
    for index in 0..CALLS {
        let bytes = [10, 5_000, 400_000][index % 3];
        let kind = ["big", "bigchunks"][index % 2];
        let late = sites.call(&format!("late-{index}")).at("b", "delay=1500");
        let call = sites.call(&format!("big-{index}"));
        let call = call.at("b", &format!("{kind}={bytes}"));
        let call = call.body(Framing::Sized(index * 700));
        calls.spawn(async move {
            let (late, answer) = tokio::join!(late.send(), call.send());
            assert!(late.is_served(), "{late:?}");
            let Answer::Whole(_, body) = answer else {
                panic!("{call:?}: {answer:?}")
            };
            assert!(body == pattern(call.id(), bytes), "{call:?}");
        });
    }
    until("all calls are there at once", SOON, || async {
        let fates = sites.ledger.all();
        let late = fates.iter().filter(|(id, _)| id.starts_with("late"));
        (late.filter(|(_, fate)| fate.seen == 1).count() == CALLS).then_some(())
    })
    .await;
    let peer: std::net::SocketAddr = sites.agents[1].peer().parse().unwrap();
    let connections = connections_at(peer.port());
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    // One for each thread of the origin, and one for checks each way.
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(
        (1..=cores + 2).contains(&connections),
        "{connections} connections"
    );
    let fates = sites.ledger.all();
    assert!(fates.values().all(|fate| fate.executed == 1));
}

fn resident(agent: &Agent) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_keeps_no_other_waiting_and_fills_no_memory() {
    const BYTES: usize = 48 * MIB;
    const ROOM: usize = 24 * MIB;
    let _machine = crate::beside_others().await;
    let sites = Sites::start(&["b"]).await;
    assert!(sites.call("first").send().await.is_served());
    let before = [0, 1].map(|index| resident(&sites.agents[index]));
    let mut slow = RawClient::connect(sites.agents[0].ingress()).await;
    slow.send(format!(
        "GET /function/away HTTP/1.1\r\nHost: x\r\nX-Call-Id: slow\r\nConnection: close\r\n\
         X-At-b: big={BYTES}\r\n\r\n"
    ))
    .await;
    until("the slow client's call runs", SOON, || async {
        (sites.ledger.fate("slow").executed == 1).then_some(())
    })
    .await;
    for index in 0..200 {
        let call = sites.call(&format!("fast-{index}"));
        let answer = call.patience(Duration::from_secs(10)).send().await;
        assert!(answer.is_served(), "{answer:?}");
    }
    for (agent, before) in sites.agents.iter().zip(before) {
        let after = resident(agent);
        assert!(after < before + ROOM, "{after} bytes, {before} before");
    }
    let answer = slow.read_to_end().await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.as_bytes() == pattern("slow", BYTES), "{}", body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_that_breaks_fails_the_calls_on_it_once_and_no_other() {
    const CALLS: usize = 48;
    let _machine = crate::beside_others().await;
    let mut sites = Sites::start(&["b", "c"]).await;
    let mut calls = JoinSet::new();
    for index in 0..CALLS {
        let call = sites.call(&format!("call-{index}"));
        let call = call.at("b", "delay=5000").at("c", "delay=5000");
        calls.spawn(async move {
            let answer = call.send().await;
            (call, answer)
        });
    }
    until("all calls run", SOON, || async {
        let fates = sites.ledger.all();
        let run = fates.values().filter(|fate| fate.executed == 1).count();
        (run == CALLS).then_some(())
    })
    .await;
    let on_it = sites.agents[1].status().await;
    let free = on_it.functions[0].free.unwrap();
    drop(sites.agents.remove(1).kill());
    let mut failed = 0;
    while let Some(ended) = calls.join_next().await {
        let (call, answer) = ended.unwrap();
        match answer.status() {
            Some(502) => failed += 1,
            _ => assert!(answer.is_served(), "{call:?}: {answer:?}"),
        }
        let fate = sites.ledger.fate(call.id());
        assert_eq!((fate.seen, fate.executed), (1, 1), "{call:?}");
    }
    assert_eq!(failed, SLOTS - free);
    // The next goes to the other neighbour.
    until("a call is served", SOON, || async {
        sites.call("next").send().await.is_served().then_some(())
    })
    .await;
}

/// A trunk to an agent from a node that nobody knows.
async fn trunk(agent: &Agent) -> TlsStream<TcpStream> {
    let stranger = Keypair::generate_ed25519();
    let mut config = libp2p_tls::make_client_config(&stranger, None).unwrap();
    config.alpn_protocols = vec![b"dfaas-trunk/1".to_vec()];
    let address = agent.peer();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.unwrap()
}

fn frame(kind: u8, call: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
    bytes[0] = kind;
    bytes.extend(call.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const CALL: u8 = 1;
const REFUSED: u8 = 0x84;

/// Sends a call and returns why it is refused.
async fn refusal(trunk: &mut TlsStream<TcpStream>, call: u32, request: &str) -> String {
    // The first byte is the priority.
    let request = frame(CALL, call, format!("\x05{request}").as_bytes());
    trunk.write_all(&request).await.unwrap();
    let mut header = [0; 8];
    trunk.read_exact(&mut header).await.unwrap();
    assert_eq!(
        (header[0], &header[4..]),
        (REFUSED, &call.to_be_bytes()[..])
    );
    let mut payload = vec![0; usize::from(header[3])];
    trunk.read_exact(&mut payload).await.unwrap();
    String::from_utf8(payload.split_off(8)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_has_nothing_run_on_a_trunk() {
    let _machine = crate::beside_others().await;
    let agent = Site::new().sleeps("work", 1, 4).start().await;
    let mut trunk = trunk(&agent).await;
    let call = "GET /function/work HTTP/1.1\r\nHost: x\r\n\r\n";
    for (number, (request, why)) in [
        (call, "not-a-neighbour"),
        ("GET /function/other HTTP/1.1\r\nHost: x\r\n\r\n", "not-here"),
        ("GET /system/functions HTTP/1.1\r\nHost: x\r\n\r\n", "not-plain"),
        // More than one request, or less.
        (
            "GET /function/work HTTP/1.1\r\nHost: x\r\n\r\nGET /system/functions HTTP/1.1\r\n\r\n",
            "not-plain",
        ),
        (
            "POST /function/work HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfour",
            "not-plain",
        ),
        (
            "POST /function/work HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "not-plain",
        ),
        ("GET /function/../system HTTP/1.1\r\nHost: x\r\n\r\n", "not-plain"),
        ("", "not-plain"),
    ]
    .into_iter()
    .enumerate()
    {
        let said = refusal(&mut trunk, number as u32 + 1, request).await;
        assert_eq!(said, why, "{request}");
    }
    assert_eq!(agent.executions("work").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_ends_the_trunk_and_nothing_else() {
    let _machine = crate::beside_others().await;
    let agent = Site::new().sleeps("work", 1, 4).start().await;
    let mut rng = StdRng::seed_from_u64(3);
    let before = resident(&agent);
    let mut open = Vec::new();
    for round in 0..60 {
        let mut noise = vec![0; rng.random_range(9..4_000)];
        rng.fill_bytes(&mut noise);
        let bytes = match round % 6 {
            // Too long, of no kind, for the other direction, or a number again.
            0 => vec![CALL, 0xff, 0xff, 0xff, 0, 0, 0, 1],
            1 => frame(0x7f, 1, b""),
            2 => frame(2, 1, &[0; 8]),
            3 => [frame(CALL, 2, b""), frame(CALL, 2, b"")].concat(),
            4 => [vec![0xff], noise].concat(),
            // A frame of which only the beginning comes is waited for.
            _ => {
                let mut trunk = trunk(&agent).await;
                let part = frame(CALL, 1, &[b'x'; 90_000]);
                trunk.write_all(&part[..40_000]).await.unwrap();
                open.push(trunk);
                continue;
            }
        };
        let mut trunk = trunk(&agent).await;
        // It may be closed before all is written.
        let _ = trunk.write_all(&bytes).await;
        let mut rest = Vec::new();
        let end = tokio::time::timeout(SOON, trunk.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "round {round}: the trunk still stands");
    }
    assert_eq!(agent.executions("work").await, 0);
    let after = resident(&agent);
    assert!(after < before + 32 * MIB, "{after} bytes, {before} before");
    let response = reqwest::get(agent.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(agent.executions("work").await, 1);
}
