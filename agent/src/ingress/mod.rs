//! The ingress: where clients' calls come in.

mod call;
mod chunked;
mod connection;
mod entry;
mod front;
mod guard;
mod head;
mod http2;
mod in_flight;
mod limits;
mod plain;
mod pump;
mod refusal;
mod serve;
mod turned_away;
mod watch;

pub use front::Front;
pub use serve::serve_connection;
