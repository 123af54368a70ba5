//! What does not depend on the machine: instructions and system calls of a call, and that they do not grow with what
//! else a node has to do.

mod instructions;
mod syscalls;

use anyhow::Result;
use comfy_table::Table;
use serde::Serialize;

use crate::engine::Engine;
use crate::load::Method;
use crate::proxies::program;

/// Functions and neighbours of the small node and of the large one.
const SIZES: [(usize, usize); 2] = [(1, 0), (1000, 8)];

/// Connections of the load that is forwarded.
const FORWARDED_CONNECTIONS: usize = 32;

/// The counts.
#[derive(Debug, Serialize)]
pub(crate) struct Flat {
    /// Instructions of the call's thread in user space; nothing without `valgrind`.
    instructions: Vec<Instructions>,
    /// How many times the instructions of the small node those of the large one are.
    instructions_ratio: Option<f64>,
    /// Those of a forward beside those of a local call; nothing without `valgrind`.
    forwards: Vec<ForwardInstructions>,
    /// System calls of the process for a call; nothing without `perf` and `strace`.
    syscalls_per_call: Option<f64>,
    /// What counted the system calls.
    syscalls_by: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Instructions {
    functions: usize,
    neighbours: usize,
    per_call: f64,
}

#[derive(Debug, Serialize)]
struct ForwardInstructions {
    method: &'static str,
    connections: usize,
    local: f64,
    /// Of both nodes together.
    forward: f64,
}

/// Counts.
pub(crate) async fn run(engine: &Engine) -> Result<Flat> {
    let (mut counted, mut forwards) = (Vec::new(), Vec::new());
    if let (Some(valgrind), Some(_)) = (program("valgrind"), program("callgrind_control")) {
        for (functions, neighbours) in SIZES {
            eprintln!("instructions with {functions} functions and {neighbours} neighbours");
            counted.push(Instructions {
                functions,
                neighbours,
                per_call: instructions::count(engine, &valgrind, functions, neighbours).await?,
            });
        }
        for method in [Method::Get, Method::Post] {
            let name = method.as_str();
            eprintln!("instructions of a forward, {name}");
            let connections = FORWARDED_CONNECTIONS;
            let counts =
                instructions::local_and_forward(engine, &valgrind, method, connections).await?;
            forwards.push(ForwardInstructions {
                method: name,
                connections,
                local: counts.0,
                forward: counts.1,
            });
        }
    } else {
        eprintln!("skipped: instructions of a call (apt-get install valgrind)");
    }
    eprintln!("system calls");
    let syscalls = syscalls::count(engine).await?;
    if syscalls.is_none() {
        eprintln!("skipped: system calls of a call (apt-get install strace)");
    }
    Ok(Flat {
        instructions_ratio: match counted.as_slice() {
            [small, large] => Some(large.per_call / small.per_call),
            _ => None,
        },
        instructions: counted,
        forwards,
        syscalls_per_call: syscalls.map(|(count, _)| count),
        syscalls_by: syscalls.map(|(_, by)| by),
    })
}

impl Flat {
    /// The counts as a table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.set_header(["what", "per call"]);
        for row in &self.instructions {
            let what = format!(
                "instructions, {} functions, {} neighbours",
                row.functions, row.neighbours
            );
            table.add_row([what, format!("{:.0}", row.per_call)]);
        }
        if let Some(ratio) = self.instructions_ratio {
            table.add_row(["ratio".to_owned(), format!("{ratio:.3}")]);
        }
        for row in &self.forwards {
            let what = format!(
                "instructions, {}, {} connections, local and forward",
                row.method, row.connections
            );
            let (local, forward) = (row.local, row.forward);
            let ratio = forward / local;
            table.add_row([what, format!("{local:.0}, {forward:.0} ({ratio:.2} times)")]);
        }
        if let (Some(count), Some(by)) = (self.syscalls_per_call, self.syscalls_by) {
            table.add_row([format!("system calls (by {by})"), format!("{count:.2}")]);
        }
        table
    }
}
