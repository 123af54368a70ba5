//! The command line.

use std::process::ExitCode;

/// Runs the `dfaas` command.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
