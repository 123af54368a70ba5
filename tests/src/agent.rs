//! A real agent in a process of its own, on free ports of loopback.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use dfaas_agent::admin::view::{Peer, Status};
use dfaas_agent::node::Ready;
use dfaas_protocol::NodeId;

use crate::wait::until;

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// The `dfaas` program of this build.
///
/// # Panics
/// If the tests were built without it.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let directory = own
        .ancestors()
        .nth(2)
        .expect("cargo puts tests into target/PROFILE/deps");
    let path = directory.join("dfaas-under-test");
    assert!(
        path.exists(),
        "{} is missing: run the tests with cargo",
        path.display()
    );
    path
}

/// What an agent is to be: the parts of its configuration that tests vary.
#[derive(Clone, Debug)]
pub struct Site {
    strategy: String,
    bootstrap: Vec<String>,
    platform: Option<String>,
    under: Vec<String>,
    overlay: Option<String>,
    advertise: Option<String>,
    period_ms: u64,
    ingress: String,
    functions: String,
    federation: String,
    extra: String,
}

impl Default for Site {
    fn default() -> Site {
        Site {
            strategy: "headroom".into(),
            bootstrap: Vec::new(),
            platform: None,
            under: Vec::new(),
            overlay: None,
            advertise: None,
            period_ms: 1000,
            ingress: String::new(),
            functions: String::new(),
            federation: "open = true\n".into(),
            extra: String::new(),
        }
    }
}

impl Site {
    /// A site with the strategy `headroom`, an embedded platform without functions, and nobody to begin with.
    pub fn new() -> Site {
        Site::default()
    }

    /// With that strategy.
    pub fn strategy(mut self, name: &str) -> Site {
        self.strategy = name.into();
        self
    }

    /// That begins with another agent.
    pub fn joins(mut self, other: &Agent) -> Site {
        self.bootstrap
            .push(other.ready.addresses.overlay[0].clone());
        self
    }

    /// With a function of the embedded platform: `builtin` is a line such as `sleep`, `ms = 100`.
    pub fn function(mut self, name: &str, builtin: &str, concurrency: u32, labels: &str) -> Site {
        let _ = write!(
            self.functions,
            "[[platform.functions]]\nname = \"{name}\"\nbuiltin = {builtin}\n\
             concurrency = {concurrency}\nlabels = {{ {labels} }}\n"
        );
        self
    }

    /// With a function that sleeps for so long in so many slots, and says so in its labels.
    pub fn sleeps(self, name: &str, ms: u64, slots: u32) -> Site {
        let labels = format!("\"dfaas.concurrency\" = \"{slots}\"");
        self.function(name, &format!("\"sleep\"\nms = {ms}"), slots, &labels)
    }

    /// Beside an OpenFaaS gateway at that URL.
    pub fn openfaas(mut self, url: &str) -> Site {
        self.platform = Some(format!(
            "[platform]\nkind = \"openfaas\"\nurl = \"{url}\"\npoll_ms = 200\n"
        ));
        self
    }

    /// With a section `[platform]` of its own.
    pub fn replace_platform(mut self, toml: &str) -> Site {
        self.platform = Some(toml.into());
        self
    }

    /// Started by another program, such as one that counts its instructions.
    pub fn under(mut self, program: &[&str]) -> Site {
        self.under = program.iter().map(|&word| word.into()).collect();
        self
    }

    /// With a section `[overlay]` of its own.
    pub fn replace_overlay(mut self, toml: &str) -> Site {
        self.overlay = Some(toml.into());
        self
    }

    /// That tells its neighbours to bring their calls to this address.
    pub fn advertise(mut self, ip: &str) -> Site {
        self.advertise = Some(format!("advertise = \"{ip}\"\n"));
        self
    }

    /// That plans, and sends its offers, so often.
    pub fn period_ms(mut self, ms: u64) -> Site {
        self.period_ms = ms;
        self
    }

    /// With a section `[federation]` of these keys. Without a word of it the federation is open.
    pub fn federation(mut self, toml: &str) -> Site {
        self.federation = format!("{toml}\n");
        self
    }

    /// With further keys of the section `[ingress]`.
    pub fn ingress(mut self, toml: &str) -> Site {
        self.ingress.push_str(toml);
        self.ingress.push('\n');
        self
    }

    /// With further lines of configuration, whole sections.
    pub fn config(mut self, toml: &str) -> Site {
        self.extra.push_str(toml);
        self.extra.push('\n');
        self
    }

    /// Starts an agent with a new state directory.
    pub async fn start(self) -> Agent {
        let directory = tempfile::tempdir().expect("a directory for the test");
        self.start_in(directory).await
    }

    /// Starts an agent in a directory that another one left.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn start_in(self, directory: tempfile::TempDir) -> Agent {
        let path = directory.path();
        let config = path.join("agent.toml");
        std::fs::write(&config, self.text(path)).expect("the configuration is written");
        let ready_file = path.join("ready.json");
        let _ = std::fs::remove_file(&ready_file);
        let log = std::fs::File::create(path.join("log")).expect("the log is made");
        let mut words = self.under.iter().map(PathBuf::from);
        let mut words = words.by_ref().chain([program()]);
        let child = Command::new(words.next().expect("there is at least the agent itself"))
            .args(words)
            .arg("agent")
            .arg("--config")
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready_file)
            .arg("--stop-with-stdin")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        let mut running = Running(child);
        let log = path.join("log");
        let ready = until("the agent is ready", SOON, || {
            let ended = running.0.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none(),
                "the agent ended with {ended:?}:\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            let bytes = std::fs::read(&ready_file).ok();
            async move { bytes.map(|b| serde_json::from_slice::<Ready>(&b).expect("whole JSON")) }
        })
        .await;
        Agent {
            ready,
            running: Some(running),
            directory: Some(directory),
        }
    }

    fn text(&self, directory: &Path) -> String {
        let state = state_in(directory);
        let platform = self.platform.clone().unwrap_or_else(|| {
            let functions = &self.functions;
            format!("[platform]\nkind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n{functions}")
        });
        let overlay = self.overlay.clone().unwrap_or_else(|| {
            format!(
                "[overlay]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nbootstrap = {:?}\nmdns = false\n",
                self.bootstrap
            )
        });
        let advertise = self.advertise.as_deref().unwrap_or_default();
        format!(
            "state_dir = {state:?}\n\
             [ingress]\nlisten = \"127.0.0.1:0\"\nthreads = 1\n{}\n\
             [peer]\nlisten = \"127.0.0.1:0\"\n{advertise}\
             {overlay}\n\
             [federation]\n{}\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [strategy]\nname = {:?}\nperiod_ms = {}\n\
             {platform}\n{}",
            self.ingress, self.federation, self.strategy, self.period_ms, self.extra
        )
    }
}

/// The state directory of an agent in that directory.
pub fn state_in(directory: &Path) -> PathBuf {
    directory.join("state")
}

/// A child that never outlives the test.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running agent. It is killed when it is dropped.
#[derive(Debug)]
pub struct Agent {
    /// What it said when it was ready.
    pub ready: Ready,
    running: Option<Running>,
    directory: Option<tempfile::TempDir>,
}

impl Agent {
    /// Who it is.
    pub fn node(&self) -> NodeId {
        self.ready.node_id
    }

    /// Where clients come in, `HOST:PORT`.
    pub fn ingress(&self) -> &str {
        &self.ready.addresses.ingress
    }

    /// The URL of a path at its ingress.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ingress())
    }

    /// Where its neighbours bring calls, `HOST:PORT`.
    ///
    /// # Panics
    /// If it stands alone.
    pub fn peer(&self) -> &str {
        let peer = self.ready.addresses.peer.as_deref();
        peer.expect("an agent that does not stand alone listens for peers")
    }

    /// Its state directory.
    ///
    /// # Panics
    /// If it was killed.
    pub fn state(&self) -> PathBuf {
        let directory = self.directory.as_ref();
        state_in(directory.expect("a running agent has its directory").path())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().map_or(0, |running| running.0.id())
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.directory
            .as_ref()
            .and_then(|d| std::fs::read_to_string(d.path().join("log")).ok())
            .unwrap_or_default()
    }

    /// Its status, as the admin address shows it.
    pub async fn status(&self) -> Status {
        self.admin("/v1/status").await
    }

    /// Its neighbours, as the admin address shows them.
    pub async fn peers(&self) -> Vec<Peer> {
        self.admin("/v1/peers").await
    }

    /// Something that the admin address shows.
    ///
    /// # Panics
    /// If it does not answer with that.
    pub async fn admin<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let url = format!("http://{}{path}", self.ready.addresses.admin);
        let response = reqwest::get(url).await.expect("the admin address answers");
        response
            .json()
            .await
            .expect("the admin address answers with what was asked")
    }

    /// Switches its strategy.
    ///
    /// # Panics
    /// If it refuses.
    pub async fn switch(&self, strategy: &str) {
        let response = reqwest::Client::new()
            .put(format!("http://{}/v1/strategy", self.ready.addresses.admin))
            .json(&serde_json::json!({ "strategy": strategy }))
            .send()
            .await
            .expect("the admin address answers");
        assert_eq!(response.status(), 200);
    }

    /// Executions that the platform itself counted for a function.
    ///
    /// # Panics
    /// If the platform does not have it.
    pub async fn executions(&self, function: &str) -> u64 {
        let response = reqwest::get(self.url("/system/functions")).await;
        let response = response.expect("the ingress answers");
        let functions: Vec<serde_json::Value> = response.json().await.expect("a list");
        let found = functions.iter().find(|f| f["name"] == function);
        let found = found.unwrap_or_else(|| panic!("the platform has no function {function}"));
        found["invocationCount"].as_f64().unwrap_or(0.0) as u64
    }

    /// Waits until it hears so many neighbours.
    pub async fn hears(&self, count: usize) {
        until("the agent hears its neighbours", SOON, || async {
            (self.peers().await.len() == count).then_some(())
        })
        .await;
    }

    /// Waits until it knows so many neighbours that offer a function.
    pub async fn knows(&self, function: &str, count: usize) {
        let name = format!("{function}.openfaas-fn");
        until("the neighbours' offers are known", SOON, || async {
            let peers = self.peers().await;
            let offers = |p: &&Peer| p.functions.iter().any(|f| f.name == name);
            (peers.iter().filter(offers).count() == count).then_some(())
        })
        .await;
    }

    /// Kills it with SIGKILL and returns its directory.
    ///
    /// # Panics
    /// If it was stopped before.
    pub fn kill(mut self) -> tempfile::TempDir {
        drop(self.running.take());
        self.directory
            .take()
            .expect("a running agent has its directory")
    }

    /// Sends it a signal by name, such as `TERM`.
    ///
    /// # Panics
    /// If there is no such process any more.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.pid().to_string())
            .status()
            .expect("there is a command `kill`");
        assert!(sent.success(), "the signal was sent");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let running = self.running.as_mut().expect("it was not stopped before");
        until("the agent ends", SOON, || {
            let ended = running.0.try_wait().expect("a child can be asked");
            async move { ended }
        })
        .await
    }
}
