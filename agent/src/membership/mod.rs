//! Who this node lets in: nobody (it stands alone), everybody (an open federation), or the members of one federation.
//!
//! Both channels, the overlay and the peers', ask here in each handshake, and every connection that lives asks again whenever
//! somebody stops being a member. What is decided is decided by `dfaas_protocol::membership`; this keeps it in files, looks at
//! the clock, and tells who has to hear of it.

mod authority;
mod error;
mod federation;
mod store;
mod watch;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dfaas_protocol::membership::{
    Certificate, FederationId, MembershipError, Region, Revocation, Right, Rights, UnixTime,
};
use dfaas_protocol::policy::NODE_REGION;
use dfaas_protocol::wire::Message;
use dfaas_protocol::{NodeId, NodeLabels};
use tokio::sync::mpsc;

use crate::config::FederationConfig;

pub use authority::{AuthorityDir, Terms};
pub use error::FileError;
pub use federation::Federation;
pub use store::{Issuer, Store};

/// Now, by the clock on the wall.
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap_or_default().as_secs())
}

/// Who this node lets in. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub enum Membership {
    /// Nobody, and it goes to nobody.
    Alone,
    /// Every node.
    Open,
    /// The members of a federation.
    Closed(Arc<Federation>),
}

/// Messages for all neighbours: what this node heard first, or has of its own.
pub type News = mpsc::UnboundedReceiver<Message>;

impl Membership {
    /// What the configuration and the files of a node come to. With a federation, what is to be told to neighbours comes
    /// out of the receiver; otherwise it ends at once.
    ///
    /// # Errors
    /// If a file cannot be read, or does not say what it should.
    pub fn load(
        node: NodeId,
        config: &FederationConfig,
        state_dir: &std::path::Path,
        region: Option<Region>,
    ) -> Result<(Membership, News), FileError> {
        let (sender, news) = mpsc::unbounded_channel();
        let membership = match config {
            FederationConfig::Open => Membership::Open,
            FederationConfig::Closed(closed) => {
                match Federation::load(node, closed, state_dir, region, sender)? {
                    Some(federation) => Membership::Closed(Arc::new(federation)),
                    None => Membership::Alone,
                }
            }
        };
        Ok((membership, news))
    }

    /// For a node that is about to join: it knows members by their certificates, and has none itself.
    pub fn outside(node: NodeId, federation: FederationId) -> Membership {
        Membership::Closed(Arc::new(Federation::outside(node, federation)))
    }

    /// The federation, if it is a closed one.
    pub fn federation(&self) -> Option<&Arc<Federation>> {
        match self {
            Membership::Closed(federation) => Some(federation),
            Membership::Alone | Membership::Open => None,
        }
    }

    /// Checks what a node showed in a handshake: the bytes of its certificate, if there were any.
    ///
    /// # Errors
    /// If it is not let in.
    pub fn check(&self, node: NodeId, shown: Option<&[u8]>) -> Result<(), MembershipError> {
        match self {
            Membership::Open => Ok(()),
            Membership::Alone => Err(MembershipError::Missing),
            Membership::Closed(federation) => {
                let bytes = shown.ok_or(MembershipError::Missing)?;
                federation.check(node, &Certificate::from_bytes(bytes)?)
            }
        }
    }

    /// Whether a node may have connections with this one now.
    pub fn admits(&self, node: NodeId) -> bool {
        match self {
            Membership::Open => true,
            Membership::Alone => false,
            Membership::Closed(federation) => federation.admits(node),
        }
    }

    /// Waits until a node may have no connections with this one any more.
    pub async fn lost(&self, node: NodeId) {
        let Membership::Closed(federation) = self else {
            return std::future::pending().await;
        };
        let mut changes = federation.changes();
        while federation.admits(node) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Does that until it is done, or until a node may have no connections with this one any more.
    pub async fn while_admitted<T>(
        &self,
        node: NodeId,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            () = self.lost(node) => {
                tracing::info!(%node, "a connection was cut: its node is no member any more");
                None
            }
            done = work => Some(done),
        }
    }

    /// Whether calls may go from one node to another, of which one is this.
    pub fn may_call(&self, from: NodeId, to: NodeId) -> bool {
        match self {
            Membership::Alone | Membership::Open => true,
            Membership::Closed(federation) => {
                federation.rights(from).include(Right::Call) && self.may_serve(to)
            }
        }
    }

    /// Whether a node may take calls of others.
    pub fn may_serve(&self, node: NodeId) -> bool {
        match self {
            Membership::Alone | Membership::Open => true,
            Membership::Closed(federation) => federation.rights(node).include(Right::Serve),
        }
    }

    /// The labels of a node: in a federation its region is what its certificate says, and not what it says itself.
    pub fn vouched(&self, node: NodeId, labels: NodeLabels) -> NodeLabels {
        match self {
            Membership::Alone | Membership::Open => labels,
            Membership::Closed(federation) => {
                let region = federation.region(node);
                labels.with(NODE_REGION, region.as_ref().map(Region::as_str))
            }
        }
    }

    /// Hears what a neighbour says of members.
    pub fn hear_members(&self, from: NodeId, members: &[Certificate]) {
        if let Membership::Closed(federation) = self {
            federation.hear_members(from, members);
        }
    }

    /// Hears what a neighbour says of nodes that are no members any more.
    pub fn hear_revocations(&self, from: NodeId, revocations: &[Revocation]) {
        if let Membership::Closed(federation) = self {
            federation.hear_revocations(from, revocations);
        }
    }

    /// All that is known, for a neighbour that is new or may have missed something; the revocations first.
    pub fn everything(&self) -> Vec<Message> {
        match self {
            Membership::Alone | Membership::Open => Vec::new(),
            Membership::Closed(federation) => federation.everything(),
        }
    }
}

/// The rights of a node of which nothing is known.
const NO_RIGHTS: Rights = Rights::NONE;
