//! `dfaas agent`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Overrides, RunOptions};
use crate::telemetry::logging;

/// Runs an agent until SIGTERM or SIGINT; then it lets running calls end.
///
/// Without a configuration file, defaults hold. A flag goes before its variable in the environment, and that before the file.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas agent --config /etc/dfaas/agent.toml
  dfaas agent --platform-url http://127.0.0.1:8080 --bootstrap /ip4/192.0.2.2/tcp/31600")]
pub(super) struct Agent {
    /// Reads the configuration from this TOML file.
    #[arg(long, env = "DFAAS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Writes where the agent listens, as JSON, once it is ready.
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    ready_file: Option<PathBuf>,
    /// Stops when standard input closes; for a parent process that must leave no agent behind.
    #[arg(long, hide_short_help = true)]
    stop_with_stdin: bool,
    /// Takes a lab's orders from standard input, and stops when that closes.
    #[arg(long, hide = true)]
    lab_orders: bool,
    #[command(flatten)]
    overrides: Overrides,
}

impl Agent {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(self.config.as_deref(), &self.overrides)?;
        logging::init(&config.log)?;
        let options = RunOptions {
            ready_file: self.ready_file,
            stop_with_stdin: self.stop_with_stdin,
            lab_orders: self.lab_orders,
        };
        crate::node::run(config, options)
    }
}
