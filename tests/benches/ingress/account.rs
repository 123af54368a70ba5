//! What processes and cores used, by the kernel's own accounts.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What one read of the accounts says.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// CPU time of the watched processes.
    watched: Duration,
    /// CPU time of the calling thread.
    own: Duration,
    /// Of each core: ticks in use, and ticks in all.
    cores: Vec<(u64, u64)>,
}

/// What was used between two readings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// CPU time of the watched processes.
    pub(crate) watched: Duration,
    /// CPU time of the thread that took the readings: load and backend.
    pub(crate) own: Duration,
    /// The share of each core's time in which it worked, for whomever.
    pub(crate) cores: Vec<f64>,
}

impl Reading {
    /// Reads the accounts of these processes, of the calling thread and of all cores.
    pub(crate) fn take(processes: &[u32]) -> Result<Reading> {
        let mut watched = Duration::ZERO;
        for pid in processes {
            watched += process(*pid)?;
        }
        Ok(Reading {
            watched,
            own: schedstat("/proc/thread-self/schedstat")?,
            cores: cores()?,
        })
    }

    /// What was used since.
    pub(crate) fn until(&self, later: &Reading) -> Used {
        let cores = self.cores.iter().zip(&later.cores);
        Used {
            watched: later.watched.saturating_sub(self.watched),
            own: later.own.saturating_sub(self.own),
            cores: cores
                .map(|(a, b)| (b.0 - a.0) as f64 / (b.1 - a.1).max(1) as f64)
                .collect(),
        }
    }
}

/// CPU time of a process: of all its threads, to the nanosecond where the kernel keeps `schedstat`, else to the tick.
fn process(pid: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} has ended; see what it logged"))?;
    for thread in threads {
        let path = thread?.path().join("schedstat");
        let path = path.to_string_lossy();
        match schedstat(&path) {
            Ok(time) => sum += time,
            Err(_) if fs::exists("/proc/self/schedstat")? => {} // A thread that ended meanwhile.
            Err(_) => return ticks(pid),
        }
    }
    Ok(sum)
}

fn schedstat(path: &str) -> Result<Duration> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let nanos = text.split(' ').next().unwrap_or_default();
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// The coarser account: user and system time in ticks of 10 ms.
fn ticks(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let Some((_, fields)) = text.rsplit_once(')') else {
        bail!("/proc/{pid}/stat has an unknown form");
    };
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().unwrap_or_default().parse()?) };
    Ok(Duration::from_millis(10 * (next()? + next()?)))
}

fn cores() -> Result<Vec<(u64, u64)>> {
    let text = fs::read_to_string("/proc/stat")?;
    let lines = text.lines().skip(1).take_while(|l| l.starts_with("cpu"));
    lines
        .map(|line| {
            let fields = line.split_ascii_whitespace().skip(1);
            let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>()?;
            // user nice system idle iowait irq softirq steal; guest times are in user and nice already.
            let all: u64 = fields.iter().take(8).sum();
            let idle: u64 = fields.iter().skip(3).take(2).sum();
            Ok((all - idle, all))
        })
        .collect()
}

/// A process and its children: a proxy may fork its workers.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children = children.split_ascii_whitespace();
    std::iter::once(pid)
        .chain(children.filter_map(|child| child.parse().ok()))
        .collect()
}
