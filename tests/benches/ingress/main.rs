//! What the ingress gives and costs, beside HAProxy and nginx on the same machine in the same minutes.
//!
//! `cargo bench -p dfaas-tests --bench ingress -- --help` tells what can be chosen; `docs/benchmarks.md` tells how it is measured.

#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

mod account;
mod backend;
mod caller;
mod closed;
mod engine;
mod flat;
mod forward;
mod load;
mod open_loop;
mod proxies;
mod report;
mod swap;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::closed::Case;
use crate::engine::Engine;
use crate::load::Method;
use crate::proxies::{LOAD_CORE, Shape, Target, program};
use crate::report::Figures;

/// Set in the environment once this process has its core.
const PINNED: &str = "DFAAS_BENCH_PINNED";
/// Functions of the gateway that every proxy stands before.
const FUNCTIONS: usize = 10;

/// Methods and connections of the closed loop.
const CASES: [Case; 4] = [
    (Method::Get, 32),
    (Method::Get, 64),
    (Method::Post, 32),
    (Method::Post, 64),
];

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// The most that each target gives, and what a call costs it.
    Closed,
    /// The time that a proxy adds at a fixed rate.
    OpenLoop,
    /// What a forward costs beside a local call.
    Forward,
    /// Ten swaps of the strategy a second.
    Swap,
    /// Instructions and system calls of a call.
    Flat,
}

#[derive(Debug, Parser)]
#[command(name = "ingress", about = "Measures the ingress beside other proxies")]
struct Arguments {
    /// Writes the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each is made; the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Goes before everything else on the machine (round-robin real-time scheduling, by `chrt`): for a machine that is not
    /// quiet. Root may.
    #[arg(long)]
    realtime: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// Prints the tables as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Only targets whose name is one of these.
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// Only these methods and connections, such as GET/32.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("this measures with `cargo bench`; without it there is nothing to do");
        return ExitCode::SUCCESS;
    }
    match start(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ingress: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the core of load and backend, then measures.
fn start(arguments: &Arguments) -> Result<ExitCode> {
    if std::env::var_os(PINNED).is_none() {
        let cores = std::thread::available_parallelism()?.get();
        ensure!(cores > LOAD_CORE, "two cores are needed; there is {cores}");
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &LOAD_CORE.to_string()]);
        if arguments.realtime {
            command.args(["chrt", "--rr", "1"]);
        }
        let status = command
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(PINNED, "1")
            .status()
            .context("there is no command `taskset`; install util-linux")?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(ExitCode::from(code.unwrap_or(1)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(arguments))?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let engine = Engine::start()?;
    let (rounds, time) = (arguments.rounds, Duration::from_secs_f64(arguments.seconds));
    let mut figures = Figures::default();
    let cases: Vec<Case> = CASES
        .into_iter()
        .filter(|(method, connections)| {
            let name = format!("{}/{connections}", method.as_str());
            arguments.cases.is_empty() || arguments.cases.contains(&name)
        })
        .collect();
    if arguments.wants(Section::Closed) || arguments.wants(Section::OpenLoop) {
        let targets = targets(arguments, engine.gateway(FUNCTIONS).await?).await?;
        if arguments.wants(Section::Closed) {
            let series = closed::run(&engine, &targets, &cases, rounds, time).await?;
            figures.rows = report::rows(&series);
            figures.cores = figures.rows.iter().map(|row| row.cores.clone()).collect();
        }
        if arguments.wants(Section::OpenLoop) {
            figures.open_loop = open_loop::run(&engine, &targets, rounds, time).await?;
        }
    }
    if arguments.wants(Section::Forward) {
        figures.forward = forward::run(&engine, &cases, rounds, time).await?;
    }
    if arguments.wants(Section::Swap) {
        figures.swap = Some(swap::run(&engine, FUNCTIONS, rounds, time).await?);
    }
    if arguments.wants(Section::Flat) {
        figures.flat = Some(flat::run(&engine).await?);
    }
    print!("{}", figures.tables(arguments.markdown));
    match &arguments.json {
        Some(path) => figures.write(path),
        None => Ok(()),
    }
}

/// Starts what is compared, as far as it is installed and wanted.
async fn targets(arguments: &Arguments, backend: SocketAddr) -> Result<Vec<Target>> {
    let wanted = |name: &str| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|target| target == name)
    };
    let mut targets = Vec::new();
    if wanted("direct") {
        targets.push(Target::direct(backend));
    }
    if wanted("dfaas") {
        targets.push(Target::dfaas(backend).await?);
    }
    for shape in [Shape::KeepAlive, Shape::ServerClose, Shape::Reference] {
        if program("haproxy").is_none() {
            eprintln!("skipped: {} (apt-get install haproxy)", shape.name());
        } else if wanted(shape.name()) {
            targets.push(Target::haproxy(shape, backend)?);
        }
    }
    if program("nginx").is_none() {
        eprintln!("skipped: nginx (apt-get install nginx)");
    } else if wanted("nginx") {
        targets.push(Target::nginx(backend)?);
    }
    Ok(targets)
}
