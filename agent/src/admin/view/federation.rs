//! Who is let in.

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{Certificate, FederationId, Revocation, UnixTime};
use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/federation`. There is nothing secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// This node.
    pub node_id: NodeId,
    /// Whom it lets in.
    pub lets_in: LetsIn,
    /// The federation, if it is a closed one.
    pub federation: Option<FederationId>,
    /// This node's own membership, if it has one.
    pub own: Option<Member>,
    /// Whether it issues certificates.
    pub issues: bool,
    /// The members that it knows, itself included, by node.
    pub members: Vec<Member>,
    /// The nodes that it knows to be members no more, by node.
    pub revoked: Vec<Revoked>,
}

/// Whom a node lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LetsIn {
    /// Nobody: it stands alone.
    Nobody,
    /// Every node.
    Everybody,
    /// The members of its federation.
    Members,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub node_id: NodeId,
    /// When its certificate was issued, in seconds since 1970.
    pub issued: UnixTime,
    /// When its certificate ends, in seconds since 1970.
    pub expires: UnixTime,
    /// Its region, if the authority says so.
    pub region: Option<String>,
    /// Its rights, with commas between them, or `none`.
    pub rights: String,
}

/// A node that is a member no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who.
    pub node_id: NodeId,
    /// When it was revoked, in seconds since 1970.
    pub at: UnixTime,
}

/// The body of `PUT /v1/federation/revocations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRevocation {
    /// The line that the authority signed.
    pub revocation: String,
}

impl From<&Certificate> for Member {
    fn from(certificate: &Certificate) -> Member {
        let grant = certificate.grant();
        Member {
            node_id: certificate.node(),
            issued: certificate.issued(),
            expires: certificate.expires(),
            region: grant.region.as_ref().map(ToString::to_string),
            rights: grant.rights.to_string(),
        }
    }
}

impl From<&Revocation> for Revoked {
    fn from(revocation: &Revocation) -> Revoked {
        Revoked {
            node_id: revocation.node(),
            at: revocation.at(),
        }
    }
}
