//! Who belongs to a federation.
//!
//! A federation is an Ed25519 key, its authority's. The authority signs a [`Certificate`] for each member over the member's
//! [`NodeId`], with an end, a region and rights, and a [`Revocation`] for a node that is to be a member no more. A
//! [`Register`] is what one node knows of both. A [`Token`] is what a node is handed to be admitted with.
//!
//! Times are seconds since 1970 of the clock on the wall, as certificates outlive restarts and travel. A certificate may have
//! been issued up to [`CLOCK_TOLERANCE`] in the future, as clocks differ; it ends on time by the clock of whoever looks, so
//! that it is renewed long before.

mod authority;
mod certificate;
mod federation;
mod joining;
mod register;
mod revocation;
mod rights;
mod signed;
mod time;
mod token;

use thiserror::Error;

use crate::NodeId;

pub use authority::Authority;
pub use certificate::{Certificate, Grant, MAX_CERTIFICATE, MAX_VALIDITY, Region};
pub use federation::{FederationId, FederationIdError};
pub use joining::{JoinAnswer, JoinRequest, MAX_FRAME, NotAdmitted};
pub use register::{Heard, MOST_MEMBERS, MOST_REVOCATIONS, Register};
pub use revocation::Revocation;
pub use rights::{Right, Rights, RightsError};
pub use signed::Signature;
pub use time::UnixTime;
pub use token::{InvitationId, Secret, Token, TokenError};

/// How far in the future a certificate may have been issued, by the clock of whoever looks.
pub const CLOCK_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Why something that should prove a membership does not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MembershipError {
    /// There is no certificate.
    #[error(
        "the node shows no membership certificate: it has to join this federation with `dfaas federation join`"
    )]
    Missing,
    /// The bytes or the text are none.
    #[error(
        "this is no membership certificate or revocation that this release reads: copy it again, whole, and run the \
         same release everywhere"
    )]
    Unreadable,
    /// The signature is not the authority's.
    #[error(
        "the signature is not that of the authority of {0}: it was altered or forged; have the authority sign it anew"
    )]
    Forged(FederationId),
    /// It is of another federation.
    #[error("it is of the federation {theirs}, not of {ours}: join the one that is meant")]
    Foreign {
        /// Of which it is.
        theirs: FederationId,
        /// Of which it should be.
        ours: FederationId,
    },
    /// It is another node's.
    #[error(
        "the certificate is that of {named}, not of {shown_by} who shows it: a node needs one for its own key"
    )]
    OtherNode {
        /// Whose it is.
        named: NodeId,
        /// Who shows it.
        shown_by: NodeId,
    },
    /// It was issued in the future.
    #[error(
        "the certificate was issued in the future, at {0}: set the clock of this machine and of the authority's"
    )]
    NotYet(UnixTime),
    /// It has ended.
    #[error(
        "the certificate ended at {0}: join anew with a new invitation, and check the clock of this machine"
    )]
    Expired(UnixTime),
    /// It ends before it begins, or lasts longer than any may.
    #[error("a certificate lasts between a second and 366 days: have the authority sign another")]
    Validity,
    /// The authority has taken it back.
    #[error(
        "the authority revoked the membership of {0} for good: the machine may come back with a new key and a new \
         invitation"
    )]
    Revoked(NodeId),
    /// More members or revocations than a node keeps.
    #[error(
        "there are more members, or more revocations, than a node keeps (4096 of each): found another federation"
    )]
    Full,
}
