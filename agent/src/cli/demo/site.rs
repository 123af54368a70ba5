//! One site of the demo: an agent in a process of its own, with an embedded platform.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dfaas_protocol::NodeId;
use dfaas_protocol::strategy::StrategyName;
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::admin::view::{Peer, StrategyChoice};
use crate::node::Ready;

/// The function of the demo.
const FUNCTION: &str = "work";
/// How often something that should come true is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long an agent may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A site.
#[derive(Debug)]
pub(super) struct Site {
    slots: u32,
    service: Duration,
    hot: bool,
    ready: Ready,
    client: reqwest::Client,
    child: Child,
}

impl Site {
    /// Starts an agent and waits until it is ready. The first one has nobody to begin with, and is the overloaded one.
    pub(super) async fn start(
        directory: &Path,
        slots: u32,
        service: Duration,
        bootstrap: Option<&str>,
        limit: Duration,
    ) -> anyhow::Result<Site> {
        tokio::fs::create_dir(directory).await?;
        let config = directory.join("agent.toml");
        let ready_file = directory.join("ready.json");
        let text = config_text(directory, slots, service, bootstrap);
        tokio::fs::write(&config, text).await?;
        let program = std::env::current_exe().context("this program's own path is not known")?;
        let mut child = Command::new(program)
            .arg("agent")
            .arg("--config")
            .arg(&config)
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
        Ok(Site {
            slots,
            service,
            hot: bootstrap.is_none(),
            ready,
            client: reqwest::Client::new(),
            child,
        })
    }

    pub(super) fn node_id(&self) -> NodeId {
        self.ready.node_id
    }

    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// Whether it is the overloaded one.
    pub(super) fn is_hot(&self) -> bool {
        self.hot
    }

    /// Calls a second that it can serve by itself.
    pub(super) fn capacity(&self) -> f64 {
        f64::from(self.slots) / self.service.as_secs_f64()
    }

    pub(super) fn overlay_address(&self) -> Option<&str> {
        self.ready.addresses.overlay.first().map(String::as_str)
    }

    pub(super) fn function_url(&self) -> String {
        format!(
            "http://{}/function/{FUNCTION}",
            self.ready.addresses.ingress
        )
    }

    /// Switches the strategy of the running agent.
    pub(super) async fn switch(&self, strategy: StrategyName) -> anyhow::Result<()> {
        self.client
            .put(format!("http://{}/v1/strategy", self.ready.addresses.admin))
            .json(&StrategyChoice { strategy })
            .send()
            .await?
            .error_for_status()
            .with_context(|| format!("the strategy {strategy} was not taken up"))?;
        Ok(())
    }

    /// How many calls the function of this site has executed, by the platform's own count.
    async fn executions(&self) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Function {
            name: String,
            #[serde(default)]
            invocation_count: f64,
        }
        let functions: Vec<Function> = self
            .client
            .get(format!(
                "http://{}/system/functions",
                self.ready.addresses.ingress
            ))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let count = functions.iter().find(|f| f.name == FUNCTION);
        Ok(count.map_or(0, |f| f.invocation_count as u64))
    }

    /// How many neighbours it hears that offer the function.
    async fn acquainted(&self) -> anyhow::Result<usize> {
        let peers: Vec<Peer> = self
            .client
            .get(format!("http://{}/v1/peers", self.ready.addresses.admin))
            .send()
            .await?
            .json()
            .await?;
        Ok(peers.iter().filter(|p| !p.functions.is_empty()).count())
    }
}

/// The executions of all sites, in their order.
pub(super) async fn executions(sites: &[Site]) -> anyhow::Result<Vec<u64>> {
    futures::future::try_join_all(sites.iter().map(Site::executions)).await
}

/// Waits until every site hears all the others, or as many neighbours as an agent has by default.
pub(super) async fn wait_until_acquainted(sites: &[Site], limit: Duration) -> anyhow::Result<()> {
    const DEFAULT_NEIGHBOURS: usize = 8;
    let wanted = (sites.len() - 1).min(DEFAULT_NEIGHBOURS);
    let until = Instant::now() + limit;
    loop {
        let heard = futures::future::try_join_all(sites.iter().map(Site::acquainted)).await?;
        if heard.iter().all(|count| *count >= wanted) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("the agents did not find one another: they hear {heard:?} neighbours");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Stops all agents and waits until they are gone.
pub(super) async fn stop(mut sites: Vec<Site>) {
    for site in &mut sites {
        // The end of its standard input tells an agent to drain.
        drop(site.child.stdin.take());
    }
    for site in &mut sites {
        // One that does not end in time is killed when the site is dropped.
        let _ = tokio::time::timeout(STOP_LIMIT, site.child.wait()).await;
    }
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

fn config_text(directory: &Path, slots: u32, service: Duration, bootstrap: Option<&str>) -> String {
    let state = toml::Value::from(directory.join("state").display().to_string());
    let bootstrap: Vec<&str> = bootstrap.into_iter().collect();
    let bootstrap = toml::Value::from(bootstrap);
    let first = StrategyName::AllLocal;
    let ms = service.as_millis();
    format!(
        r#"state_dir = {state}
[ingress]
listen = "127.0.0.1:0"
threads = 1
[peer]
listen = "127.0.0.1:0"
[overlay]
listen = ["/ip4/127.0.0.1/tcp/0"]
bootstrap = {bootstrap}
mdns = false
[admin]
listen = "127.0.0.1:0"
[strategy]
name = "{first}"
[platform]
kind = "embedded"
listen = "127.0.0.1:0"
[[platform.functions]]
name = "{FUNCTION}"
builtin = "sleep"
ms = {ms}
concurrency = {slots}
labels = {{ "dfaas.concurrency" = "{slots}" }}
[timeouts]
drain_ms = 2000
[log]
filter = "warn"
"#
    )
}
