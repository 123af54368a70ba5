//! A running node: it wires the parts together, starts them, and stops them in order.

mod advisor;
mod control;
mod events;
mod files;
mod listen;
mod measure;
mod observe;
mod orders;
mod ready;
mod run;
mod stop;
mod tasks;
mod workers;

pub use orders::Order;
pub use ready::Ready;
pub use run::run;
