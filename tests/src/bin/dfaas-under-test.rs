//! The `dfaas` command, built with the tests, so that they never run an older one.

#![forbid(unsafe_code)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    dfaas_agent::cli::main()
}
