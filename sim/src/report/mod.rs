//! What runs came to.

mod csv;
mod figures;
mod ledger;
mod table;

pub use figures::{FunctionFigures, Interval, NodeFigures, Report, Totals};
pub use ledger::Ledger;
