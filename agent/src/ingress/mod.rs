//! The ingress: where clients' calls come in.

mod begun;
mod call;
mod in_flight;
mod path;
mod plain;
mod serve;

pub use path::function_in;
pub use serve::serve_connection;
