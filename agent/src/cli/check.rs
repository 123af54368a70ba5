//! `dfaas check`.

use std::path::PathBuf;

use clap::Args;

use crate::config::ConfigFile;

/// Says whether a configuration file is valid, and if not, all that is wrong with it.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  dfaas check --config /etc/dfaas/agent.toml")]
pub(super) struct Check {
    /// The file.
    #[arg(long, env = "DFAAS_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<()> {
        ConfigFile::read(&self.config)?.resolve()?;
        super::print(&format!("{} is valid\n", self.config.display()))
    }
}
