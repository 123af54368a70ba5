//! `dfaas federation`.

mod authority;
mod join;
mod show;

use std::time::Duration;

use clap::{Args, Subcommand};

/// Founds a federation, admits nodes to it, and takes memberships back.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas federation init --dir /var/lib/dfaas/authority                           found a federation
  dfaas federation invite --dir /var/lib/dfaas/authority --at edge1.example      a token for one node
  dfaas federation join dfaas-join-... --config /etc/dfaas/agent.toml        on that node, before its agent starts
  dfaas federation show                                                      who is a member
  dfaas federation revoke --dir /var/lib/dfaas/authority NODE_ID                 nobody lets that node in any more

An agent whose configuration says federation.authority = \"/var/lib/dfaas/authority\" issues the certificates.")]
pub(super) struct Federation {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(authority::Init),
    Invite(authority::Invite),
    Join(join::Join),
    Sign(authority::Sign),
    Revoke(authority::Revoke),
    Show(show::Show),
}

impl Federation {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Init(init) => init.run(),
            Command::Invite(invite) => invite.run(),
            Command::Join(join) => join.run(),
            Command::Sign(sign) => sign.run(),
            Command::Revoke(revoke) => revoke.run(),
            Command::Show(show) => show.run(),
        }
    }
}

/// A time such as `30d`, `12h`, `10m` or `90s`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no time; give a number and d, h, m or s, such as 30d or 10m");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = count.checked_mul(seconds).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("30d", 2_592_000), ("12h", 43_200), ("10m", 600), ("1s", 1)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "d",
            "10",
            "0s",
            "-1m",
            "1.5h",
            "10 m",
            "1ä",
            "99999999999999999d",
        ] {
            assert!(time(text).unwrap_err().contains("such as 30d"), "{text}");
        }
    }
}
