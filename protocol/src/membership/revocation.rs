//! What ends a membership before its time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::signed::{self, Signature};
use super::{FederationId, MAX_VALIDITY, MembershipError, UnixTime};
use crate::NodeId;

/// The most bytes that a revocation has.
const MAX_REVOCATION: usize = 256;
const VERSION: u8 = 1;
const KIND: &[u8] = b"dfaas membership revocation";
const TEXT: &str = "dfaas-revocation-";

/// What the authority signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Says {
    federation: FederationId,
    node: NodeId,
    at: UnixTime,
}

/// The authority's word that a node is no member any more, whatever certificates it has or shows. It holds for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    says: Says,
    signature: Signature,
}

impl Revocation {
    pub(super) fn sign(
        federation: FederationId,
        node: NodeId,
        at: UnixTime,
        sign: impl FnOnce(&[u8]) -> Signature,
    ) -> Revocation {
        let says = Says {
            federation,
            node,
            at,
        };
        let signature = sign(&signed::message(KIND, VERSION, &says));
        Revocation { says, signature }
    }

    /// Verifies that the authority of that federation signed it.
    ///
    /// # Errors
    /// If it did not.
    pub fn verify(&self, federation: FederationId) -> Result<(), MembershipError> {
        if self.says.federation != federation {
            return Err(MembershipError::Foreign {
                theirs: self.says.federation,
                ours: federation,
            });
        }
        let message = signed::message(KIND, VERSION, &self.says);
        self.signature.verify(federation, &message)
    }

    /// The federation.
    pub fn federation(&self) -> FederationId {
        self.says.federation
    }

    /// Who is no member any more.
    pub fn node(&self) -> NodeId {
        self.says.node
    }

    /// When it was revoked.
    pub fn at(&self) -> UnixTime {
        self.says.at
    }

    /// Whether every certificate that the node can have had has ended by itself, so that this one need not be kept. The
    /// authority, which issues no other, keeps it all the same.
    pub fn is_past(&self, now: UnixTime) -> bool {
        // Twice, as the authority's clock and this one may differ.
        now > self.says.at.after(2 * MAX_VALIDITY)
    }
}

impl fmt::Display for Revocation {
    /// As a line of text for a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&signed::to_text(TEXT, &signed::write(VERSION, self)))
    }
}

impl FromStr for Revocation {
    type Err = MembershipError;

    fn from_str(text: &str) -> Result<Revocation, MembershipError> {
        let bytes = signed::of_text(TEXT, MAX_REVOCATION, text);
        signed::read(
            VERSION,
            MAX_REVOCATION,
            &bytes.ok_or(MembershipError::Unreadable)?,
        )
    }
}
