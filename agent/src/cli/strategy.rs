//! `dfaas strategy`.

use clap::Args;
use dfaas_protocol::strategy::StrategyName;

use super::admin::{Admin, block_on};
use crate::admin::view::StrategyChoice;

const PATH: &str = "/v1/strategy";

/// Shows by which strategy an agent spreads its calls, or puts another one to work without losing a call.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas strategy
  dfaas strategy recalc")]
pub(super) struct Strategy {
    /// The strategy to put to work.
    #[arg(help = format!("The strategy to put to work: {}", StrategyName::list()))]
    name: Option<StrategyName>,
    #[command(flatten)]
    admin: Admin,
}

impl Strategy {
    pub(super) fn run(self) -> anyhow::Result<()> {
        super::print(&block_on(self.text())?)
    }

    async fn text(&self) -> anyhow::Result<String> {
        let answer = match self.name {
            Some(strategy) => self.admin.put(PATH, &StrategyChoice { strategy }).await?,
            None => self.admin.get(PATH).await?,
        };
        let at_work: StrategyChoice = self.admin.read(&answer)?;
        Ok(format!("{}\n", at_work.strategy))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::admin::sample::serve_sample;
    use crate::admin::source::Source;

    #[tokio::test]
    async fn a_strategy_is_shown_and_put_to_work() {
        let (at, sample) = serve_sample().await;
        let with = |name| Strategy {
            name,
            admin: Admin::at(at),
        };
        assert_eq!(with(None).text().await.unwrap(), "headroom\n");
        let set = with(Some(StrategyName::Recalc)).text().await.unwrap();
        assert_eq!(set, "recalc\n");
        assert_eq!(sample.strategy(), StrategyName::Recalc);
        sample.stopping.store(true, Ordering::Relaxed);
        let error = with(Some(StrategyName::Static)).text().await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("answers 503: the agent is stopping"),
            "{error}"
        );
    }
}
