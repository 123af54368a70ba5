//! The control plane of a node: what it tells its neighbours and hears of them, how it looks after them, and its plans.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dfaas_protocol::neighbours::Heard;
use dfaas_protocol::offer::{FunctionOffer, Offer, PeerEndpoint, ServiceTime};
use dfaas_protocol::strategy::{Observation, Plan, Told};
use dfaas_protocol::wire::{self, Message, WireError};
use dfaas_protocol::{FunctionName, HealthState, Time};

use crate::scenario::Experiment;

use super::{Node, id_of, index_of};

/// Nobody connects to it, but an offer names an address.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 31601;
/// How much of a new mean service time enters the estimate, as in the agent.
const SMOOTHING: f64 = 0.3;

impl Node {
    /// The neighbours that are not healthy.
    pub(crate) fn unwell(&self) -> Vec<usize> {
        self.neighbours
            .iter()
            .filter(|neighbour| neighbour.health.state() != HealthState::Healthy)
            .map(|neighbour| index_of(&neighbour.node))
            .collect()
    }

    /// A neighbour was checked.
    pub(crate) fn checked(&self, node: usize, passed: bool, now: Time) {
        if let Some(neighbour) = self.neighbours.get(id_of(node)) {
            if passed {
                neighbour.health.check_passed(now);
            } else {
                neighbour.health.check_failed(now);
            }
        }
    }

    /// What this node offers now.
    pub(crate) fn offer(&mut self, now: Time) -> Result<Vec<u8>, WireError> {
        self.sequence += 1;
        let locals = self.functions.iter().flatten();
        let mut functions: Vec<FunctionOffer> = locals
            .zip(&self.seen)
            .filter(|(local, _)| local.is_offered)
            .map(|(_, seen)| {
                let mut headroom = seen.gate.headroom(now);
                if self.lies {
                    headroom.free = headroom.size as i32;
                }
                FunctionOffer {
                    function: seen.function.clone(),
                    capacity: seen.gate.offered(),
                    headroom,
                    queue: seen.gate.queue(),
                    service: seen.service.map(ServiceTime::from_duration),
                }
            })
            .collect();
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        wire::encode(&Message::Offer(Offer {
            boot: u64::from(self.boot),
            sequence: self.sequence,
            peer_endpoint: PeerEndpoint {
                host: None,
                port: PORT,
            },
            period: self.period,
            labels: self.labels.clone(),
            cordoned: self.cordoned,
            functions,
        }))
    }

    /// Measures the period that ended, plans, and returns what to tell, by the neighbour's index.
    pub(crate) fn tick(
        &mut self,
        experiment: &Experiment,
        now: Time,
    ) -> Result<Vec<(usize, Vec<u8>)>, WireError> {
        let peers = experiment.links.neighbours(self.index as usize);
        let seconds = now.since(self.measured).as_secs_f64().max(1e-3);
        self.measured = now;
        let locals = self.functions.iter_mut().flatten();
        for (local, seen) in locals.zip(&mut self.seen) {
            seen.from_clients = local.from_clients.read(local.brought, now);
            let counters = local.for_peers.iter().zip(&mut local.peer_meters);
            seen.for_peers = peers
                .iter()
                .zip(counters)
                .map(|(peer, (count, meter))| (*peer, meter.read(*count, now)))
                .filter(|(_, rate)| *rate > 0.0)
                .map(|(peer, rate)| (id_of(peer as usize), rate))
                .collect();
            let (sum, count) = std::mem::take(&mut local.services);
            seen.run = f64::from(count) / seconds;
            if count > 0 {
                let mean = (sum / count).as_secs_f64();
                let known = seen.service.map_or(mean, |known| known.as_secs_f64());
                let smoothed = known + SMOOTHING * (mean - known);
                seen.service = Some(Duration::from_secs_f64(smoothed));
                local.service = seen.service;
            }
        }
        let told = self.plan(experiment, now);
        let messages = told.messages().into_iter();
        messages
            .map(|(peer, message)| Ok((index_of(&peer), wire::encode(&message)?)))
            .collect()
    }

    /// Looks after the neighbours, and returns what to ask some of them, by the neighbour's index.
    pub(crate) fn watch(&mut self, now: Time) -> Result<Vec<(usize, Vec<u8>)>, WireError> {
        let watched = self.neighbours.watch(now, &mut self.rng);
        self.stale |= !watched.expired.is_empty();
        let questions = watched.questions.into_iter();
        questions
            .map(|question| {
                let message = wire::encode(&Message::Question(question.about))?;
                Ok((index_of(&question.ask), message))
            })
            .collect()
    }

    /// A control message arrived. What changes the plan is planned with before the next decision, with what was measured
    /// up to the last tick. Returns what it is answered with.
    pub(crate) fn hear(
        &mut self,
        experiment: &Experiment,
        from: usize,
        message: Message,
        now: Time,
    ) -> Result<Option<Vec<u8>>, WireError> {
        let node = id_of(from);
        let heard = match message {
            Message::Offer(offer) => self.neighbours.hear_offer(node, ADDRESS, offer, now),
            Message::Grants(grants) => self.neighbours.hear_grants(node, grants, now),
            Message::Margin(margin) => self.neighbours.hear_margin(node, margin, now),
            Message::Prices(prices) => self.neighbours.hear_prices(node, prices, now),
            Message::Bids(bids) => self.neighbours.hear_bids(node, bids, now),
            Message::Farewell if self.neighbours.farewell(node, now) => Heard::Changed,
            // The simulator's nodes are all members.
            Message::Farewell | Message::Members(_) | Message::Revocations(_) => Heard::Stale,
            Message::Question(about) => {
                let answer = self.neighbours.is_asked(node, about, now);
                let answer = answer.map(|seen| wire::encode(&Message::Sighting(seen)));
                return answer.transpose();
            }
            Message::Sighting(seen) => {
                self.neighbours.is_told(node, seen, now);
                Heard::Refreshed
            }
        };
        if heard == Heard::Changed {
            self.stale = true;
            if let Some(link) = experiment.links.between(self.index as usize, from) {
                self.neighbours.measure(node, link.delay * 2);
            }
        }
        Ok(None)
    }

    pub(super) fn plan_if_stale(&mut self, experiment: &Experiment, now: Time) {
        if self.stale {
            self.plan(experiment, now);
        }
    }

    pub(super) fn plan(&mut self, experiment: &Experiment, now: Time) -> Told {
        self.stale = false;
        let mut seen = Observation::new(now, &self.neighbours, &self.seen);
        seen.measured = self.measured;
        let plan: Plan = self.strategy.plan(&seen, &mut self.rng);
        let mut routes = plan.routes;
        let mut route_of = |name: &FunctionName| {
            let place = routes.iter().position(|route| route.function == *name)?;
            Some(routes.swap_remove(place))
        };
        for (way, function) in self.routes.iter_mut().zip(&experiment.functions) {
            *way = route_of(&function.name);
        }
        plan.told
    }
}
