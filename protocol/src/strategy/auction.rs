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

use std::time::Duration;

use rand::Rng;

use crate::neighbours::Trade;
use crate::trade::{Amount, Bid, Price};
use crate::{CallRate, FunctionName, Time};

use super::observation::At;
use super::shares::Overflow;
use super::{AuctionSettings, Grants, Observation, Plan, Seen, Strategy, Told, Weights};

/// The service time to reckon with before one has been measured, for a capacity in slots.
const ASSUMED_SERVICE: Duration = Duration::from_millis(100);
/// The utilisation that prices hold a seller at.
const TARGET: f64 = 0.8;

/// The strategy `auction`.
#[derive(Debug)]
pub struct Auction {
    settings: AuctionSettings,
    /// By function, in the order of their names.
    prices: Vec<(FunctionName, f64)>,
    /// The last period that prices were changed for.
    priced: Option<Time>,
}

impl Auction {
    /// With those parameters.
    pub fn new(settings: AuctionSettings) -> Auction {
        Auction {
            settings,
            prices: Vec::new(),
            priced: None,
        }
    }

    /// What this node bids for a function of which it lacks `wanted` calls a second, all that there are without a number; the
    /// neighbours are `away` seconds.
    fn bids(
        &self,
        at: &At<'_>,
        wanted: Option<f64>,
        away: &[f64],
        sellers: &mut Falling,
        mut bid: impl FnMut(usize, Bid),
    ) {
        let Some(row) = at.row.filter(|_| wanted.is_none_or(|wanted| wanted > 0.0)) else {
            return;
        };
        let AuctionSettings {
            value,
            epsilon,
            latency_weight,
            ..
        } = self.settings;
        sellers.clear(away.len());
        for column in at.columns().iter().map(|column| *column as usize) {
            let price = row.prices[column];
            let utility = value - price.price - latency_weight * away[column];
            if price.rate > 0.0 && utility > 0.0 {
                sellers.put(column, utility);
            }
        }
        let mut left = wanted.unwrap_or(f64::INFINITY);
        let mut seller = sellers.pop();
        while let Some((utility, column)) = seller {
            let Trade { price, rate } = row.prices[column];
            let Some(rate) = CallRate::up_to(rate.min(left)) else {
                break;
            };
            left -= rate.per_second();
            seller = sellers.pop();
            let next = seller.map_or(utility, |(utility, _)| utility);
            let function = at.function.clone();
            let price = Amount::nearest(price + epsilon + (utility - next));
            bid(
                column,
                Bid {
                    function,
                    price,
                    rate,
                },
            );
        }
    }

    /// Sells what is left of a function: how much to each neighbour goes into `sold`, by its column. Returns what its price,
    /// `price` until now, is in the next period.
    fn sell(
        &self,
        function: &Seen,
        price: f64,
        bids: &[Trade],
        bidders: &mut Falling,
        sold: &mut [f64],
    ) -> f64 {
        let sustained = sustained(function);
        let mut left = (sustained - function.from_clients).max(0.0);
        bidders.clear(bids.len());
        for (column, bid) in bids.iter().enumerate() {
            if bid.rate > 0.0 {
                bidders.put(column, bid.price);
            }
        }
        let (mut accepted, mut least) = (0.0, bidders.first());
        while left > 0.0
            && let Some((price, column)) = bidders.pop()
        {
            let Some(rate) = CallRate::up_to(bids[column].rate.min(left)) else {
                break;
            };
            left -= rate.per_second();
            accepted += rate.per_second();
            least = Some(price);
            sold[column] = rate.per_second();
        }
        let AuctionSettings {
            value,
            epsilon,
            eta,
            zeta,
            ..
        } = self.settings;
        let utilisation = (function.from_clients + accepted) / sustained.max(f64::MIN_POSITIVE);
        match least {
            Some(least) => least + eta * (utilisation - TARGET),
            None => price * (1.0 - zeta),
        }
        .clamp(0.0, (value - 2.0 * epsilon).max(0.0))
    }
}

/// Values of neighbours, by their columns, none of them negative: the highest first, and of equals the first neighbour's.
#[derive(Debug, Default)]
struct Falling {
    /// Negative where there is none, or none any more.
    values: Vec<f64>,
    popped: usize,
    /// The columns of those that are left, the highest last, once they are sorted.
    sorted: Vec<u32>,
}

impl Falling {
    /// Most auctions end after a few, and to look for the highest so often is quicker than to sort them.
    const UNSORTED: usize = 12;

    /// For so many neighbours.
    fn clear(&mut self, columns: usize) {
        self.values.clear();
        self.values.resize(columns, -1.0);
        self.popped = 0;
    }

    fn put(&mut self, column: usize, value: f64) {
        self.values[column] = value;
    }

    /// The highest, as long as none was popped.
    fn first(&self) -> Option<f64> {
        let mut highest = [-1.0; 4];
        let fours = self.values.chunks_exact(4);
        let rest = fours.remainder();
        let higher = |a: f64, b: f64| if a > b { a } else { b };
        for four in fours {
            for (highest, value) in highest.iter_mut().zip(four) {
                *highest = higher(*value, *highest);
            }
        }
        let highest = highest.iter().chain(rest).copied().fold(-1.0, higher);
        (highest >= 0.0).then_some(highest)
    }

    fn pop(&mut self) -> Option<(f64, usize)> {
        self.popped += 1;
        let column = if self.popped <= Falling::UNSORTED {
            let highest = self.first()?;
            self.values.iter().position(|value| *value == highest)?
        } else {
            if self.popped == Falling::UNSORTED + 1 {
                let values = &self.values;
                self.sorted.clear();
                let columns = 0..values.len() as u32;
                let left = columns.filter(|column| values[*column as usize] >= 0.0);
                self.sorted.extend(left.rev());
                self.sorted
                    .sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
            }
            self.sorted.pop()? as usize
        };
        let value = std::mem::replace(&mut self.values[column], -1.0);
        Some((value, column))
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
        let nodes = seen.neighbours.board().nodes();
        let nobody = vec![Trade::default(); nodes.len()];
        let away = seen.neighbours.iter().map(|n| n.round_trip);
        let away: Vec<f64> = away
            .map(|away| away.unwrap_or_default().as_secs_f64())
            .collect();
        let mut order = Falling::default();
        let mut grants = Grants::new(nodes, seen.functions.len());
        let mut before = std::mem::take(&mut self.prices).into_iter().peekable();
        let mut priced = Vec::with_capacity(seen.functions.len());
        let mut prices = Vec::with_capacity(seen.functions.len());
        let mut bids = Vec::new();
        let mut rates: Vec<f64> = Vec::new();
        let routes = seen.routes(|at| {
            if let Some(function) = at.here {
                // Both are in the order of the names, so one walk is enough.
                while before.next_if(|last| last.0 < *at.function).is_some() {}
                let last = before.next_if(|last| last.0 == *at.function);
                let last = last.map_or(0.0, |(_, price)| price);
                let offered = at.row.map_or(&nobody[..], |row| &row.bids);
                let sold = grants.row(at.function);
                let next = self.sell(function, last, offered, &mut order, sold);
                let price = if is_new_period { next } else { last };
                priced.push((at.function.clone(), price));
                if let Some(rate) = CallRate::up_to(sustained(function) - function.from_clients) {
                    prices.push(Price {
                        function: at.function.clone(),
                        price: Amount::nearest(price),
                        rate,
                    });
                }
            }
            let wanted = at.here.map(|here| here.from_clients - sustained(here));
            self.bids(at, wanted, &away, &mut order, |column, bid| {
                bids.push((nodes[column], bid));
            });
            rates.clear();
            if let Some(row) = at.row {
                at.put(&row.granted, &mut rates);
                if at.here.is_none() && rates.iter().all(|rate| *rate == 0.0) {
                    rates.clear();
                    rates.extend(at.of(&row.prices).map(|price| price.rate));
                }
            }
            Box::new(Overflow(Weights::proportional(&rates)))
        });
        self.prices = priced;
        Plan {
            routes,
            told: Told::Auction {
                grants,
                prices,
                bids,
            },
            ..Plan::default()
        }
    }
}
