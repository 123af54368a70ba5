//! Those who mean harm: strangers, members that send what no agent would, and connections on which nothing comes.
//!
//! Each says how much of what it sent the agent has read, so that a test can tell an attack that was repelled from one that never
//! arrived.

mod calls;
mod gossip;
mod honest;
mod intruder;
mod joining;
mod mutation;
mod raw;
mod seeds;
mod silent;

pub use calls::{Answered, send_calls, send_requests};
pub use gossip::{Gossip, send_messages};
pub use honest::{Honest, Service, call_to};
pub use intruder::{CALL, Intruder, line};
pub use joining::ask_to_join;
pub use mutation::Mutation;
pub use raw::{Said, client_hello, send_raw};
pub use seeds::{frames, hellos, messages, requests};
pub use silent::{Held, Silence, hold};

use std::time::Duration;

/// How long an agent may take to answer or to close, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of memory that a process has resident.
///
/// # Panics
/// If there is no such process, or no `/proc`.
pub fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib = kib.and_then(|kib| kib.parse::<usize>().ok());
    kib.expect("the kernel says how much it is") * 1024
}

/// File descriptors that a process has open.
///
/// # Panics
/// If there is no such process, or no `/proc`.
pub fn descriptors(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    open.count()
}
