//! Instructions of a call, counted by callgrind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dfaas_tests::{Agent, Site};
use futures::future::join_all;
use tempfile::TempDir;

use crate::closed::PATH;
use crate::engine::Engine;
use crate::load::{Load, Method, Pace};

/// Connections of the load, where the size of the node is what is looked at.
const CONNECTIONS: usize = 8;
/// Calls before any is counted.
const BEFORE: u64 = 500;
/// Calls of the two runs that are counted. What is not for a call, such as making the connections, is the same in both
/// and falls out of the difference.
const CALLS: [u64; 2] = [1000, 4000];
/// Names that only the thread of calls has among its functions.
const OF_CALLS: [&str; 2] = ["dfaas_agent::ingress::", "dfaas_agent::peer::trunk"];

/// An agent that runs under callgrind.
struct Counted {
    agent: Agent,
    dumps: TempDir,
}

impl Counted {
    async fn start(valgrind: &Path, site: Site) -> Result<Counted> {
        let dumps = tempfile::tempdir()?;
        let out = dumps.path().join("out");
        let program = valgrind.to_string_lossy();
        let under = site.under(&[
            &program,
            "--tool=callgrind",
            "--instr-atstart=no",
            "--separate-threads=yes",
            &format!("--callgrind-out-file={}", out.display()),
        ]);
        let agent = under.start().await;
        Ok(Counted { agent, dumps })
    }

    fn begin(&self) -> Result<()> {
        control(self.agent.pid(), &["--instr=on"])
    }

    fn dump(&self) -> Result<()> {
        control(self.agent.pid(), &["--dump"])
    }
}

/// Instructions of the thread of calls in user space for one call that runs on a node of that size.
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
    let node = Counted::start(valgrind, Site::new().replace_platform(&platform)).await?;
    let others = (0..neighbours).map(|_| {
        let site = Site::new().replace_platform(&platform);
        site.joins(&node.agent).start()
    });
    let _others = join_all(others).await;
    if let Some(last) = functions.checked_sub(1) {
        let last = format!("f{last}");
        node.agent.knows(&last, neighbours).await;
    }
    let load = load(&node.agent, Method::Get, CONNECTIONS)?;
    per_call(engine, &[&node], &load).await
}

/// The same for a call that the node runs itself, and for one that another node forwards to it, both nodes together.
pub(super) async fn local_and_forward(
    engine: &Engine,
    valgrind: &Path,
    method: Method,
    connections: usize,
) -> Result<(f64, f64)> {
    let with = format!("http://{}", engine.gateway(1).await?);
    let without = format!("http://{}", engine.gateway(0).await?);
    let there = Counted::start(valgrind, Site::new().openfaas(&with)).await?;
    let here = Site::new().openfaas(&without).joins(&there.agent);
    let here = Counted::start(valgrind, here).await?;
    here.agent.knows("f0", 1).await;
    let local = load(&there.agent, method, connections)?;
    let local = per_call(engine, &[&there], &local).await?;
    let forward = load(&here.agent, method, connections)?;
    let forward = per_call(engine, &[&here, &there], &forward).await?;
    Ok((local, forward))
}

fn load(agent: &Agent, method: Method, connections: usize) -> Result<Load> {
    Ok(Load {
        target: agent.ingress().parse()?,
        path: PATH.into(),
        method,
        connections,
        warm_up: Duration::ZERO,
        pace: Pace::Count(BEFORE),
        watched: Vec::new(),
    })
}

/// Instructions of these nodes together for one call of the load.
async fn per_call(engine: &Engine, nodes: &[&Counted], load: &Load) -> Result<f64> {
    for node in nodes {
        node.begin()?;
    }
    engine.run(load.clone()).await?;
    for node in nodes {
        node.dump()?;
    }
    let mut counts = Vec::new();
    for calls in CALLS {
        let load = Load {
            pace: Pace::Count(calls),
            ..load.clone()
        };
        let measured = engine.run(load).await?;
        let mut sum = 0;
        for node in nodes {
            node.dump()?;
            sum += of_calls(node.dumps.path())?;
        }
        counts.push((sum, measured.all));
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

/// The instructions that the last dump has for the thread of calls. Each thread has a file, `out.DUMP-THREAD`.
fn of_calls(directory: &Path) -> Result<i64> {
    let mut last = None;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let dump = name.strip_prefix("out.").and_then(|n| n.split_once('-'));
        let Some(dump) = dump.and_then(|(dump, _)| dump.parse::<u32>().ok()) else {
            continue;
        };
        if last.is_some_and(|(latest, _)| latest >= dump) {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        if OF_CALLS.iter().any(|name| text.contains(name)) {
            let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
            let totals = totals.context("callgrind wrote no totals")?;
            last = Some((dump, totals.trim().parse()?));
        }
    }
    let (_, count) = last.context("callgrind has no thread of calls")?;
    Ok(count)
}
