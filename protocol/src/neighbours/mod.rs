//! The neighbours: what each last offered and when that expires, whether it lives, how far its word is taken, and which peers
//! to have as neighbours.

mod board;
mod boots;
mod candidate;
mod choice;
mod counts;
mod neighbour;
mod places;
mod remote;
mod suspicion;
mod table;
mod trust;
mod watch;

pub(crate) use board::{Row, Trade};
pub use candidate::Candidate;
pub use choice::{ChoiceLimits, Known, choose};
pub use counts::OfferCounts;
pub use neighbour::{Neighbour, Offered};
pub use remote::{Promise, Remote, unit_time};
pub use table::{Heard, Neighbours, Policies};
pub use trust::{Breach, Trust};
pub use watch::{Question, Watched};
