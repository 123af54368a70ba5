//! A closed federation for tests: an authority in a directory, and agents with its certificates.

use std::path::PathBuf;
use std::time::Duration;

use dfaas_agent::membership::{AuthorityDir, Terms};
use dfaas_protocol::membership::{Grant, Rights};

use crate::agent::{Agent, Site, state_in};

/// An authority, in a directory that goes with it.
#[derive(Debug)]
pub struct Federation {
    directory: tempfile::TempDir,
    authority: AuthorityDir,
}

/// What members get: every right, for that long.
pub fn lasting(validity: Duration) -> Terms {
    Terms {
        validity,
        ..Terms::default()
    }
}

/// What members get: these rights, and a month.
pub fn with_rights(rights: Rights) -> Terms {
    Terms {
        grant: Grant {
            region: None,
            rights,
        },
        ..Terms::default()
    }
}

impl Federation {
    /// A new one.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn new() -> Federation {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("authority");
        Federation {
            authority: AuthorityDir::init(&path).expect("an authority is made"),
            directory,
        }
    }

    /// The authority's directory.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("authority")
    }

    /// The authority.
    pub fn authority(&self) -> &AuthorityDir {
        &self.authority
    }

    /// Starts an agent that is a member.
    pub async fn start(&self, site: Site) -> Agent {
        self.start_with(site, &Terms::default()).await
    }

    /// Starts an agent that is a member on those terms.
    ///
    /// # Panics
    /// If it is not admitted.
    pub async fn start_with(&self, site: Site, terms: &Terms) -> Agent {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let state = state_in(directory.path());
        self.authority.enrol(&state, terms).expect("it is admitted");
        site.federation("").start_in(directory).await
    }

    /// Starts an agent that issues certificates.
    pub async fn start_issuer(&self, site: Site) -> Agent {
        let authority = format!("authority = {:?}", self.path());
        site.federation(&authority).start().await
    }
}

impl Default for Federation {
    fn default() -> Federation {
        Federation::new()
    }
}
