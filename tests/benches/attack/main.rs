//! What an attack costs the clients of the node that is attacked: their times with it and without it, in turns.
//!
//! `cargo bench -p dfaas-tests --bench attack`; `docs/benchmarks.md` tells how it is measured. The agent has one core. The client,
//! the platform and those who attack have the other, the latter only what the former leave of it (`nice`).

#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

mod adversary;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use dfaas_tests::adversary::{Honest, Service, call_to, resident};
use dfaas_tests::scripted::{Gateway, Ledger};
use dfaas_tests::{Agent, Federation, Site};

use crate::adversary::Target;

const AGENT_CORE: &str = "0";
const OTHERS_CORE: &str = "1";
/// Set in the environment once this process has its core.
const PINNED: &str = "DFAAS_BENCH_PINNED";
/// The share of calls whose time is compared.
const SHARE: f64 = 0.99;

#[derive(Debug, Parser)]
#[command(
    name = "attack",
    about = "Measures what an attack costs the clients of the node that is attacked"
)]
struct Arguments {
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is made; the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Calls a second of the client.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Blows a second of each kind of attack, of which there are nine; as many as there can be, if none is said.
    #[arg(long)]
    pace: Option<f64>,
    /// How far those who attack stand back for the client and the platform, with whom they share a core: 19 takes only what is left.
    #[arg(long, default_value_t = 19)]
    nice: u8,
    /// What is attacked, as JSON: then this process attacks until it is ended.
    #[arg(long, hide = true)]
    target: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench && arguments.target.is_none() {
        println!("this measures with `cargo bench`; without it there is nothing to do");
        return ExitCode::SUCCESS;
    }
    match start(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("attack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(target) = &arguments.target {
        let target: Target = serde_json::from_str(target)?;
        runtime.block_on(adversary::attack(target, arguments.pace))?;
    } else if std::env::var_os(PINNED).is_none() {
        let cores = std::thread::available_parallelism()?.get();
        ensure!(cores > 1, "two cores are needed; there is {cores}");
        let status = Command::new("taskset")
            .args(["--cpu-list", OTHERS_CORE])
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(PINNED, "1")
            .status()
            .context("there is no command `taskset`; install util-linux")?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(ExitCode::from(code.unwrap_or(1)));
    } else {
        runtime.block_on(measure(arguments))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those who attack, as long as this is there.
struct Attack(Child);

impl Attack {
    fn begin(target: &Target, arguments: &Arguments) -> Result<Attack> {
        let mut command = Command::new("nice");
        command
            .args(["-n", &arguments.nice.to_string()])
            .arg(std::env::current_exe()?)
            .arg("--target")
            .arg(serde_json::to_string(target)?)
            .stdin(Stdio::piped());
        if let Some(pace) = arguments.pace {
            command.args(["--pace", &pace.to_string()]);
        }
        Ok(Attack(
            command.spawn().context("there is no command `nice`")?,
        ))
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let federation = Federation::new();
    let ledger = Ledger::default();
    let slots = [("dfaas.concurrency", "200")];
    let gateway = Gateway::start("here", &ledger, &[("work", &slots)]).await;
    let site = Site::new()
        .openfaas(&gateway.url())
        .under(&["taskset", "--cpu-list", AGENT_CORE]);
    let agent = federation.start_issuer(site).await;
    let boast = [("dfaas.concurrency", "100000")];
    let mut liars = Vec::new();
    for name in ["liar", "staller"] {
        let own = Gateway::start(name, &ledger, &[("work", &boast)]).await;
        let site = Site::new().openfaas(&own.url()).joins(&agent);
        liars.push((federation.start(site).await, own));
    }
    agent.knows("work", liars.len()).await;
    let target = Target::of(&agent, &federation);
    let time = Duration::from_secs(arguments.seconds);
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    serve(&agent, arguments, "warm", time).await?;
    let before = resident(agent.pid());
    let read_before = messages(&agent).await?;
    let mut busy = [Duration::ZERO; 2];
    for round in 0..arguments.rounds {
        let since = cpu(agent.pid())?;
        quiet.push(serve(&agent, arguments, &format!("quiet-{round}"), time).await?);
        busy[0] += cpu(agent.pid())? - since;
        let attack = Attack::begin(&target, arguments)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let since = cpu(agent.pid())?;
        attacked.push(serve(&agent, arguments, &format!("attacked-{round}"), time).await?);
        busy[1] += cpu(agent.pid())? - since;
        drop(attack);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (p50s, p99s) = (
        figures(&quiet, 0.5, &attacked),
        figures(&quiet, SHARE, &attacked),
    );
    println!("        quiet      attacked   ratio");
    for (name, (quiet, attacked)) in [("p50", p50s), ("p99", p99s)] {
        let ratio = attacked.as_secs_f64() / quiet.as_secs_f64();
        println!("{name}     {quiet:>8.2?}   {attacked:>8.2?}   {ratio:.2}");
    }
    let calls: usize = attacked.iter().map(|service| service.ids.len()).sum();
    let grown = resident(agent.pid()).saturating_sub(before) / 1024;
    println!(
        "{calls} calls under attack, each answered right and executed once; memory grew by {grown} KiB"
    );
    let all = time.as_secs_f64() * arguments.rounds as f64;
    let share = busy.map(|busy| busy.as_secs_f64() / all * 100.0);
    let read = messages(&agent).await? - read_before;
    println!(
        "the agent used {:.0} % of its core in quiet and {:.0} % under attack, and read {read} messages",
        share[0], share[1]
    );
    let fates = ledger.all();
    let served = quiet
        .iter()
        .chain(&attacked)
        .flat_map(|service| &service.ids);
    for id in served {
        ensure!(
            fates[id].executed == 1,
            "{id} was executed {} times",
            fates[id].executed
        );
    }
    Ok(())
}

async fn serve(
    agent: &Agent,
    arguments: &Arguments,
    prefix: &str,
    time: Duration,
) -> Result<Service> {
    let (ingress, prefix) = (agent.ingress().to_owned(), prefix.to_owned());
    let honest = Honest::begin(arguments.rate, move |n| {
        call_to(&ingress, "work", "here", &format!("{prefix}-{n}"))
            .at("liar", "limit")
            .at("staller", "stall")
    });
    tokio::time::sleep(time).await;
    let service = honest.end().await;
    ensure!(
        service.wrong.is_empty(),
        "wrong answers: {:?}",
        service.wrong
    );
    Ok(service)
}

/// The processor time that a process has used, in ticks of ten milliseconds.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(10 * ticks))
}

/// The messages that the agent has read, right and wrong ones and those that it ignored.
async fn messages(agent: &Agent) -> Result<u64> {
    let url = format!("http://{}/metrics", agent.ready.addresses.admin);
    let text = reqwest::get(url).await?.text().await?;
    let counted = ["received", "malformed", "ignored"].map(|what| {
        let name = format!("dfaas_messages_{what}_total ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|value| value.parse::<u64>().ok())
            .unwrap_or(0)
    });
    Ok(counted.iter().sum())
}

/// The medians over the rounds.
fn figures(quiet: &[Service], share: f64, attacked: &[Service]) -> (Duration, Duration) {
    let median = |services: &[Service]| {
        let mut times: Vec<_> = services
            .iter()
            .map(|service| service.within(share))
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    (median(quiet), median(attacked))
}
