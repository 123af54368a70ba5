//! One site of the demo: an agent in a process of its own, with an embedded platform.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use dfaas_protocol::NodeId;
use dfaas_protocol::strategy::StrategyName;
use tokio::time::Instant;

use crate::lab::{AgentProcess, LOOK, stop_agents};

/// The function of the demo.
const FUNCTION: &str = "work";

/// A site.
#[derive(Debug)]
pub(super) struct Site {
    slots: u32,
    service: Duration,
    hot: bool,
    agent: AgentProcess,
}

impl Site {
    /// Where the agent of a site in that directory keeps its state.
    pub(super) fn state(directory: &Path) -> PathBuf {
        directory.join("state")
    }

    /// Starts an agent and waits until it is ready. The first one has nobody to begin with, and is the overloaded one.
    pub(super) async fn start(
        directory: &Path,
        slots: u32,
        service: Duration,
        bootstrap: Option<&str>,
        limit: Duration,
    ) -> anyhow::Result<Site> {
        let config = config_text(directory, slots, service, bootstrap);
        Ok(Site {
            slots,
            service,
            hot: bootstrap.is_none(),
            agent: AgentProcess::start(directory, &config, &[], limit).await?,
        })
    }

    pub(super) fn node_id(&self) -> NodeId {
        self.agent.ready.node_id
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
        self.agent
            .ready
            .addresses
            .overlay
            .first()
            .map(String::as_str)
    }

    pub(super) fn function_url(&self) -> String {
        format!(
            "http://{}/function/{FUNCTION}",
            self.agent.ready.addresses.ingress
        )
    }

    /// Switches the strategy of the running agent.
    pub(super) async fn switch(&self, strategy: StrategyName) -> anyhow::Result<()> {
        self.agent.switch(strategy).await
    }

    /// How many neighbours it hears that offer the function.
    async fn acquainted(&self) -> anyhow::Result<usize> {
        let peers = self.agent.peers().await?;
        Ok(peers.iter().filter(|p| !p.functions.is_empty()).count())
    }
}

/// The executions of all sites, in their order.
pub(super) async fn executions(sites: &[Site]) -> anyhow::Result<Vec<u64>> {
    futures::future::try_join_all(sites.iter().map(|site| site.agent.executions())).await
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
pub(super) async fn stop(sites: Vec<Site>) {
    stop_agents(sites.into_iter().map(|site| site.agent)).await;
}

fn config_text(directory: &Path, slots: u32, service: Duration, bootstrap: Option<&str>) -> String {
    let state = toml::Value::from(Site::state(directory).display().to_string());
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
