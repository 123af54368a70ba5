//! The command line: `dfaas agent` runs an agent, `check` reads a configuration, and the others look into a running agent
//! by its admin address.

mod admin;
mod agent;
mod check;
mod cordon;
mod demo;
mod drain;
mod explain;
mod federation;
mod lab;
mod peers;
mod status;
mod strategy;
mod table;
mod view;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes independent edge sites behave like one: takes function calls, runs them on the local platform while that can
/// serve, and hands the others to the neighbour that will answer soonest.
#[derive(Debug, Parser)]
#[command(
    name = "dfaas",
    version,
    after_help = "Examples:
  dfaas agent --platform-url http://127.0.0.1:8080     an agent beside an OpenFaaS gateway
  dfaas demo                                           what offloading does, on this machine
  dfaas lab run SCENARIO --out DIR                     a scenario of the simulator, with real agents
  dfaas status                                         what it does
  dfaas peers                                          which neighbours it hears
  dfaas federation init --dir DIR                      a federation that lets in whom it invites
  dfaas explain CALL_ID                                why a call went where it went

`dfaas COMMAND --help` tells more."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(Box<agent::Agent>),
    Demo(demo::Demo),
    Lab(lab::Lab),
    Status(status::Show),
    Peers(peers::Show),
    Strategy(strategy::Strategy),
    /// Makes an agent refuse calls of its neighbours until it is uncordoned or starts anew; its own it still takes.
    Cordon(cordon::At),
    /// Makes an agent take calls of its neighbours again.
    Uncordon(cordon::At),
    Drain(drain::Node),
    Federation(Box<federation::Federation>),
    Explain(explain::Explain),
    Check(check::Check),
}

/// Runs the `dfaas` command. Errors go to standard error with what caused them; the exit code is 1 for them and 2 for
/// wrong usage.
pub fn main() -> ExitCode {
    // Fails only if there is a default already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match Cli::parse().command {
        Command::Agent(agent) => agent.run(),
        Command::Demo(demo) => demo.run(),
        Command::Lab(lab) => return finish(lab.run()),
        Command::Status(show) => show.run(),
        Command::Peers(show) => show.run(),
        Command::Strategy(strategy) => strategy.run(),
        Command::Cordon(at) => at.run(true),
        Command::Uncordon(at) => at.run(false),
        Command::Drain(node) => node.run(),
        Command::Federation(federation) => federation.run(),
        Command::Explain(explain) => explain.run(),
        Command::Check(check) => check.run(),
    };
    finish(result.map(|()| ExitCode::SUCCESS))
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dfaas: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with what caused it, each said once: some errors tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints to standard output. A reader that has gone, such as `head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_cause_is_told_once() {
        let cause = anyhow::anyhow!("no such file").context("/a cannot be read");
        assert_eq!(told(&cause), "/a cannot be read: no such file");
        let cause = anyhow::anyhow!("no such file").context("/a: no such file");
        assert_eq!(told(&cause), "/a: no such file");
    }

    #[test]
    fn flags_for_parent_processes_show_in_the_long_help_only() {
        let mut command = Cli::command();
        let agent = command.find_subcommand_mut("agent").unwrap();
        for flag in ["--ready-file", "--stop-with-stdin"] {
            assert!(!agent.render_help().to_string().contains(flag), "{flag}");
            assert!(
                agent.render_long_help().to_string().contains(flag),
                "{flag}"
            );
        }
    }
}
