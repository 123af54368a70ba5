//! Instructions of a call, counted by callgrind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dfaas_tests::Site;
use futures::future::join_all;

use crate::closed::PATH;
use crate::engine::Engine;
use crate::load::{Load, Method, Pace};

/// Connections of the load.
const CONNECTIONS: usize = 8;
/// Calls before any is counted.
const BEFORE: u64 = 500;
/// Calls of the two runs that are counted. What is not for a call, such as making the connections, is the same in both
/// and falls out of the difference.
const CALLS: [u64; 2] = [1000, 4000];
/// Names that only the thread of calls has among its functions.
const OF_CALLS: &str = "dfaas_agent::ingress::";

/// Instructions of the thread of calls in user space for one call.
pub(super) async fn count(
    engine: &Engine,
    valgrind: &Path,
    functions: usize,
    neighbours: usize,
) -> Result<f64> {
    let gateway = engine.gateway(functions).await?;
    // Functions are read once in a while only: under callgrind a long list takes long.
    let platform =
        format!("[platform]\nkind = \"openfaas\"\nurl = \"http://{gateway}\"\npoll_ms = 20000\n");
    let directory = tempfile::tempdir()?;
    let out = directory.path().join("out");
    let agent = Site::new()
        .replace_platform(&platform)
        .under(&[
            &valgrind.to_string_lossy(),
            "--tool=callgrind",
            "--instr-atstart=no",
            "--separate-threads=yes",
            &format!("--callgrind-out-file={}", out.display()),
        ])
        .start()
        .await;
    let others = (0..neighbours).map(|_| {
        let site = Site::new().replace_platform(&platform);
        site.joins(&agent).start()
    });
    let _others = join_all(others).await;
    if let Some(last) = functions.checked_sub(1) {
        agent.knows(&format!("f{last}"), neighbours).await;
    }
    control(agent.pid(), &["--instr=on"])?;
    let load = Load {
        target: agent.ingress().parse()?,
        path: PATH.into(),
        method: Method::Get,
        connections: CONNECTIONS,
        warm_up: Duration::ZERO,
        pace: Pace::Count(BEFORE),
        watched: Vec::new(),
    };
    engine.run(load.clone()).await?;
    control(agent.pid(), &["--dump"])?;
    let mut counts = Vec::new();
    for (calls, dump) in CALLS.into_iter().zip(2..) {
        let pace = Pace::Count(calls);
        let measured = engine
            .run(Load {
                pace,
                ..load.clone()
            })
            .await?;
        control(agent.pid(), &["--dump"])?;
        counts.push((of_calls(directory.path(), dump)?, measured.all));
    }
    let (instructions, calls) = (counts[1].0 - counts[0].0, counts[1].1 - counts[0].1);
    Ok(instructions as f64 / calls as f64)
}

/// Orders something of the callgrind that runs a process.
fn control(pid: u32, order: &[&str]) -> Result<()> {
    let done = Command::new("callgrind_control")
        .args(order)
        .arg(pid.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("callgrind_control cannot be started")?;
    ensure!(done.success(), "callgrind_control {order:?} failed");
    Ok(())
}

/// The instructions that a dump has for the thread of calls. Each thread has a file, `out.DUMP-THREAD`.
fn of_calls(directory: &Path, dump: u32) -> Result<i64> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&format!("out.{dump}-")) {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        if text.contains(OF_CALLS) {
            let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
            return Ok(totals
                .context("callgrind wrote no totals")?
                .trim()
                .parse()?);
        }
    }
    anyhow::bail!("callgrind's dump {dump} has no thread of calls");
}
