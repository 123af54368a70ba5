//! What the neighbours offer and tell, function by function, as strategies read it: a plan looks at each pair of a function
//! and a neighbour, and finds nothing by its name.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::offer::Grant;
use crate::policy::Policy;
use crate::trade::{Bid, Price};
use crate::{FunctionName, NodeId};

use super::{Candidate, Neighbour};

/// A row for each function that a neighbour offers or bids for, in the order of their names.
#[derive(Debug, Default)]
pub(crate) struct Board {
    rows: Vec<Row>,
    /// The neighbours, in the order of their ids: a neighbour's place in it is its column.
    nodes: Vec<NodeId>,
}

/// What there is of one function.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) function: FunctionName,
    /// Whether a neighbour offers it, be it one that may not be sent its calls.
    pub(crate) is_offered: bool,
    /// The neighbours that offer it and may be sent its calls, in the order of their ids.
    pub(crate) there: Arc<[Candidate]>,
    /// The column of each of them.
    pub(crate) columns: Box<[u32]>,
    /// For each neighbour, the rate that it grants; zero for none.
    pub(crate) granted: Box<[f64]>,
    /// For each neighbour, its price and the rate that there is for it; a rate of zero for none.
    pub(crate) prices: Box<[Trade]>,
    /// The same of the bids.
    pub(crate) bids: Box<[Trade]>,
}

/// A price and a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Trade {
    pub(crate) price: f64,
    pub(crate) rate: f64,
}

impl From<&Price> for Trade {
    fn from(told: &Price) -> Trade {
        Trade {
            price: told.price.get(),
            rate: told.rate.per_second(),
        }
    }
}

impl From<&Bid> for Trade {
    fn from(told: &Bid) -> Trade {
        Trade {
            price: told.price.get(),
            rate: told.rate.per_second(),
        }
    }
}

/// A row that is being gathered.
struct Gathered<'a> {
    function: &'a FunctionName,
    policy: Option<&'a Policy>,
    is_offered: bool,
    there: Vec<Candidate>,
    columns: Vec<u32>,
}

impl Board {
    /// The board of these neighbours, in the order of their ids, with what this node's functions ask of them.
    pub(super) fn gather<'a>(
        neighbours: impl ExactSizeIterator<Item = &'a Neighbour> + Clone,
        policies: &'a BTreeMap<FunctionName, Policy>,
    ) -> Board {
        let mut rows: Vec<Gathered<'a>> = Vec::new();
        let count = neighbours.len();
        let row = |function: &'a FunctionName| Gathered {
            function,
            policy: policies.get(function),
            is_offered: false,
            there: Vec::with_capacity(count),
            columns: Vec::with_capacity(count),
        };
        for (column, neighbour) in neighbours.clone().enumerate() {
            let mut at = 0;
            for offered in neighbour.functions.iter() {
                at = place(&mut rows, at, &offered.function, row);
                rows[at].is_offered = true;
                if neighbour.may_take(rows[at].policy) {
                    rows[at].columns.push(column as u32);
                    rows[at].there.push(Candidate {
                        node: neighbour.node,
                        remote: Arc::clone(&offered.remote),
                    });
                }
            }
            let mut at = 0;
            for bid in &neighbour.bids {
                at = place(&mut rows, at, &bid.function, row);
            }
        }
        let rows = rows.into_iter().map(|row| Row {
            function: row.function.clone(),
            is_offered: row.is_offered,
            there: row.there.into(),
            columns: row.columns.into(),
            granted: vec![0.0; count].into(),
            prices: vec![Trade::default(); count].into(),
            bids: vec![Trade::default(); count].into(),
        });
        let mut board = Board {
            rows: rows.collect(),
            nodes: neighbours.clone().map(|neighbour| neighbour.node).collect(),
        };
        for neighbour in neighbours {
            board.grants(neighbour.node, &neighbour.grants);
            board.prices(neighbour.node, &neighbour.prices);
            board.bids(neighbour.node, &neighbour.bids);
        }
        board
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// A neighbour grants those rates, and no others. What nobody offers has no row, and needs none; so it is with prices.
    pub(super) fn grants(&mut self, node: NodeId, grants: &[Grant]) {
        let told = grants.iter().map(|g| (&g.function, g.rate.per_second()));
        self.tell(node, told, |row| &mut row.granted);
    }

    pub(super) fn prices(&mut self, node: NodeId, prices: &[Price]) {
        let told = prices.iter().map(|p| (&p.function, Trade::from(p)));
        self.tell(node, told, |row| &mut row.prices);
    }

    /// Returns whether there is a row for each bid.
    pub(super) fn bids(&mut self, node: NodeId, bids: &[Bid]) -> bool {
        let told = bids.iter().map(|b| (&b.function, Trade::from(b)));
        self.tell(node, told, |row| &mut row.bids)
    }

    /// Both are in the order of the names, so one walk is enough.
    fn tell<'a, T: Default>(
        &mut self,
        node: NodeId,
        told: impl Iterator<Item = (&'a FunctionName, T)>,
        cells: impl Fn(&mut Row) -> &mut [T],
    ) -> bool {
        let Ok(column) = self.nodes.binary_search(&node) else {
            return false;
        };
        let mut all = true;
        let mut rows = self.rows.iter_mut().peekable();
        for (function, value) in told {
            while let Some(row) = rows.next_if(|row| row.function < *function) {
                cells(row)[column] = T::default();
            }
            match rows.next_if(|row| row.function == *function) {
                Some(row) => cells(row)[column] = value,
                None => all = false,
            }
        }
        for row in rows {
            cells(row)[column] = T::default();
        }
        all
    }
}

/// The place of a function's row, which is not before `at`; a new row where there is none.
fn place<'a>(
    rows: &mut Vec<Gathered<'a>>,
    mut at: usize,
    function: &'a FunctionName,
    row: impl Fn(&'a FunctionName) -> Gathered<'a>,
) -> usize {
    loop {
        match rows.get(at).map(|row| row.function.cmp(function)) {
            Some(Ordering::Less) => at += 1,
            Some(Ordering::Equal) => return at,
            Some(Ordering::Greater) | None => break,
        }
    }
    rows.insert(at, row(function));
    at
}
