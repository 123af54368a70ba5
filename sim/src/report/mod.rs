//! What runs came to.

mod csv;
mod figures;
mod ledger;
mod table;

pub use figures::{Interval, NodeFigures, Report, Totals};
pub use ledger::Ledger;
