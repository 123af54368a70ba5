//! What operators see of a node and may set.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Capacity, FunctionName};
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::admin::source::{NotKept, NotRevoked, Source, Stopping};
use crate::admin::view::{
    Addresses, CallExplanation, Calls, Decisions, Drain, Federation, FunctionStatus, LetsIn,
    Member, Peer, PeerFunction, Revoked, Status,
};
use crate::explain::Explanations;
use crate::membership::Membership;
use crate::telemetry::latency::FunctionLatency;
use crate::telemetry::members::MemberCounters;
use crate::telemetry::metrics::{self, Scraped};

use super::control::Control;
use super::events::Events;
use super::tasks::Tasks;

/// The node as the admin address shows it.
pub(super) struct Observer {
    pub(super) events: Events,
    pub(super) addresses: Addresses,
    /// Where it says that the node is to drain.
    pub(super) stop: watch::Sender<Option<Drain>>,
    pub(super) tasks: Tasks,
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Observer {
    fn function(control: &Control, name: &FunctionName) -> FunctionStatus {
        let now = control.shared.clock.now();
        let local = control.functions.get(name);
        let gate = local.map(|local| &local.function.gate);
        let headroom = gate.map(|gate| gate.headroom(now));
        let limiter = local.and_then(|local| local.limiter.as_ref());
        let learned = limiter.map(|limiter| limiter.learned());
        let (slots, rate) = match gate.map(|gate| gate.capacity()) {
            Some(Capacity::Slots(slots)) => (Some(learned.unwrap_or(slots).get()), None),
            Some(Capacity::Rate(rate)) => (None, Some(rate.per_second())),
            None => (None, None),
        };
        FunctionStatus {
            name: name.to_string(),
            here: local.is_some(),
            slots,
            learned: learned.is_some(),
            rate,
            free: headroom.map(|h| h.free),
            size: headroom.map(|h| h.size),
            service_ms: local.and_then(|l| l.measured.service()).map(milliseconds),
            neighbours: control.neighbours.offering(name).count(),
            calls: control
                .counters
                .get(name)
                .map_or_else(Calls::default, |counters| counters.read()),
        }
    }
}

impl Observer {
    fn explanations(&self) -> Result<Arc<Explanations>, NotKept> {
        let kept = self.events.control().shared.explanations.clone();
        kept.ok_or(NotKept::Off)
    }

    fn latencies(&self) -> Vec<FunctionLatency> {
        let control = self.events.control();
        let counters = control.counters.iter();
        counters
            .map(|(name, counters)| FunctionLatency {
                function: name.to_string(),
                // Before those that arrived, so that these are never fewer.
                series: counters.latencies(),
                arrived: counters.read().arrived,
            })
            .collect()
    }
}

impl Source for Observer {
    fn status(&self) -> Status {
        let control = self.events.control();
        let offered = control.neighbours.iter().flat_map(|n| n.functions.iter());
        let known: BTreeSet<&FunctionName> = control
            .functions
            .keys()
            .chain(control.counters.keys())
            .chain(offered.map(|offered| &offered.function))
            .collect();
        let functions: Vec<FunctionStatus> = known
            .into_iter()
            .map(|name| Observer::function(&control, name))
            .collect();
        let node_slots = control.node_slots.as_deref();
        let uptime = control.shared.clock.now().since(dfaas_protocol::Time::ZERO);
        Status {
            node_id: control.shared.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            strategy: control.strategy_name,
            uptime_seconds: uptime.as_secs_f64(),
            draining: control.shared.is_draining(),
            task_restarts: self.tasks.restarts(),
            addresses: self.addresses.clone(),
            neighbours: control.neighbours.len(),
            platform_up: control.platform_up(),
            platform_health: control.shared.platform.health().state(),
            node_slots: node_slots.map(|node| node.slots().get()),
            node_slots_free: node_slots.map(|node| node.free()),
            node_slots_waiting: node_slots.map(|node| node.waiting()),
            calls: functions.iter().map(|f| f.calls).sum(),
            functions,
        }
    }

    fn peers(&self) -> Vec<Peer> {
        let control = self.events.control();
        let now = control.shared.clock.now();
        control
            .neighbours
            .iter()
            .map(|neighbour| Peer {
                node_id: neighbour.node,
                address: neighbour.peer_address().to_string(),
                round_trip_ms: neighbour.round_trip.map(milliseconds),
                heard_ms_ago: milliseconds(now.since(neighbour.heard)),
                health: neighbour.health.state(),
                functions: neighbour
                    .functions
                    .iter()
                    .map(|offered| {
                        let headroom = offered.remote.last_resort();
                        PeerFunction {
                            name: offered.function.to_string(),
                            free: headroom.map(|h| h.free),
                            size: headroom.map(|h| h.size),
                            service_ms: offered.service.map(|s| milliseconds(s.as_duration())),
                            standing: offered.remote.trust().standing(),
                        }
                    })
                    .collect(),
            })
            .collect()
    }

    fn federation(&self) -> Federation {
        let control = self.events.control();
        let membership = control.shared.tls.membership();
        let (members, revoked) = membership
            .federation()
            .map(|f| f.known())
            .unwrap_or_default();
        Federation {
            node_id: control.shared.node,
            lets_in: match membership {
                Membership::Alone => LetsIn::Nobody,
                Membership::Open => LetsIn::Everybody,
                Membership::Closed(_) => LetsIn::Members,
            },
            federation: membership.federation().map(|f| f.id()),
            own: membership
                .federation()
                .and_then(|f| f.own())
                .map(|own| Member::from(own.as_ref())),
            issues: control.shared.issuing.is_some(),
            members: members.iter().map(Member::from).collect(),
            revoked: revoked.iter().map(Revoked::from).collect(),
        }
    }

    fn revoke(&self, revocation: &str) -> Result<(), NotRevoked> {
        let membership = self.events.control().shared.tls.membership().clone();
        let federation = membership.federation().ok_or(NotRevoked::NoFederation)?;
        Ok(federation.revoke(&revocation.parse()?)?)
    }

    fn explain_call(&self, id: &str) -> Result<Vec<CallExplanation>, NotKept> {
        let kept = self.explanations()?;
        let calls = kept.calls(id);
        if calls.is_empty() {
            let (id, most) = (id.to_owned(), kept.most());
            return Err(NotKept::Call { id, most });
        }
        Ok(calls)
    }

    fn decisions(&self, function: &FunctionName) -> Result<Decisions, NotKept> {
        let kept = self.explanations()?;
        kept.decisions(function).ok_or_else(|| NotKept::Function {
            function: function.clone(),
            most: kept.most(),
        })
    }

    fn strategy(&self) -> StrategyName {
        self.events.control().strategy_name
    }

    fn set_strategy(&self, name: StrategyName) -> BoxFuture<'_, Result<(), Stopping>> {
        self.events.switch(name);
        Box::pin(std::future::ready(Ok(())))
    }

    fn cordoned(&self) -> bool {
        self.events.control().cordoned
    }

    fn set_cordoned(&self, cordoned: bool) {
        self.events.cordon(cordoned);
    }

    fn drain(&self, drain: Drain) {
        // Whoever asked sees at once that it drains.
        let shared = Arc::clone(&self.events.control().shared);
        shared.draining.store(true, Relaxed);
        self.stop.send_replace(Some(drain));
    }

    fn metrics(&self) -> String {
        let (shared, machine, offers) = {
            let control = self.events.control();
            (
                std::sync::Arc::clone(&control.shared),
                control.machine_state,
                control.neighbours.counts(),
            )
        };
        let members = MemberCounters {
            offers,
            calls_limited: shared.allowances.refused(),
        };
        let access = shared.access.as_ref();
        metrics::encode(&Scraped {
            status: &self.status(),
            peers: &self.peers(),
            latencies: &self.latencies(),
            turned_away: &shared.turned_away,
            access: access.map(|log| log.counters()),
            overlay: &self.events.overlay().counters(),
            members,
            machine,
        })
    }

    fn not_ready(&self) -> Option<String> {
        let control = self.events.control();
        control
            .shared
            .is_draining()
            .then(|| "this node drains".to_owned())
    }
}
