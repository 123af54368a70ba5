//! A node of made-up numbers, for the tests of what shows a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use dfaas_protocol::membership::{Authority, Revocation, UnixTime};
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{FunctionName, HealthState, NodeId};
use futures::future::BoxFuture;
use tokio::net::TcpListener;

use super::access::Access;
use super::api::serve;
use super::listen::AdminListener;
use super::source::{NotKept, NotRevoked, Source, Stopping};
use super::view::{
    Addresses, CallExplanation, Calls, CandidateExplanation, Count, Decisions, Drain, Federation,
    FunctionStatus, Left, LetsIn, Member, Peer, PeerFunction, Revoked, Status, StepExplanation,
};

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) stopping: AtomicBool,
    strategy: Mutex<StrategyName>,
    cordoned: AtomicBool,
    drain: Mutex<Option<Drain>>,
}

/// Serves a sample at a free port until the test's runtime ends.
pub(crate) async fn serve_sample() -> (SocketAddr, Arc<Sample>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let sample = serve_sample_at(AdminListener::tcp(listener).unwrap(), Access::open());
    (at, sample)
}

/// Serves a sample there, to whoever has access, until the test's runtime ends.
pub(crate) fn serve_sample_at(listener: AdminListener, access: Access) -> Arc<Sample> {
    let sample = Arc::new(Sample::new());
    let source = Arc::clone(&sample) as Arc<dyn Source>;
    tokio::spawn(serve(listener, access, source, std::future::pending()));
    sample
}

impl Sample {
    pub(crate) fn new() -> Sample {
        Sample {
            stopping: AtomicBool::new(false),
            strategy: Mutex::new(StrategyName::Headroom),
            cordoned: AtomicBool::new(false),
            drain: Mutex::new(None),
        }
    }

    pub(crate) fn asked_to_drain(&self) -> Option<Drain> {
        *self.drain.lock().unwrap()
    }

    fn chosen(&self) -> MutexGuard<'_, StrategyName> {
        self.strategy.lock().unwrap()
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl Source for Sample {
    fn status(&self) -> Status {
        let calls = Calls {
            arrived: 1000,
            run_here: 700,
            forwarded: 250,
            refused: 40,
            failed: 10,
            run_for_peers: 33,
            refused_to_peers: 4,
            forwards_refused: 5,
        };
        let function = FunctionStatus {
            name: "resize.openfaas-fn".to_owned(),
            here: true,
            slots: Some(8),
            learned: true,
            rate: None,
            free: Some(-2),
            size: Some(8),
            service_ms: Some(103.25),
            neighbours: 2,
            calls,
        };
        Status {
            node_id: NodeId::from_key([1; 32]),
            version: "0.1.0".to_owned(),
            strategy: self.strategy(),
            uptime_seconds: 3725.5,
            task_restarts: 0,
            draining: self.stops(),
            addresses: Addresses {
                ingress: "0.0.0.0:30080".to_owned(),
                peer: Some("0.0.0.0:31601".to_owned()),
                admin: "127.0.0.1:31602".to_owned(),
                overlay: vec![
                    "/ip4/192.0.2.1/tcp/31600/p2p/X".to_owned(),
                    "/ip4/192.0.2.1/udp/31600/quic-v1/p2p/X".to_owned(),
                ],
                platform: "http://127.0.0.1:8080".to_owned(),
            },
            neighbours: 2,
            platform_up: true,
            platform_health: HealthState::Healthy,
            node_slots: Some(8),
            node_slots_free: Some(3),
            node_slots_waiting: Some(0),
            calls,
            functions: vec![
                function.clone(),
                FunctionStatus {
                    name: "hash.dev".to_owned(),
                    slots: None,
                    rate: Some(12.5),
                    service_ms: None,
                    ..function.clone()
                },
                FunctionStatus {
                    name: "train.dev".to_owned(),
                    here: false,
                    slots: None,
                    free: None,
                    size: None,
                    service_ms: None,
                    neighbours: 1,
                    ..function
                },
            ],
        }
    }

    fn peers(&self) -> Vec<Peer> {
        let offers = |name: &str, free, service_ms| PeerFunction {
            name: name.to_owned(),
            free,
            size: Some(4),
            service_ms,
            standing: 0.75,
        };
        vec![
            Peer {
                node_id: NodeId::from_key([2; 32]),
                address: "192.0.2.2:31601".to_owned(),
                round_trip_ms: Some(3.125),
                heard_ms_ago: 412.0,
                health: HealthState::Healthy,
                functions: vec![
                    offers("resize.openfaas-fn", Some(-1), Some(98.0)),
                    offers("train.dev", None, None),
                ],
            },
            Peer {
                node_id: NodeId::from_key([3; 32]),
                address: "192.0.2.3:31601".to_owned(),
                round_trip_ms: None,
                heard_ms_ago: 2600.0,
                health: HealthState::Ejected,
                functions: vec![],
            },
        ]
    }

    fn strategy(&self) -> StrategyName {
        *self.chosen()
    }

    fn set_strategy(&self, strategy: StrategyName) -> BoxFuture<'_, Result<(), Stopping>> {
        Box::pin(async move {
            if self.stops() {
                return Err(Stopping);
            }
            *self.chosen() = strategy;
            Ok(())
        })
    }

    fn cordoned(&self) -> bool {
        self.cordoned.load(Ordering::Relaxed)
    }

    fn set_cordoned(&self, cordoned: bool) {
        self.cordoned.store(cordoned, Ordering::Relaxed);
    }

    fn drain(&self, drain: Drain) {
        *self.drain.lock().unwrap() = Some(drain);
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn federation(&self) -> Federation {
        let member = |n, region: Option<&str>, rights: &str| Member {
            node_id: NodeId::from_key([n; 32]),
            issued: UnixTime::from_secs(1_795_190_400),
            expires: UnixTime::from_secs(1_797_782_400),
            region: region.map(str::to_owned),
            rights: rights.to_owned(),
        };
        let own = member(1, Some("north"), "call,serve");
        Federation {
            node_id: own.node_id,
            lets_in: LetsIn::Members,
            federation: Some(Authority::from_secret(&[7; 32]).federation()),
            own: Some(own.clone()),
            issues: true,
            members: vec![own, member(2, None, "call")],
            revoked: vec![Revoked {
                node_id: NodeId::from_key([3; 32]),
                at: UnixTime::from_secs(1_795_190_400),
            }],
        }
    }

    fn revoke(&self, revocation: &str) -> Result<(), NotRevoked> {
        let revocation: Revocation = revocation.parse()?;
        let federation = Authority::from_secret(&[7; 32]).federation();
        Ok(revocation.verify(federation)?)
    }

    fn explain_call(&self, id: &str) -> Result<Vec<CallExplanation>, NotKept> {
        if id != "a/b 1" {
            let id = id.to_owned();
            return Err(NotKept::Call { id, most: 4096 });
        }
        let node = |n| NodeId::from_key([n; 32]);
        let left = |free: i32| Left {
            free,
            size: 4,
            share: free as f32 / 4.0,
        };
        let candidate = |n, verdict: &str, left, round_trip_ms| CandidateExplanation {
            node_id: node(n),
            verdict: verdict.to_owned(),
            left,
            round_trip_ms,
        };
        let first = StepExplanation {
            what: "forward".to_owned(),
            node: Some(node(2)),
            reason: "more-headroom-there".to_owned(),
            after_ms: 0.0625,
            waited_ms: None,
            took_ms: 4.2,
            came_to: "refused".to_owned(),
            said: Some("full".to_owned()),
            here: Some(left(-2)),
            candidates: vec![
                candidate(2, "chosen", Some(left(1)), Some(3.125)),
                candidate(3, "open", Some(left(0)), None),
                candidate(4, "region", None, None),
            ],
            candidates_left_out: 2,
        };
        let second = StepExplanation {
            node: Some(node(3)),
            after_ms: 4.3,
            took_ms: 107.7,
            came_to: "answered".to_owned(),
            said: None,
            here: None,
            candidates: vec![],
            candidates_left_out: 0,
            ..first.clone()
        };
        Ok(vec![CallExplanation {
            call_id: id.to_owned(),
            function: "resize.openfaas-fn".to_owned(),
            from: None,
            arrived_ms_ago: 2000.0,
            outcome: "forwarded".to_owned(),
            status: 200,
            reason: "more-headroom-there".to_owned(),
            ran_at: Some(node(3)),
            took_ms: 112.0,
            steps: vec![first, second],
        }])
    }

    fn decisions(&self, function: &FunctionName) -> Result<Decisions, NotKept> {
        if function.as_str() != "resize.openfaas-fn" {
            let function = function.clone();
            return Err(NotKept::Function {
                function,
                most: 4096,
            });
        }
        let count = |of: &str, calls| Count {
            of: of.to_owned(),
            calls,
        };
        Ok(Decisions {
            function: function.to_string(),
            calls: 8,
            oldest_ms_ago: 61_000.0,
            by_reason: vec![count("free-here", 6), count("full", 2)],
            by_outcome: vec![count("run_here", 6)],
            by_target: vec![
                count(&NodeId::from_key([3; 32]).to_string(), 6),
                count("none", 2),
            ],
            by_refusal: vec![],
        })
    }

    fn metrics(&self) -> String {
        "# TYPE dfaas_calls counter\ndfaas_calls_total 1000\n# EOF\n".to_owned()
    }

    fn not_ready(&self) -> Option<String> {
        self.stops().then(|| "draining".to_owned())
    }
}
