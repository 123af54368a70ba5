//! An agent in a process of its own, which this program starts and stops.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dfaas_protocol::strategy::StrategyName;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::admin::view::{Cordon, Peer, Status, StrategyChoice};
use crate::node::{Order, Ready};

/// How often something that should come true is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// Longer than any answer about an agent takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an agent may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// An agent that is ready. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct AgentProcess {
    pub(crate) ready: Ready,
    /// What asks its admin address, and the beginning of its URLs.
    asked: reqwest::Client,
    admin: String,
    child: Child,
}

impl AgentProcess {
    /// Starts an agent with the text of its configuration, which is written into the directory, and waits until it is
    /// ready. `within` is a command line that runs it, or nothing.
    pub(crate) async fn start(
        directory: &Path,
        config: &str,
        within: &[String],
        limit: Duration,
    ) -> anyhow::Result<AgentProcess> {
        let config_file = directory.join("agent.toml");
        let ready_file = directory.join("ready.json");
        tokio::fs::create_dir_all(directory).await?;
        tokio::fs::write(&config_file, config).await?;
        match tokio::fs::remove_file(&ready_file).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let program = std::env::current_exe().context("this program's own path is not known")?;
        let mut command = match within {
            [outer, arguments @ ..] => {
                let mut command = Command::new(outer);
                command.args(arguments).arg(program);
                command
            }
            [] => Command::new(program),
        };
        let mut child = command
            .arg("agent")
            .arg("--config")
            .arg(&config_file)
            .arg("--ready-file")
            .arg(&ready_file)
            .arg("--lab-orders")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("an agent cannot be started")?;
        let ready = wait_until_ready(&ready_file, &mut child, limit).await?;
        let admin = &ready.addresses.admin;
        let client = local_client(TIMEOUT);
        let (asked, admin) = match admin.strip_prefix("unix:") {
            Some(path) => (client.unix_socket(Path::new(path)), "localhost".to_owned()),
            None => (client, admin.clone()),
        };
        Ok(AgentProcess {
            asked: asked.build()?,
            admin: format!("http://{admin}"),
            ready,
            child,
        })
    }

    async fn ask(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        let request = self.asked.get(format!("{}{path}", self.admin));
        request.send().await?.error_for_status()
    }

    /// What the agent says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        Ok(self.ask("/v1/status").await?.json().await?)
    }

    /// The neighbours that it hears.
    pub(crate) async fn peers(&self) -> anyhow::Result<Vec<Peer>> {
        Ok(self.ask("/v1/peers").await?.json().await?)
    }

    /// Its metrics, as text.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.ask("/metrics").await?.text().await?)
    }

    /// Switches the strategy of the running agent.
    pub(crate) async fn switch(&self, strategy: StrategyName) -> anyhow::Result<()> {
        self.set("strategy", &StrategyChoice { strategy }).await
    }

    /// Lets it refuse the calls of neighbours, or take them again.
    pub(super) async fn cordon(&self, cordoned: bool) -> anyhow::Result<()> {
        self.set("cordon", &Cordon { cordoned }).await
    }

    async fn set(&self, what: &str, to: &impl Serialize) -> anyhow::Result<()> {
        let request = self.asked.put(format!("{}/v1/{what}", self.admin));
        let answer = request.json(to).send().await?;
        answer
            .error_for_status()
            .with_context(|| format!("an agent did not take another {what}"))?;
        Ok(())
    }

    /// How many calls its functions have executed, by the platform's own count.
    pub(crate) async fn executions(&self) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Function {
            #[serde(default)]
            invocation_count: f64,
        }
        let ingress = &self.ready.addresses.ingress;
        let url = format!("http://{ingress}/system/functions");
        let answer = http_client(TIMEOUT)?.get(url).send().await?;
        let functions: Vec<Function> = answer.error_for_status()?.json().await?;
        let counts = functions.iter().map(|f| f.invocation_count as u64);
        Ok(counts.sum())
    }

    /// Orders it to do something wrong.
    pub(super) async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        let stdin = self.child.stdin.as_mut();
        let stdin = stdin.context("an agent that stops takes no orders")?;
        stdin.write_all(&line).await?;
        Ok(stdin.flush().await?)
    }

    /// Ends it at once, without a word to anybody.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Lets all agents drain, and waits until they are gone.
pub(crate) async fn stop(agents: impl IntoIterator<Item = AgentProcess>) {
    let mut agents: Vec<AgentProcess> = agents.into_iter().collect();
    for agent in &mut agents {
        // The end of its standard input tells an agent to drain.
        drop(agent.child.stdin.take());
    }
    for agent in &mut agents {
        // One that does not end in time is killed when it is dropped.
        let _ = tokio::time::timeout(STOP_LIMIT, agent.child.wait()).await;
    }
}

/// A client for plain HTTP on this machine: no proxy, and no certificates, which need not be installed here.
pub(super) fn http_client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    local_client(timeout).build()
}

fn local_client(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(timeout)
}

async fn wait_until_ready(
    path: &Path,
    child: &mut Child,
    limit: Duration,
) -> anyhow::Result<Ready> {
    let until = Instant::now() + limit;
    loop {
        match tokio::fs::read(path).await {
            Ok(bytes) => return Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = child.try_wait()? {
            bail!("an agent ended before it was ready: {status}; its reason stands above");
        }
        if Instant::now() > until {
            bail!("an agent was not ready within {} s", limit.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}
