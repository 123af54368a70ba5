//! `dfaas-sim list`.

use std::io::{self, Write};

use clap::Args;
use dfaas_sim::scenario::{SHIPPED, Scenario};

#[derive(Args)]
pub(super) struct List {
    /// Print the file of this scenario, to start another one from
    scenario: Option<String>,
}

impl List {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if let Some(name) = &self.scenario {
            let found = SHIPPED.iter().find(|(shipped, _)| shipped == name);
            let (_, text) = found.ok_or_else(|| {
                anyhow::anyhow!("no scenario {name:?} is shipped; `dfaas-sim list` names them")
            })?;
            write!(out, "{text}")?;
            return Ok(());
        }
        for (name, _) in SHIPPED {
            let scenario = Scenario::load(name, &[])?;
            writeln!(out, "{name:20} {}", scenario.purpose)?;
        }
        Ok(())
    }
}
