//! What a plan has the node tell its neighbours, kept small until it is told: only once a period are there messages of it.

use crate::offer::Grant;
use crate::trade::{Bid, Margin, Price};
use crate::wire::Message;
use crate::{CallRate, FunctionName, NodeId};

/// What each neighbour is to be told.
#[derive(Clone, Debug, Default)]
pub enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// The rates that this node accepts from it.
    Grants(Grants),
    /// What it may use here.
    Margins(Vec<(NodeId, Margin)>),
    /// The rates that were sold to it, what is for sale, and what this node bids for what it sells.
    Auction {
        /// What was sold.
        grants: Grants,
        /// What is for sale.
        prices: Vec<Price>,
        /// To whom what is bid, sorted by function.
        bids: Vec<(NodeId, Bid)>,
    },
}

/// Rates for neighbours by function.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    nodes: Vec<NodeId>,
    /// A function, and the rate of each neighbour in calls a second; zero for none.
    rows: Vec<(FunctionName, Vec<f64>)>,
}

impl Grants {
    /// Nothing for any of these neighbours.
    pub(super) fn new(nodes: &[NodeId]) -> Grants {
        Grants {
            nodes: nodes.to_vec(),
            rows: Vec::new(),
        }
    }

    /// These rates for the neighbours, in their order.
    pub(super) fn push(&mut self, function: &FunctionName, rates: Vec<f64>) {
        self.rows.push((function.clone(), rates));
    }

    /// What a neighbour is granted, by function.
    fn each(&self) -> impl Iterator<Item = (NodeId, Vec<Grant>)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        self.nodes.iter().enumerate().map(move |(column, node)| {
            let grants = rows.iter().filter_map(|(function, rates)| {
                let rate = CallRate::new(rates[column])?;
                let function = function.clone();
                Some(Grant { function, rate })
            });
            (*node, grants.collect())
        })
    }
}

impl Told {
    /// The messages, with who is to have them.
    pub fn messages(self) -> Vec<(NodeId, Message)> {
        match self {
            Told::Nothing => Vec::new(),
            Told::Margins(margins) => {
                let margins = margins.into_iter();
                margins.map(|(n, m)| (n, Message::Margin(m))).collect()
            }
            Told::Grants(grants) => grants
                .each()
                .map(|(n, g)| (n, Message::Grants(g)))
                .collect(),
            Told::Auction {
                grants,
                mut prices,
                bids,
            } => {
                prices.sort_by(|a, b| a.function.cmp(&b.function));
                let granted = grants.each().map(|(n, g)| (n, Message::Grants(g)));
                let nodes = grants.nodes.iter();
                let priced = nodes.clone().map(|n| (*n, Message::Prices(prices.clone())));
                let bid = nodes.map(|n| {
                    let own = bids.iter().filter(|(to, _)| to == n);
                    let own: Vec<Bid> = own.map(|(_, bid)| bid.clone()).collect();
                    (*n, Message::Bids(own))
                });
                granted.chain(priced).chain(bid).collect()
            }
        }
    }
}
