//! The peer channel: calls that nodes forward to one another, HTTP/1.1 over mutual TLS.
//!
//! A forwarded call is answered, or refused at once with `DFaaS-Refused` and nothing executed; it is never forwarded
//! again. Neighbours check each other on the channel too, at `/healthz`. Every answer carries `DFaaS-Headroom`: the feedback that keeps the sender's picture fresh.

mod check;
mod forward;
mod line;
mod serve;
mod trunk;

pub use check::{Checked, check_neighbours};
pub use forward::forward;
pub use serve::serve_connection;
