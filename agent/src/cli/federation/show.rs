//! `dfaas federation show`.

use clap::Args;

use crate::admin::view::{Federation, LetsIn};
use crate::cli::admin::block_on;
use crate::cli::table::table;
use crate::cli::view::View;

const PATH: &str = "/v1/federation";

/// Shows in which federation an agent is and until when, and which members and revoked nodes it knows.
#[derive(Args, Debug)]
pub(super) struct Show {
    #[command(flatten)]
    view: View,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<()> {
        crate::cli::print(&block_on(self.text())?)
    }

    async fn text(&self) -> anyhow::Result<String> {
        self.view.text(PATH, render).await
    }
}

fn render(view: &Federation) -> String {
    let mut text = format!("node        {}\n", view.node_id);
    let Some(id) = view.federation else {
        text.push_str(match view.lets_in {
            LetsIn::Everybody => "federation  open: every node that can connect is let in\n",
            LetsIn::Nobody | LetsIn::Members => {
                "federation  none: the node stands alone; `dfaas federation join TOKEN` makes it a member\n"
            }
        });
        return text;
    };
    text.push_str(&format!("federation  {id}\n"));
    text.push_str(&match &view.own {
        Some(own) => format!(
            "member      until {}, rights: {}\n",
            own.expires, own.rights
        ),
        None => "member      no: the node has no certificate of use\n".to_owned(),
    });
    if view.issues {
        text.push_str("issues      certificates, to whoever was invited and to members\n");
    }
    let members = view.members.iter().map(|member| {
        [
            member.node_id.to_string(),
            member.expires.to_string(),
            member.region.clone().unwrap_or_default(),
            member.rights.clone(),
        ]
    });
    text.push('\n');
    text.push_str(&table(
        ["MEMBER", "UNTIL", "REGION", "RIGHTS"],
        members.collect(),
    ));
    if !view.revoked.is_empty() {
        let revoked = view.revoked.iter();
        let revoked = revoked.map(|r| [r.node_id.to_string(), r.at.to_string()]);
        text.push('\n');
        text.push_str(&table(["REVOKED", "AT"], revoked.collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample::{Sample, serve_sample};
    use crate::admin::source::Source;

    #[tokio::test]
    async fn members_and_revoked_ones_are_shown() {
        let (at, _sample) = serve_sample().await;
        let show = |json| Show {
            view: View::of(at, json),
        };
        let text = show(false).text().await.unwrap();
        for part in [
            "until 2026-12-20T16:00:00Z",
            "north",
            "REVOKED",
            "rights: call,serve",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = show(true).text().await.unwrap();
        let read: Federation = serde_json::from_str(&json).unwrap();
        assert_eq!(render(&read), text);
    }

    #[test]
    fn a_node_without_a_federation_says_what_to_do() {
        let mut view = Source::federation(&Sample::new());
        view.federation = None;
        view.lets_in = LetsIn::Nobody;
        assert!(render(&view).contains("federation join"));
        view.lets_in = LetsIn::Everybody;
        assert!(render(&view).contains("every node"));
    }
}
