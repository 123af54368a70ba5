//! The neighbours: what each last offered and when that expires, and which peers to have as neighbours.

mod board;
mod candidate;
mod choice;
mod remote;
mod table;

pub(crate) use board::{Row, Trade};
pub use candidate::Candidate;
pub use choice::{ChoiceLimits, Known, choose};
pub use remote::{Remote, unit_time};
pub use table::{Heard, Neighbour, Neighbours, Offered};
