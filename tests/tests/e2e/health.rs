//! What becomes of calls when a neighbour or the platform does not answer, and when it does again.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dfaas_protocol::HealthState::{self, Ejected, Healthy};
use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site, load};
use tokio::net::TcpSocket;

/// A gateway with one function `work`, of which the test decides when it is there.
struct FakeGateway {
    at: SocketAddr,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl FakeGateway {
    fn start() -> FakeGateway {
        let mut gateway = FakeGateway {
            at: ([127, 0, 0, 1], 0).into(),
            stop: Arc::default(),
            serving: None,
        };
        gateway.resume();
        gateway
    }

    fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    fn resume(&mut self) {
        let listener = TcpListener::bind(self.at).unwrap();
        self.at = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        self.stop.store(false, SeqCst);
        let stop = Arc::clone(&self.stop);
        self.serving = Some(std::thread::spawn(move || {
            let mut answering = Vec::new();
            loop {
                // Asked before the connections are: those that were made before are all taken.
                let stopping = stop.load(SeqCst);
                match listener.accept() {
                    Ok((stream, _)) => answering.push(std::thread::spawn(|| answer(stream))),
                    Err(_) if stopping => break,
                    Err(_) => std::thread::sleep(Duration::from_micros(200)),
                }
            }
            drop(listener);
            answering.into_iter().for_each(|call| call.join().unwrap());
        }));
    }

    /// Nobody listens there any more; what was taken is still answered.
    fn go_away(&mut self) {
        self.stop.store(true, SeqCst);
        self.serving.take().unwrap().join().unwrap();
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

/// One answer, and the end of the connection: so none is lost that was sent on a connection that just closes.
fn answer(mut stream: TcpStream) {
    stream.set_nonblocking(false).unwrap();
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let body = if head.starts_with("GET /system/functions") {
        r#"[{"name": "work", "replicas": 1, "labels": {"dfaas.concurrency": "64"}}]"#
    } else if head.starts_with("GET /system/namespaces") {
        "[]"
    } else {
        "done"
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

async fn platform_is(agent: &Agent, state: HealthState) {
    until("the platform's health is shown", SOON, || async {
        (agent.status().await.platform_health == state).then_some(())
    })
    .await;
}

async fn neighbour_is(agent: &Agent, neighbour: &Agent, state: HealthState) {
    until("the neighbour's health is shown", SOON, || async {
        let peers = agent.peers().await;
        let mut peers = peers.iter();
        let peer = peers.find(|p| p.node_id == neighbour.node());
        peer.is_some_and(|p| p.health == state).then_some(())
    })
    .await;
}

/// Sends calls one after the other; they must be served. Returns who ran them.
async fn served_by(agent: &Agent, calls: u32) -> HashSet<String> {
    let mut by = HashSet::new();
    for _ in 0..calls {
        let response = reqwest::get(agent.url("/function/work")).await.unwrap();
        let ran = response.headers().get("dfaas-forwarded-to");
        let ran = ran.map_or("here", |id| id.to_str().unwrap());
        by.insert(ran.to_owned());
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{text}\n{}", agent.log());
    }
    by
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_goes_away_under_load_loses_no_call() {
    let _machine = crate::alone().await;
    let mut gateway = FakeGateway::start();
    let first = Site::new().openfaas(&gateway.url()).start().await;
    let second = Site::new()
        .sleeps("work", 1, 200)
        .joins(&first)
        .start()
        .await;
    first.knows("work", 1).await;
    second.knows("work", 1).await;
    assert_eq!(served_by(&first, 5).await, HashSet::from(["here".into()]));

    let time = Duration::from_secs(14);
    let calls = tokio::spawn(load::constant(first.url("/function/work"), 100.0, time));
    tokio::time::sleep(Duration::from_secs(2)).await;
    gateway.go_away();
    platform_is(&first, Ejected).await;
    let there = HashSet::from([second.node().to_string()]);
    assert_eq!(served_by(&first, 20).await, there);
    // Nothing is offered meanwhile.
    second.knows("work", 0).await;
    gateway.resume();
    platform_is(&first, Healthy).await;
    assert_eq!(served_by(&first, 20).await, HashSet::from(["here".into()]));
    second.knows("work", 1).await;

    let tally = calls.await.unwrap();
    println!("{tally:?}");
    assert_eq!(tally.failed, Vec::<String>::new());
    assert_eq!((tally.served, tally.refused), (tally.offered, 0));
    assert!(tally.forwarded > 0 && tally.forwarded < tally.offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_without_its_platform_a_node_says_so() {
    let _machine = crate::beside_others().await;
    let mut gateway = FakeGateway::start();
    let agent = Site::new().openfaas(&gateway.url()).start().await;
    assert_eq!(served_by(&agent, 1).await, HashSet::from(["here".into()]));
    gateway.go_away();
    // From the first call on, whether or not the agent has noticed.
    for _ in 0..20 {
        let response = reqwest::get(agent.url("/function/work")).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        let text = response.text().await.unwrap();
        assert!(
            text.contains("the platform of this node does not answer"),
            "{text}"
        );
    }
    platform_is(&agent, Ejected).await;
    assert!(!agent.status().await.platform_up);
    gateway.resume();
    until("calls are served again", SOON, || async {
        let response = reqwest::get(agent.url("/function/work")).await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
    // On probation it runs all there is, as nobody else would.
    served_by(&agent, 20).await;
    platform_is(&agent, Healthy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_whose_only_platform_restarts_is_not_unknown() {
    let _machine = crate::beside_others().await;
    let mut gateway = FakeGateway::start();
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let second = Site::new().openfaas(&gateway.url()).joins(&first);
    let second = second.start().await;
    first.knows("work", 1).await;
    gateway.go_away();
    platform_is(&second, Ejected).await;
    first.knows("work", 0).await;
    let unavailable = reqwest::get(first.url("/function/work")).await.unwrap();
    assert_eq!(unavailable.status(), 503);
    let unknown = reqwest::get(first.url("/function/worka")).await.unwrap();
    assert_eq!(unknown.status(), 404);
    gateway.resume();
    until("it is served again", SOON, || async {
        let response = reqwest::get(first.url("/function/work")).await.unwrap();
        assert!(matches!(response.status().as_u16(), 200 | 503));
        (response.status() == 200).then_some(())
    })
    .await;
}

/// The first has no `work`; the second and the third have. A neighbour may be silent for 30 s.
async fn three() -> (Agent, Agent, Agent) {
    let impatient = "[timeouts]\nrequest_ms = 1000";
    let site = || Site::new().period_ms(10_000).config(impatient);
    let first = site().sleeps("other", 1, 1).start().await;
    let second = site().sleeps("work", 1, 100).joins(&first).start().await;
    let third = site().sleeps("work", 1, 100).joins(&first).start().await;
    first.knows("work", 2).await;
    (first, second, third)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_stalls_is_ejected_and_let_in_again() {
    let _machine = crate::beside_others().await;
    let (first, second, third) = three().await;
    let both = HashSet::from([second.node().to_string(), third.node().to_string()]);
    until("both serve", SOON, || async {
        (served_by(&first, 20).await == both).then_some(())
    })
    .await;
    second.signal("STOP");
    // Some calls pay with their time, until it is known.
    let paying = tokio::spawn(load::constant(
        first.url("/function/work"),
        20.0,
        Duration::from_secs(3),
    ));
    neighbour_is(&first, &second, Ejected).await;
    let begin = Instant::now();
    let ran = served_by(&first, 100).await;
    assert_eq!(ran, HashSet::from([third.node().to_string()]));
    println!("100 calls beside the ejected one in {:?}", begin.elapsed());
    let tally = paying.await.unwrap();
    println!("{tally:?}");
    assert!(tally.failed.iter().all(|f| f.contains("504")), "{tally:?}");
    second.signal("CONT");
    neighbour_is(&first, &second, Healthy).await;
    until("both serve again", SOON, || async {
        (served_by(&first, 20).await == both).then_some(())
    })
    .await;
}

/// The calls of one function that answers none cost those of the others nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_stalls_ejects_no_neighbour_whose_others_answer() {
    let _machine = crate::beside_others().await;
    let impatient = "[timeouts]\nrequest_ms = 1000";
    let first = Site::new().config(impatient).sleeps("other", 1, 1);
    let first = first.start().await;
    let second = Site::new()
        .sleeps("work", 1, 8)
        .sleeps("stuck", 600_000, 200)
        .joins(&first);
    let second = second.start().await;
    first.knows("work", 1).await;
    second.hears(1).await;
    // Longer than from one check to the next, so that many stall between two.
    let time = Duration::from_secs(6);
    let stuck = load::constant(first.url("/function/stuck"), 30.0, time);
    let stalling = tokio::spawn(stuck);
    while !stalling.is_finished() {
        let peers = first.peers().await;
        let health = peers.iter().find(|p| p.node_id == second.node());
        assert_eq!(health.map(|peer| peer.health), Some(Healthy));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let tally = stalling.await.unwrap();
    println!("{tally:?}");
    let stalled = tally.failed.iter().filter(|f| f.contains("504")).count();
    assert!(stalled > 10, "{tally:?}");
    let there = HashSet::from([second.node().to_string()]);
    assert_eq!(served_by(&first, 20).await, there);
}

/// An address at which nobody is, and which nobody else can take; nothing if somebody has it.
fn reserve(address: SocketAddr) -> Option<TcpSocket> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).is_ok().then_some(socket)
}

/// Passes connections on, from the address that an agent advertises to the one where it listens.
fn relay(from: TcpSocket, to: SocketAddr) {
    let listener = from.listen(64).unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut far) = tokio::net::TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_only_the_overlay_reaches_costs_no_call_once_it_is_ejected() {
    let _machine = crate::beside_others().await;
    // It listens at 127.0.0.1 only, so that nobody is there yet.
    let first = Site::new().sleeps("other", 1, 1).start().await;
    let (second, there, advertised) = loop {
        let second = Site::new().sleeps("work", 1, 100).joins(&first);
        let second = second.advertise("127.0.0.2").period_ms(300).start().await;
        let there: SocketAddr = second.peer().parse().unwrap();
        if let Some(advertised) = reserve(([127, 0, 0, 2], there.port()).into()) {
            break (second, there, advertised);
        }
    };
    let third = Site::new()
        .sleeps("work", 1, 100)
        .joins(&first)
        .start()
        .await;
    first.knows("work", 2).await;
    let only_third = HashSet::from([third.node().to_string()]);
    // A connection that is refused costs a call nothing but a second try.
    until("it is ejected", SOON, || async {
        assert_eq!(served_by(&first, 5).await, only_third);
        let peers = first.peers().await;
        let peer = peers.iter().find(|p| p.node_id == second.node())?;
        (peer.health == Ejected).then_some(())
    })
    .await;
    let paid = first.status().await.calls.forwards_refused;
    // Its offers come in three times a second all the while.
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        assert_eq!(served_by(&first, 10).await, only_third);
        let peers = first.peers().await;
        let peer = peers.iter().find(|p| p.node_id == second.node()).unwrap();
        assert_eq!(peer.health, Ejected);
        assert!(peer.heard_ms_ago < 2500.0, "the overlay lives: {peer:?}");
        assert_eq!(peer.functions[0].free, None);
    }
    assert_eq!(first.status().await.calls.forwards_refused, paid);

    relay(advertised, there);
    neighbour_is(&first, &second, Healthy).await;
    until("it serves", SOON, || async {
        let ran = served_by(&first, 20).await;
        ran.contains(&second.node().to_string()).then_some(())
    })
    .await;
    assert_eq!(first.status().await.calls.forwards_refused, paid);
}
