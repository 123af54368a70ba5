//! `dfaas-sim bound`.

use std::io::{self, Write};

use clap::Args;
use dfaas_sim::bound::bounds;

use super::Chosen;

#[derive(Args)]
pub(super) struct Bound {
    #[command(flatten)]
    chosen: Chosen,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Bound {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let bounds = bounds(&self.chosen.load()?.draw()?);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &bounds)?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(out, "offered        {:.1} calls", bounds.offered)?;
        for (name, calls) in [
            ("no forwarding", bounds.no_forwarding),
            ("one hop", bounds.one_hop),
            ("any hops", bounds.multi_hop),
        ] {
            let share = 100.0 * calls / bounds.offered.max(1e-9);
            writeln!(out, "{name:13}  {calls:.1} calls, {share:.3} %")?;
        }
        Ok(())
    }
}
