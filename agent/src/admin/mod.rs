//! The admin address: what operators and the command line see and set.

pub mod api;
#[cfg(test)]
pub(crate) mod sample;
pub mod view;
