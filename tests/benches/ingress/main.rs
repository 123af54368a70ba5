//! What the ingress gives and costs, beside HAProxy and nginx on the same machine in the same minutes.
//!
//! `cargo bench -p dfaas-tests --bench ingress -- --help` tells what can be chosen; `docs/benchmarks.md` tells how it is measured.

#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

mod account;
mod backend;
mod caller;
mod closed;
mod engine;
mod load;
mod proxies;
mod report;
mod wire;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::closed::Case;
use crate::engine::Engine;
use crate::load::Method;
use crate::proxies::{LOAD_CORE, Shape, Target};

/// Set in the environment once this process has its core.
const PINNED: &str = "DFAAS_BENCH_PINNED";
/// Functions of the gateway that every proxy stands before.
const FUNCTIONS: usize = 10;

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
        let status = Command::new("taskset")
            .args(["--cpu-list", &LOAD_CORE.to_string()])
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
    let backend = engine.gateway(FUNCTIONS).await?;
    let chosen = |name: &str| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|target| target == name)
    };
    let mut targets = Vec::new();
    if chosen("direct") {
        targets.push(Target::direct(backend));
    }
    if chosen("dfaas") {
        targets.push(Target::dfaas(backend).await?);
    }
    for shape in [Shape::KeepAlive, Shape::ServerClose, Shape::Reference] {
        if !proxies::installed("haproxy") {
            eprintln!("skipped: {} (apt-get install haproxy)", shape.name());
        } else if chosen(shape.name()) {
            targets.push(Target::haproxy(shape, backend)?);
        }
    }
    if !proxies::installed("nginx") {
        eprintln!("skipped: nginx (apt-get install nginx)");
    } else if chosen("nginx") {
        targets.push(Target::nginx(backend)?);
    }
    let all: [Case; 4] = [
        (Method::Get, 32),
        (Method::Get, 64),
        (Method::Post, 32),
        (Method::Post, 64),
    ];
    let cases: Vec<Case> = all
        .into_iter()
        .filter(|(method, connections)| {
            let name = format!("{}/{connections}", method.as_str());
            arguments.cases.is_empty() || arguments.cases.contains(&name)
        })
        .collect();
    let time = Duration::from_secs_f64(arguments.seconds);
    let series = closed::run(&engine, &targets, &cases, arguments.rounds, time).await?;
    let rows = report::rows(&series);
    println!("{}", report::table(&rows));
    if let Some(path) = &arguments.json {
        report::write(path, &serde_json::json!({ "rows": rows }))?;
    }
    Ok(())
}
