//! The peer channel: calls that nodes forward to one another over mutual TLS. Plain calls come on trunks, many on one
//! connection; all others by HTTP/1.1, one at a time.
//!
//! A forwarded call is answered, or refused at once and marked so, with nothing executed (`DFaaS-Refused`, or the frame of that
//! name); it is never forwarded again. Neighbours check each other on the channel too, at `/healthz`. Every answer carries the
//! function's headroom (`DFaaS-Headroom`, or in its first frame): the feedback that keeps the sender's picture fresh.

mod admit;
mod check;
mod forward;
mod line;
mod serve;
mod trunk;

pub use check::{Checked, check_neighbours};
pub use forward::forward;
pub use serve::serve_connection;
