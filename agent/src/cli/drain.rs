//! `dfaas drain`.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::admin::{Admin, block_on};
use crate::admin::view::{Drain, Status};

/// How often the agent is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(200);

/// Ends an agent without losing a call: neighbours send it nothing more, its clients' new calls go to neighbours, what
/// runs is finished, and then the agent exits. Waits for that.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas drain                  as SIGTERM does, with timeouts.notice_ms of the configuration
  dfaas drain --notice-ms 10000  where a load balancer looks at /healthz every few seconds")]
pub(super) struct Node {
    #[command(flatten)]
    admin: Admin,
    /// Takes clients' calls for so long yet, in milliseconds, while /healthz answers 503, so that load balancers turn away.
    #[arg(long, value_name = "MS")]
    notice_ms: Option<u64>,
    /// Gives up waiting after so many seconds; the agent drains all the same.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

impl Node {
    pub(super) fn run(self) -> anyhow::Result<()> {
        block_on(self.drain())?;
        super::print("drained\n")
    }

    async fn drain(&self) -> anyhow::Result<()> {
        let ask = Drain {
            notice_ms: self.notice_ms,
        };
        self.admin.put("/v1/drain", &ask).await?;
        let until = Instant::now() + Duration::from_secs(self.wait);
        // Its admin address answers as long as it lives.
        while let Ok(answer) = self.admin.get("/v1/status").await {
            let status: Status = self.admin.read(&answer)?;
            if !status.draining {
                bail!("the agent there does not drain; was it started anew?");
            }
            if Instant::now() >= until {
                bail!(
                    "the agent still drains after {} s; it ends what runs, for as long as its timeouts.drain_ms says",
                    self.wait
                );
            }
            sleep(LOOK_AFTER).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample::serve_sample;

    #[tokio::test]
    async fn an_agent_that_never_ends_is_waited_for_no_longer_than_asked() {
        let (at, sample) = serve_sample().await;
        let node = Node {
            admin: Admin::at(at),
            notice_ms: Some(7),
            wait: 0,
        };
        let error = node.drain().await.unwrap_err();
        assert!(error.to_string().contains("still drains"), "{error:#}");
        assert_eq!(sample.asked_to_drain(), Some(Drain { notice_ms: Some(7) }));
    }
}
