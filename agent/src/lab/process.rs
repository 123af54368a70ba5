//! An agent in a process of its own, which this program starts and stops.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dfaas_protocol::strategy::StrategyName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::admin::view::{Peer, Status, StrategyChoice};
use crate::node::Ready;

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
    client: reqwest::Client,
    child: Child,
}

impl AgentProcess {
    /// Starts an agent with the text of its configuration, which is written into the directory, and waits until it is
    /// ready.
    pub(crate) async fn start(
        directory: &Path,
        config: &str,
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
        let mut child = Command::new(program)
            .arg("agent")
            .arg("--config")
            .arg(&config_file)
            .arg("--ready-file")
            .arg(&ready_file)
            .arg("--stop-with-stdin")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("an agent cannot be started")?;
        let ready = wait_until_ready(&ready_file, &mut child, limit).await?;
        Ok(AgentProcess {
            ready,
            client: http_client(TIMEOUT)?,
            child,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, address: &str, path: &str) -> anyhow::Result<T> {
        let request = self.client.get(format!("http://{address}{path}"));
        let answer = request.send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// What the agent says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        self.ask(&self.ready.addresses.admin, "/v1/status").await
    }

    /// The neighbours that it hears.
    pub(crate) async fn peers(&self) -> anyhow::Result<Vec<Peer>> {
        self.ask(&self.ready.addresses.admin, "/v1/peers").await
    }

    /// Its metrics, as text.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        let admin = &self.ready.addresses.admin;
        let request = self.client.get(format!("http://{admin}/metrics"));
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// Switches the strategy of the running agent.
    pub(crate) async fn switch(&self, strategy: StrategyName) -> anyhow::Result<()> {
        self.client
            .put(format!("http://{}/v1/strategy", self.ready.addresses.admin))
            .json(&StrategyChoice { strategy })
            .send()
            .await?
            .error_for_status()
            .with_context(|| format!("the strategy {strategy} was not taken up"))?;
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
        let functions: Vec<Function> = self.ask(ingress, "/system/functions").await?;
        let counts = functions.iter().map(|f| f.invocation_count as u64);
        Ok(counts.sum())
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
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(timeout)
        .build()
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
