//! `dfaas federation join`.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use dfaas_protocol::membership::{Certificate, Token};
use zeroize::Zeroizing;

use crate::cli::admin::block_on;
use crate::config::{Config, FederationConfig, Overrides};
use crate::identity::Identity;
use crate::joining;
use crate::membership::{Membership, Store, now};

/// Makes this node a member of a federation. An agent that runs here already as a member takes a new certificate up by itself;
/// one that stands alone has to be started anew.
#[derive(Args, Debug)]
pub(super) struct Join {
    /// The token that `dfaas federation invite` printed, or - to read it from standard input, so that it shows in no list of
    /// processes.
    #[arg(
        required_unless_present = "certificate",
        conflicts_with = "certificate"
    )]
    token: Option<String>,
    /// Takes the certificate that `dfaas federation sign` printed into this file, without asking anybody.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The configuration of the agent here, which says where its state is.
    #[arg(long, env = "DFAAS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The agent's state directory, instead of the configuration's.
    #[arg(long, env = "DFAAS_STATE_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Join {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(self.config.as_deref(), &Overrides::default())?;
        let file = match &config.federation {
            FederationConfig::Open => bail!(
                "the configuration says federation.open = true, so that a certificate would be of no use: remove that \
                 first"
            ),
            FederationConfig::Closed(closed) => closed.certificate.as_deref(),
        };
        let state_dir = self.dir.as_ref().unwrap_or(&config.state_dir);
        let store = Store::new(state_dir, file);
        let identity = Identity::load_or_create(state_dir)?;
        let certificate = match &self.certificate {
            Some(path) => signed(path, &identity, &store)?,
            None => {
                let token = self.token()?;
                block_on(async { Ok(joining::join(&identity, &store, &token).await?) })?
            }
        };
        crate::cli::print(&format!(
            "{} is a member of the federation {} until {}, with the rights: {}\n",
            certificate.node(),
            certificate.federation(),
            certificate.expires(),
            certificate.grant().rights,
        ))
    }

    fn token(&self) -> anyhow::Result<Token> {
        let mut text = Zeroizing::new(String::with_capacity(4096));
        match self.token.as_deref() {
            None | Some("-") => {
                let read = std::io::stdin().lock().take(4096).read_to_string(&mut text);
                read.context("the token cannot be read from standard input")?;
            }
            Some(token) => text.push_str(token),
        }
        Ok(text.parse()?)
    }
}

/// Takes a certificate from a file. It is the operator who says by it which federation is meant.
fn signed(
    path: &std::path::Path,
    identity: &Identity,
    store: &Store,
) -> anyhow::Result<Certificate> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let certificate: Certificate = text.parse()?;
    let membership = Membership::outside(identity.node_id(), certificate.federation());
    membership.check(identity.node_id(), Some(&certificate.to_bytes()))?;
    if let Some(old) = store.certificate()?
        && old.federation() == certificate.federation()
        && old.verify(old.federation(), now()).is_ok()
        && old.replaces(&certificate)
    {
        bail!(
            "the node has a certificate that was issued later, which is kept: {}",
            store.certificate_file().display()
        );
    }
    store.keep_certificate(&certificate)?;
    Ok(certificate)
}
