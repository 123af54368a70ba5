//! What a node that wants a certificate and the agent that issues it say to one another: one frame each.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::signed;
use super::{Certificate, InvitationId, MembershipError, Secret};

/// The most bytes that a frame has.
pub const MAX_FRAME: usize = 1024;
const VERSION: u8 = 1;

/// What is asked for. The node is the one that the connection proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinRequest {
    /// To be admitted by an invitation.
    Invited {
        /// Which one.
        invitation: InvitationId,
        /// Its secret.
        secret: Secret,
    },
    /// Another certificate for a member whose own is still valid, which the connection showed.
    Renew,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// It is a member.
    Admitted {
        /// The certificate.
        certificate: Certificate,
        /// The TCP port of the issuer's overlay, to begin with, if it listens there.
        overlay_port: Option<u16>,
    },
    /// It is not.
    Refused(NotAdmitted),
}

/// Why a node is not admitted. Of an invitation it is not said what is wrong with it, as whoever asks may be guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum NotAdmitted {
    /// The invitation.
    #[error(
        "the invitation is of no use: it was used, it has ended, or this authority never gave it; ask for a new one"
    )]
    Invitation,
    /// The node is no member that could renew its certificate.
    #[error(
        "the node has no valid certificate that could be renewed; join anew with a new invitation"
    )]
    NoMember,
    /// The node was revoked.
    #[error(
        "the authority revoked this node for good; give it a new key (move node.key away) and a new invitation"
    )]
    Revoked,
    /// The issuer cannot do it now.
    #[error("the issuer cannot do it now; its log says why; try again")]
    Failed,
}

impl JoinRequest {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        signed::write(VERSION, self)
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// If they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<JoinRequest, MembershipError> {
        signed::read(VERSION, MAX_FRAME, bytes)
    }
}

impl JoinAnswer {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        signed::write(VERSION, self)
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// If they are none. The certificate is not verified.
    pub fn from_bytes(bytes: &[u8]) -> Result<JoinAnswer, MembershipError> {
        signed::read(VERSION, MAX_FRAME, bytes)
    }
}
