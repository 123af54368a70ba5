//! How nodes find, know and hear each other.

mod identity;

pub use identity::{Identity, IdentityError, node_id_of, peer_id_of};
