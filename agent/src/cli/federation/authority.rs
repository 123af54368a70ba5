//! What the holder of the authority's key does.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{Grant, Region, Rights};

use super::time;
use crate::admin::view::{Federation, SignedRevocation};
use crate::cli::admin::{Admin, Credentials, block_on};
use crate::membership::{AuthorityDir, Terms, now};

/// The port of the peer channel, where none is said.
const PEER_PORT: u16 = 31601;
/// The longest that an invitation may be good for.
const LONGEST_INVITATION: Duration = Duration::from_secs(7 * 86_400);

/// Founds a federation: makes its authority's key, which admits its members. Keep a copy of it where nobody finds it.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// The directory to make it in.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// What a member is granted.
#[derive(Args, Debug)]
struct Granted {
    /// How long each certificate of the node lasts; it gets another by itself when a third is left. At most 366d.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time)]
    valid: Duration,
    /// The region that the node is in: functions with the label dfaas.region believe nothing else.
    #[arg(long)]
    region: Option<Region>,
    /// What it may do: call (its calls are run by others), serve (it is brought calls of others), both, or none.
    #[arg(long, default_value = "call,serve")]
    rights: Rights,
}

impl Granted {
    fn terms(self) -> Terms {
        Terms {
            grant: Grant {
                region: self.region,
                rights: self.rights,
            },
            validity: self.valid,
        }
    }
}

/// Prints a token with which one node can join, once, and soon. Hand it over where nobody else reads it: whoever has it first
/// joins.
#[derive(Args, Debug)]
pub(super) struct Invite {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where the new node reaches the peer port of the agent that issues certificates.
    #[arg(long, value_name = "HOST[:PORT]")]
    at: String,
    /// The id of that agent, if it is not the one that ran with this directory last.
    #[arg(long, value_name = "NODE_ID")]
    node: Option<NodeId>,
    /// How long the token is good for, at most 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = time)]
    good_for: Duration,
    #[command(flatten)]
    granted: Granted,
}

/// Prints a certificate for a node that cannot be reached; it takes it with `dfaas federation join --certificate FILE`.
#[derive(Args, Debug)]
pub(super) struct Sign {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The node, as its `dfaas status` prints it.
    node: NodeId,
    #[command(flatten)]
    granted: Granted,
}

/// Takes the membership of a node back, for good. Its connections are cut within seconds, wherever the word arrives.
#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The node, as `dfaas federation show` prints it.
    node: NodeId,
    /// The admin address of an agent to tell; the one that runs with the directory finds it by itself.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    #[command(flatten)]
    shows: Credentials,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let authority = AuthorityDir::init(&self.dir)?;
        let directory = std::path::absolute(&self.dir).unwrap_or(self.dir);
        crate::cli::print(&format!(
            "{}\n\nThe federation {} is founded. On the node that is to issue its certificates, set\n  [federation]\n  \
             authority = {directory:?}\nand start the agent; then `dfaas federation invite --dir {}` prints tokens.\n",
            authority.federation(),
            authority.federation(),
            directory.display(),
        ))
    }
}

impl Invite {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let authority = AuthorityDir::open(&self.dir)?;
        ensure!(
            self.good_for <= LONGEST_INVITATION,
            "a token that is good for so long is found by somebody else first; give --for 7d or less"
        );
        let issuer = match self.node {
            Some(node) => node,
            None => authority.issuer()?.with_context(|| {
                format!(
                    "no agent has issued certificates with {} yet: start one with federation.authority set to it, or name \
                     it with --node",
                    self.dir.display()
                )
            })?,
        };
        let at = with_port(&self.at)?;
        let terms = self.granted.terms();
        ensure!(
            terms.validity <= dfaas_protocol::membership::MAX_VALIDITY,
            "a certificate lasts 366 days at most; give --valid 366d or less"
        );
        let expires = now().after(self.good_for);
        let token = authority.invite((at, issuer), &terms, now(), expires)?;
        eprintln!("one node can join with this token until {expires}:");
        crate::cli::print(&format!("{}\n", token.to_text().as_str()))
    }
}

impl Sign {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let authority = AuthorityDir::open(&self.dir)?;
        let certificate = authority.sign(self.node, &self.granted.terms(), now())?;
        crate::cli::print(&format!("{certificate}\n"))
    }
}

impl Revoke {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let revocation = AuthorityDir::open(&self.dir)?.revoke(self.node, now())?;
        let Some(address) = self.admin else {
            return crate::cli::print(&format!(
                "{} is revoked; the agent that runs with {} tells the others\n",
                self.node,
                self.dir.display()
            ));
        };
        let admin = Admin::new(address, self.shows);
        let sent = SignedRevocation {
            revocation: revocation.to_string(),
        };
        block_on(async {
            let answer = admin.put("/v1/federation/revocations", &sent).await?;
            admin.read::<Federation>(&answer)
        })?;
        crate::cli::print(&format!(
            "{} is revoked, and the agent tells the others\n",
            self.node
        ))
    }
}

/// `HOST:PORT`, with the usual port where none is given.
fn with_port(at: &str) -> anyhow::Result<String> {
    let host_only = |host: &str| !host.is_empty() && !host.contains(':');
    let is_bracketed = |host: &str| host.starts_with('[') && host.ends_with(']');
    let address = match at.rsplit_once(':') {
        Some((host, port)) if host_only(host) || is_bracketed(host) => {
            let port: Option<u16> = port.parse().ok().filter(|port| *port > 0);
            port.map(|port| format!("{host}:{port}"))
        }
        _ if host_only(at) || is_bracketed(at) => Some(format!("{at}:{PEER_PORT}")),
        // An IPv6 address without brackets.
        _ => at
            .parse::<std::net::Ipv6Addr>()
            .ok()
            .map(|ip| format!("[{ip}]:{PEER_PORT}")),
    };
    let usable =
        |address: &String| address.bytes().all(|b| b.is_ascii_graphic()) && address.len() <= 260;
    address.filter(usable).with_context(|| {
        format!(
            "{at:?} is no address; give the issuing agent's peer address, such as 192.0.2.1:31601"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        for (given, address) in [
            ("192.0.2.1", "192.0.2.1:31601"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("edge.example", "edge.example:31601"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("[2001:db8::1]", "[2001:db8::1]:31601"),
            ("2001:db8::1", "[2001:db8::1]:31601"),
        ] {
            assert_eq!(with_port(given).unwrap(), address);
        }
        for bad in ["", ":7", "host:", "host:0", "host:x", "a b", "a:b:c"] {
            assert!(with_port(bad).is_err(), "{bad}");
        }
    }
}
