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
        /// What is for sale, sorted by function.
        prices: Vec<Price>,
        /// To whom what is bid, sorted by function.
        bids: Vec<(NodeId, Bid)>,
    },
}

/// Rates for neighbours by function.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    nodes: Vec<NodeId>,
    /// In the order of their names.
    functions: Vec<FunctionName>,
    /// A row for each of them: the rate of each neighbour in calls a second; zero for none.
    rates: Vec<f64>,
}

impl Grants {
    /// Nothing for any of these neighbours, with room for so many functions.
    pub(super) fn new(nodes: &[NodeId], functions: usize) -> Grants {
        Grants {
            nodes: nodes.to_vec(),
            functions: Vec::with_capacity(functions),
            rates: Vec::with_capacity(functions * nodes.len()),
        }
    }

    /// The rates of the next function, of one after the other in the order of their names: zero for each neighbour, in their order.
    pub(super) fn row(&mut self, function: &FunctionName) -> &mut [f64] {
        self.functions.push(function.clone());
        let so_far = self.rates.len();
        self.rates.resize(so_far + self.nodes.len(), 0.0);
        &mut self.rates[so_far..]
    }

    /// What a neighbour is granted, by function.
    fn each(&self) -> impl Iterator<Item = (NodeId, Vec<Grant>)> {
        let count = self.nodes.len();
        self.nodes.iter().enumerate().map(move |(column, node)| {
            let rates = self.rates.chunks_exact(count).map(|rates| rates[column]);
            let grants = self.functions.iter().zip(rates);
            let grants = grants.filter_map(|(function, rate)| {
                let function = function.clone();
                let rate = CallRate::new(rate)?;
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
                prices,
                bids,
            } => {
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
