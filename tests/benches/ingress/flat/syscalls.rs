//! System calls of a call, counted by the kernel's tracepoint, or by strace where that is not to be had.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use dfaas_tests::Site;

use crate::closed::PATH;
use crate::engine::Engine;
use crate::load::{Load, Method, Pace};
use crate::proxies::{pin, program};

/// Connections of the load.
const CONNECTIONS: usize = 32;
/// Calls of the two runs that are counted; what is not for a call falls out of the difference.
const CALLS: [u64; 2] = [5_000, 25_000];
/// How long a counter takes to attach itself.
const ATTACH: Duration = Duration::from_millis(500);

/// A program that counts.
#[derive(Clone, Copy, Debug)]
enum Counter {
    Perf,
    Strace,
}

impl Counter {
    fn start(self, pid: u32) -> Result<Child> {
        let mut command = match self {
            Counter::Perf => {
                let mut command = Command::new("perf");
                command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p"]);
                command
            }
            Counter::Strace => {
                let mut command = Command::new("strace");
                command.args(["-c", "-f", "-p"]);
                command
            }
        };
        command
            .arg(pid.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name()))
    }

    /// The number in what it says at its end; nothing if it could not count.
    fn number(self, said: &str) -> Option<u64> {
        match self {
            // 458599,,raw_syscalls:sys_enter,…
            Counter::Perf => said
                .lines()
                .find(|line| line.contains("sys_enter"))
                .and_then(|line| line.split(',').next()),
            // 100.00    2.429647          70     34404           total
            Counter::Strace => said
                .lines()
                .find(|line| line.ends_with(" total"))
                .and_then(|line| line.split_ascii_whitespace().nth(3)),
        }
        .and_then(|number| number.parse().ok())
    }

    fn name(self) -> &'static str {
        match self {
            Counter::Perf => "perf",
            Counter::Strace => "strace",
        }
    }
}

/// System calls of an agent for one call, and who counted them; nothing if nobody can.
pub(super) async fn count(engine: &Engine) -> Result<Option<(f64, &'static str)>> {
    let gateway = engine.gateway(1).await?;
    let agent = Site::new()
        .openfaas(&format!("http://{gateway}"))
        .start()
        .await;
    pin(agent.pid())?;
    let load = |calls| -> Result<Load> {
        Ok(Load {
            target: agent.ingress().parse()?,
            path: PATH.into(),
            method: Method::Get,
            connections: CONNECTIONS,
            warm_up: Duration::ZERO,
            pace: Pace::Count(calls),
            watched: Vec::new(),
        })
    };
    engine.run(load(CALLS[0])?).await?;
    for counter in [Counter::Perf, Counter::Strace] {
        if program(counter.name()).is_none() {
            continue;
        }
        let mut counts = Vec::new();
        for calls in CALLS {
            let child = counter.start(agent.pid())?;
            tokio::time::sleep(ATTACH).await;
            let measured = engine.run(load(calls)?).await?;
            let _ = Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status();
            let said = child.wait_with_output()?.stderr;
            if let Some(number) = counter.number(&String::from_utf8_lossy(&said)) {
                counts.push((number as f64, measured.all as f64));
            }
        }
        if let [few, many] = counts.as_slice() {
            let per_call = (many.0 - few.0) / (many.1 - few.1);
            return Ok(Some((per_call, counter.name())));
        }
    }
    Ok(None)
}
