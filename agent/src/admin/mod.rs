//! The admin address: what operators and the command line see and set.

pub mod access;
pub mod api;
pub mod listen;
mod patient;
#[cfg(test)]
pub(crate) mod sample;
pub mod source;
pub mod view;
