//! `auction`: neighbours bid for a function's spare calls, and overflow goes where bids were accepted.
//!
//! In each period a node is a seller and a buyer of each function. With M the rate that its capacity sustains, u the rate that
//! its clients bring, both in calls a second:
//!
//! * It tells its price p, 0 at first, and the residual rate M − u.
//! * Buying, it lacks ω = u − M (for a function that it does not have: all that is offered). The utility of seller j is
//!   v_j = β − p_j − w·rtt_j. In falling order of v, as long as v > 0 and ω is not covered, it bids b_j = p_j + ε + (v_j − v_next)
//!   for the residual of j or what is left of ω; the last one's v_next is its own v.
//! * Selling, it accepts bids in falling order of b until its residual is gone, and tells each bidder the rate accepted. Then
//!   p = b_min + η·(U − 0.8), with b_min the least bid accepted and U = (u + accepted)/M; without bids p = (1 − ζ)·p.
//! * A call runs here while the gate lets it start, else it goes to a neighbour drawn in proportion to the rates that were
//!   accepted there; for a function that is not here, to the rates that are offered where none is accepted yet.
//!
//! Source: FaaS-MADeA, the decentralised auction of the FaaS load management project at Politecnico di Milano, its bids,
//! prices and default parameters. Not built: bids for memory, which start replicas at the seller, as replicas are the
//! platform's; the taking over of what another won before, as each period is a new auction; the optimiser that says how much
//! is to be offloaded, in whose place ω stands; its weight for fairness, which is zero by default. One round is one period,
//! where the source iterates until nothing changes within one; so p is kept in 0..β − 2ε, as prices that
//! grow on from round to round would drive all buyers away at once.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;

use crate::neighbours::Neighbour;
use crate::offer::Grant;
use crate::trade::{Amount, Bid, Price};
use crate::wire::Message;
use crate::{CallRate, FunctionName, NodeId, Time};

use super::observation::There;
use super::shares::Overflow;
use super::{AuctionSettings, Observation, Plan, Seen, Strategy, Weights};

/// The service time to reckon with before one has been measured, for a capacity in slots.
const ASSUMED_SERVICE: Duration = Duration::from_millis(100);
/// The utilisation that prices hold a seller at.
const TARGET: f64 = 0.8;

/// The strategy `auction`.
#[derive(Debug)]
pub struct Auction {
    settings: AuctionSettings,
    prices: BTreeMap<FunctionName, f64>,
    /// The last period that prices were changed for.
    priced: Option<Time>,
}

impl Auction {
    /// With those parameters.
    pub fn new(settings: AuctionSettings) -> Auction {
        Auction {
            settings,
            prices: BTreeMap::new(),
            priced: None,
        }
    }

    /// What this node bids for a function of which it lacks `wanted` calls a second, all that there are without a number.
    fn bids(
        &self,
        function: &FunctionName,
        there: &[There<'_>],
        wanted: Option<f64>,
    ) -> Vec<(NodeId, Bid)> {
        if wanted.is_some_and(|wanted| wanted <= 0.0) {
            return Vec::new();
        }
        let AuctionSettings {
            value,
            epsilon,
            latency_weight,
            ..
        } = self.settings;
        let mut sellers: Vec<(f64, NodeId, f64, f64)> = there
            .iter()
            .filter_map(|There { neighbour, .. }| {
                let price = neighbour.prices.get(function)?;
                let away = neighbour.round_trip.unwrap_or_default().as_secs_f64();
                let utility = value - price.price.get() - latency_weight * away;
                let rate = price.rate.per_second();
                (utility > 0.0).then_some((utility, neighbour.node, price.price.get(), rate))
            })
            .collect();
        sellers.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut left = wanted.unwrap_or(f64::INFINITY);
        let mut bids = Vec::new();
        for (place, (utility, node, price, rate)) in sellers.iter().enumerate() {
            let Some(rate) = CallRate::up_to(rate.min(left)) else {
                break;
            };
            left -= rate.per_second();
            let next = sellers.get(place + 1).map_or(*utility, |seller| seller.0);
            let bid = Bid {
                function: function.clone(),
                price: Amount::nearest(price + epsilon + (utility - next)),
                rate,
            };
            bids.push((*node, bid));
        }
        bids
    }

    /// Sells what is left of a function: whom how much, and changes its price once a period.
    fn sell(
        &mut self,
        seen: &Observation<'_>,
        function: &Seen,
        is_new_period: bool,
    ) -> Vec<(NodeId, CallRate)> {
        let sustained = sustained(function);
        let mut left = (sustained - function.from_clients).max(0.0);
        let mut bids: Vec<(f64, NodeId, f64)> = seen
            .neighbours
            .iter()
            .filter_map(|neighbour| {
                let bid = neighbour.bids.get(&function.function)?;
                Some((bid.price.get(), neighbour.node, bid.rate.per_second()))
            })
            .collect();
        bids.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut sold = Vec::new();
        let (mut accepted, mut least) = (0.0, None);
        for (price, node, rate) in &bids {
            let Some(rate) = CallRate::up_to(rate.min(left)) else {
                break;
            };
            left -= rate.per_second();
            accepted += rate.per_second();
            least = Some(*price);
            sold.push((*node, rate));
        }
        if is_new_period {
            let AuctionSettings {
                value,
                epsilon,
                eta,
                zeta,
                ..
            } = self.settings;
            let price = self.prices.entry(function.function.clone()).or_default();
            let utilisation = (function.from_clients + accepted) / sustained.max(f64::MIN_POSITIVE);
            *price = match least.or(bids.first().map(|bid| bid.0)) {
                Some(least) => least + eta * (utilisation - TARGET),
                None => *price * (1.0 - zeta),
            }
            .clamp(0.0, (value - 2.0 * epsilon).max(0.0));
        }
        sold
    }
}

/// Calls a second that the function's capacity sustains.
fn sustained(function: &Seen) -> f64 {
    let service = function.service.unwrap_or(ASSUMED_SERVICE);
    function.gate.capacity().sustained_rate(service)
}

impl Strategy for Auction {
    fn plan(&mut self, seen: &Observation<'_>, _: &mut dyn Rng) -> Plan {
        let is_new_period = self.priced.replace(seen.measured) != Some(seen.measured);
        let nodes = || seen.neighbours.iter().map(|n| n.node);
        let mut grants: BTreeMap<NodeId, Vec<Grant>> = nodes().map(|n| (n, Vec::new())).collect();
        let mut bids: BTreeMap<NodeId, Vec<Bid>> = nodes().map(|n| (n, Vec::new())).collect();
        let mut prices = Vec::new();
        for function in seen.functions {
            for (node, rate) in self.sell(seen, function, is_new_period) {
                let function = function.function.clone();
                grants
                    .entry(node)
                    .or_default()
                    .push(Grant { function, rate });
            }
            let residual = sustained(function) - function.from_clients;
            if let Some(rate) = CallRate::up_to(residual) {
                let price = self.prices.get(&function.function).copied();
                prices.push(Price {
                    function: function.function.clone(),
                    price: Amount::nearest(price.unwrap_or_default()),
                    rate,
                });
            }
        }
        let routes = seen.routes(|function, here, there| {
            let wanted = here.map(|here| here.from_clients - sustained(here));
            for (node, bid) in self.bids(function, there, wanted) {
                bids.entry(node).or_default().push(bid);
            }
            let of = |rate: fn(&Neighbour, &FunctionName) -> Option<CallRate>| {
                let rates = there.iter().map(|there| rate(there.neighbour, function));
                let rates: Vec<f64> = rates.map(|r| r.map_or(0.0, CallRate::per_second)).collect();
                Weights::proportional(&rates)
            };
            let accepted = of(|n, f| n.grants.get(f).copied());
            if here.is_none() && accepted.is_zero() {
                return Box::new(Overflow(of(|n, f| n.prices.get(f).map(|p| p.rate))));
            }
            Box::new(Overflow(accepted))
        });
        for list in grants.values_mut() {
            list.sort_by(|a, b| a.function.cmp(&b.function));
        }
        prices.sort_by(|a, b| a.function.cmp(&b.function));
        let prices = nodes().map(|node| (node, Message::Prices(prices.clone())));
        let mut messages: Vec<(NodeId, Message)> = prices.collect();
        // Routes are in the order of their functions, and so are the bids.
        messages.extend(
            bids.into_iter()
                .map(|(node, bids)| (node, Message::Bids(bids))),
        );
        Plan {
            routes,
            grants,
            messages,
            ..Plan::default()
        }
    }
}
