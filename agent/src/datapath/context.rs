//! What a call finds on its thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use dfaas_protocol::delivery::Delivery;
use dfaas_protocol::gate::Gate;
use dfaas_protocol::policy::Terms;
use dfaas_protocol::{Headroom, NodeId, Time};
use hyper::header::HeaderValue;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::clock::Clock;
use crate::config::Timeouts;
use crate::explain::{Begun, Explained, Explanations, Recorder};
use crate::health::PlatformHealth;
use crate::joining::Issuing;
use crate::platform::Gateway;
use crate::routing::Routes;
use crate::telemetry::access::AccessLog;
use crate::telemetry::turned_away::TurnedAwayCounters;

use super::{Allowances, Buffers, Connector, Lines, PeerTls, Pool, Trunks, Unproved, WallClock};

/// What all threads of the data path share. Only the routes change.
#[derive(Debug)]
pub struct Shared {
    /// This node.
    pub node: NodeId,
    /// This node's id as a header's value.
    pub node_header: HeaderValue,
    /// The clock.
    pub clock: Clock,
    /// The routes at work.
    pub routes: ArcSwap<Routes>,
    /// The local platform's gateway.
    pub gateway: Gateway,
    /// The health of the local platform.
    pub platform: Arc<PlatformHealth>,
    /// The log of calls, where there is one.
    pub access: Option<Arc<AccessLog>>,
    /// What clients brought that never became calls.
    pub turned_away: TurnedAwayCounters,
    /// Why the last calls went where they did, if that is kept.
    pub explanations: Option<Arc<Explanations>>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What neighbours may bring.
    pub allowances: Arc<Allowances>,
    /// Connections on the peer channel whose other ends are not known yet.
    pub unproved: Arc<Unproved>,
    /// The identity on the peer channel.
    pub tls: PeerTls,
    /// The office for members, where this node has the authority's key.
    pub issuing: Option<Issuing>,
    /// Set once, when the node stops taking calls.
    pub draining: AtomicBool,
    /// Whether it says that all its capacity is free, for experiments.
    pub lies: AtomicBool,
}

impl Shared {
    /// Whether the node stops taking calls.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// What the node says is left of a function at that time.
    pub fn says(&self, gate: &Gate, now: Time) -> Headroom {
        let mut headroom = gate.headroom(now);
        if self.lies.load(Relaxed) {
            headroom.free = i32::try_from(headroom.size).unwrap_or(i32::MAX);
        }
        headroom
    }

    /// The delivery of a client's call. A node that drains runs it only if nobody else does.
    pub fn delivery(&self, terms: Terms) -> Delivery {
        let mut delivery = Delivery::on(terms);
        if self.is_draining() {
            delivery.spare_here();
        }
        delivery
    }
}

/// One thread of the data path.
#[derive(Debug)]
pub struct Context {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// This thread's connections for calls that are relayed message by message.
    pub pool: Rc<Pool>,
    /// This thread's connections to the platform for plain calls.
    pub lines: Lines,
    /// This thread's connections to neighbours for plain calls.
    pub trunks: Trunks,
    /// This thread's spare buffers.
    pub buffers: Rc<Buffers>,
    /// What this thread's calls come to is written down with it, if that is kept.
    pub recorder: Option<Recorder>,
    /// What time it is outside.
    pub wall: WallClock,
    /// This thread's randomness, for ties and draws; nothing secret.
    pub rng: RefCell<SmallRng>,
}

impl Context {
    /// A context for a new thread.
    pub fn new(shared: Arc<Shared>) -> Rc<Context> {
        let connector = Rc::new(Connector::new(Arc::clone(&shared)));
        let buffers = Rc::new(Buffers::default());
        Rc::new(Context {
            pool: Rc::new(Pool::new(Rc::clone(&connector))),
            lines: Lines::new(Rc::clone(&connector), Rc::clone(&buffers)),
            trunks: Trunks::new(connector),
            buffers,
            recorder: shared.explanations.as_ref().map(|kept| kept.recorder()),
            wall: WallClock::start(),
            rng: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            shared,
        })
    }

    /// A call begins that is to be explained.
    pub fn explain(&self, begun: Begun<'_>) -> Explained<'_> {
        Explained::new(self.recorder.as_ref(), self.shared.clock, begun)
    }
}
