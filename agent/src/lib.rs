//! The agent: it stands beside a function platform, takes calls, and drives the decisions of `dfaas-protocol`.
//!
//! `node` is the heart: one task that owns the neighbours and the strategy, and publishes routes. `overlay` brings it the
//! neighbours' offers, `platform` the local functions. `ingress` and `peer` are the data path: they read the routes
//! that the node published and never wait for it. `health` tells them what not to send to, and `explain`
//! keeps why each call went where it did. `membership` knows who is let in, `peer_tls` asks it in each handshake, and
//! `joining` is how a node becomes a member. `admin` and `telemetry` show what happens; `config` and `cli` are the
//! way in. `secret` and `tls` read keys and certificates from files.

#![forbid(unsafe_code)]

pub mod admin;
mod backoff;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datapath;
mod deadline;
pub mod explain;
pub mod health;
pub mod identity;
pub mod ingress;
pub mod joining;
pub mod key_file;
mod lab;
pub mod membership;
pub mod node;
pub mod overlay;
pub mod peer;
pub mod peer_tls;
pub mod platform;
mod private_files;
pub mod routing;
pub mod secret;
pub mod telemetry;
pub mod tls;
