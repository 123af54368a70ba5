//! The proxies that are compared, each a process of its own on a core of its own.

mod haproxy;
mod nginx;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dfaas_tests::{Agent, Site};
use tempfile::TempDir;

use crate::account;

pub(crate) use haproxy::Shape;

/// The core of the proxies.
pub(crate) const PROXY_CORE: usize = 0;
/// The core of load and backend.
pub(crate) const LOAD_CORE: usize = 1;
/// Ports below those that systems give to outgoing connections.
const PORTS: Range<u16> = 20_000..30_000;
/// How long a proxy may take to begin.
const SOON: Duration = Duration::from_secs(10);

/// Something that a load can be sent to.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Its processes.
    pub(crate) processes: Vec<u32>,
    _running: Option<Running>,
}

#[expect(dead_code, reason = "held so that the process ends with the target")]
enum Running {
    Agent(Agent),
    Process(Process),
}

/// A process that ends when this is dropped, with the directory of its configuration.
struct Process {
    child: Child,
    directory: TempDir,
    /// Where its log goes. Nobody reads it: what does not fit is dropped by the kernel.
    _log: Option<UdpSocket>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx and HAProxy end their workers on this signal; a kill would leave them.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}

impl Target {
    /// The backend itself.
    pub(crate) fn direct(backend: SocketAddr) -> Target {
        Target {
            name: "direct",
            address: backend,
            processes: Vec::new(),
            _running: None,
        }
    }

    /// An agent of this build beside the backend, everything at its default.
    pub(crate) async fn dfaas(backend: SocketAddr) -> Result<Target> {
        let agent = Site::new()
            .openfaas(&format!("http://{backend}"))
            .start()
            .await;
        pin(agent.pid())?;
        Ok(Target {
            name: "dfaas",
            address: agent.ingress().parse()?,
            processes: vec![agent.pid()],
            _running: Some(Running::Agent(agent)),
        })
    }

    /// HAProxy in one of its shapes.
    pub(crate) fn haproxy(shape: Shape, backend: SocketAddr) -> Result<Target> {
        let directory = tempfile::tempdir()?;
        let address = free_port()?;
        let log = UdpSocket::bind("127.0.0.1:0")?;
        let config = directory.path().join("haproxy.cfg");
        let text = shape.config(address, backend, log.local_addr()?);
        std::fs::write(&config, text)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&config);
        Target::process(shape.name(), address, command, (directory, Some(log)))
    }

    /// nginx with kept connections to the backend.
    pub(crate) fn nginx(backend: SocketAddr) -> Result<Target> {
        let directory = tempfile::tempdir()?;
        let address = free_port()?;
        let config = directory.path().join("nginx.conf");
        std::fs::write(&config, nginx::config(directory.path(), address, backend))?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&config);
        command.arg("-e").arg(directory.path().join("error.log"));
        Target::process("nginx", address, command, (directory, None))
    }

    fn process(
        name: &'static str,
        address: SocketAddr,
        mut command: Command,
        (directory, log): (TempDir, Option<UdpSocket>),
    ) -> Result<Target> {
        let said = std::fs::File::create(directory.path().join("said"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let mut process = Process {
            child,
            directory,
            _log: log,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = process.child.try_wait()?;
            ensure!(
                ended.is_none() && start.elapsed() < SOON,
                "{name} does not take connections: {}",
                std::fs::read_to_string(process.directory.path().join("said"))?
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let processes = account::family(process.child.id());
        for pid in &processes {
            pin(*pid)?;
        }
        Ok(Target {
            name,
            address,
            processes,
            _running: Some(Running::Process(process)),
        })
    }
}

/// Where a program is, if it is installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Puts all threads of a process on the proxies' core.
pub(crate) fn pin(pid: u32) -> Result<()> {
    let done = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid"])
        .arg(PROXY_CORE.to_string())
        .arg(pid.to_string())
        .stdout(Stdio::null())
        .status()
        .context("there is no command `taskset`; install util-linux")?;
    ensure!(done.success(), "process {pid} cannot be pinned to a core");
    Ok(())
}

/// A port that nobody has, for programs that cannot say which one the system gave them. It is none of those that the system
/// gives to outgoing connections, because one of these could take it before the program does.
fn free_port() -> Result<SocketAddr> {
    PORTS
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no port is free")
}
