//! Who gets in, and who does not.

mod admitted;
mod refused;
mod revoked;

use std::process::{Command, Output};

use dfaas_tests::Agent;
use dfaas_tests::agent::program;

/// Runs `dfaas federation` with these words.
fn dfaas_federation(words: &[&str]) -> Output {
    let output = Command::new(program())
        .arg("federation")
        .args(words)
        .env_clear()
        .output();
    output.expect("the program runs")
}

/// What it prints, if it succeeds.
#[track_caller]
fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it complains of, if it fails.
#[track_caller]
fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Where the overlay of an agent is, `HOST:PORT`.
pub(crate) fn overlay_of(agent: &Agent) -> String {
    let address = &agent.ready.addresses.overlay[0];
    let parts: Vec<&str> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}
