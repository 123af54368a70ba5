//! End-to-end tests: real agents in processes of their own, real sockets on free ports of loopback. One binary, since each
//! links libp2p anew.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is a failure, and what it measured is its output"
)]

mod adversary;
mod bad_input;
mod calls;
mod capacity;
mod chaos;
mod corpus;
mod crowds;
mod demo;
mod drain;
mod explain;
mod federation;
mod health;
mod http;
mod http2;
mod lab;
mod large;
mod life;
mod members;
mod membership;
mod overload;
mod policy;
mod priorities;
mod second_tries;
mod strangers;
mod strategies;
mod telemetry;
mod trunks;
mod upgrade;
mod wire;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tests that measure what share of a load is served run alone: on two cores, one beside them would be part of what they
/// measure.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// For a test that runs alone.
async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// For a test that others may run beside.
async fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}
