//! `dfaas cordon` and `dfaas uncordon`.

use clap::Args;

use super::admin::{Admin, block_on};
use crate::admin::view::Cordon;

const PATH: &str = "/v1/cordon";

/// Where the agent is.
#[derive(Args, Debug)]
pub(super) struct At {
    #[command(flatten)]
    admin: Admin,
}

impl At {
    pub(super) fn run(self, cordoned: bool) -> anyhow::Result<()> {
        super::print(&block_on(self.text(cordoned))?)
    }

    async fn text(&self, cordoned: bool) -> anyhow::Result<String> {
        let answer = self.admin.put(PATH, &Cordon { cordoned }).await?;
        let now: Cordon = self.admin.read(&answer)?;
        let word = if now.cordoned {
            "cordoned"
        } else {
            "uncordoned"
        };
        Ok(format!("{word}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample::serve_sample;
    use crate::admin::source::Source;

    #[tokio::test]
    async fn a_node_is_cordoned_and_uncordoned() {
        let (at, sample) = serve_sample().await;
        let admin = At {
            admin: Admin::at(at),
        };
        assert_eq!(admin.text(true).await.unwrap(), "cordoned\n");
        assert!(sample.cordoned());
        assert_eq!(admin.text(false).await.unwrap(), "uncordoned\n");
        assert!(!sample.cordoned());
    }
}
