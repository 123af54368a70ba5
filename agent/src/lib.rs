//! The agent: it stands beside a function platform, takes calls, and drives the decisions of `dfaas-protocol`.
//!
//! `node` is the heart: one task that owns the neighbours and the strategy, and publishes routes. `overlay` brings it the
//! neighbours' offers, `platform` the local functions. `ingress` and `peer` are the data path: they read the routes
//! that the node published and never wait for it. `health` tells them what not to send to, and `explain`
//! keeps why each call went where it did. `admin` and `telemetry` show what happens; `config` and `cli` are the
//! way in. `secret` and `tls` read keys and certificates from files.

pub mod admin;
mod backoff;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datapath;
pub mod explain;
pub mod health;
pub mod ingress;
mod lab;
pub mod node;
pub mod overlay;
pub mod peer;
pub mod platform;
pub mod routing;
pub mod secret;
pub mod telemetry;
pub mod tls;
