//! The ingress: where clients' calls come in.

mod call;
mod path;
mod serve;

pub use path::function_in;
pub use serve::serve_connection;
