//! A view of a running agent: a table for people, or the JSON of its admin address for programs.

use clap::Args;
use serde::de::DeserializeOwned;

use super::admin::Admin;

/// Which agent is looked at, and in which form.
#[derive(Args, Debug)]
pub(super) struct View {
    #[command(flatten)]
    admin: Admin,
    /// Prints the JSON of the admin address instead.
    #[arg(long)]
    json: bool,
}

impl View {
    #[cfg(test)]
    pub(super) fn of(address: impl ToString, json: bool) -> View {
        View {
            admin: Admin::at(address),
            json,
        }
    }

    /// What the agent answers at `path`: its JSON once it was understood, or what `render` makes of it.
    pub(super) async fn text<T: DeserializeOwned>(
        &self,
        path: &str,
        render: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<String> {
        let answer = self.admin.get(path).await?;
        let view = self.admin.read(&answer)?;
        Ok(if self.json { answer } else { render(&view) })
    }
}
