//! `dfaas-sim`: drives the decisions of dfaas in virtual time.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

/// It asks for large pages, which a run of many nodes lives by: its state fits into no cache.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line, and no backtrace: what went wrong is said for the one who typed the command.
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
