//! The admin address: what operators and the command line see and set.

pub mod view;
