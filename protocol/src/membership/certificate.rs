//! What makes a node a member.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signed::{self, Signature};
use super::{CLOCK_TOLERANCE, FederationId, MembershipError, Rights, UnixTime};
use crate::NodeId;
use crate::labels::{LabelsError, is_writable};

/// The longest that a certificate may last.
pub const MAX_VALIDITY: Duration = Duration::from_secs(366 * 86_400);
/// The most bytes that a certificate has. Those of the longest are half as many.
pub const MAX_CERTIFICATE: usize = 512;

const VERSION: u8 = 1;
const KIND: &[u8] = b"dfaas membership certificate";
const TEXT: &str = "dfaas-certificate-";

/// A region that the authority knows a member to be in; it can be the value of a node's label and is not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Region(String);

impl Region {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Region {
    type Error = LabelsError;

    fn try_from(text: String) -> Result<Region, LabelsError> {
        if text.is_empty() || !is_writable(&text) {
            return Err(LabelsError::Unwritable);
        }
        Ok(Region(text))
    }
}

impl FromStr for Region {
    type Err = LabelsError;

    fn from_str(text: &str) -> Result<Region, LabelsError> {
        Region::try_from(text.to_owned())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the authority grants to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Where it is, if the authority says so.
    pub region: Option<Region>,
    /// What it may do.
    pub rights: Rights,
}

/// What the authority signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Says {
    federation: FederationId,
    node: NodeId,
    serial: u64,
    issued: UnixTime,
    expires: UnixTime,
    grant: Grant,
}

/// The authority's word that a node is a member until a certain time. Nothing is verified but where that is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    says: Says,
    signature: Signature,
}

impl Certificate {
    pub(super) fn sign(
        (federation, node): (FederationId, NodeId),
        serial: u64,
        (issued, expires): (UnixTime, UnixTime),
        grant: Grant,
        sign: impl FnOnce(&[u8]) -> Signature,
    ) -> Certificate {
        let says = Says {
            federation,
            node,
            serial,
            issued,
            expires,
            grant,
        };
        let signature = sign(&signed::message(KIND, VERSION, &says));
        Certificate { says, signature }
    }

    /// Verifies that the authority of that federation signed it and that it is valid now. Whether it was revoked is
    /// for a [`super::Register`] to say.
    ///
    /// # Errors
    /// The first reason why it is of no use.
    pub fn verify(&self, federation: FederationId, now: UnixTime) -> Result<(), MembershipError> {
        if self.says.federation != federation {
            return Err(MembershipError::Foreign {
                theirs: self.says.federation,
                ours: federation,
            });
        }
        let message = signed::message(KIND, VERSION, &self.says);
        self.signature.verify(federation, &message)?;
        self.is_valid_at(now)
    }

    /// Whether it is valid at a time, its signature aside.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn is_valid_at(&self, now: UnixTime) -> Result<(), MembershipError> {
        let Says {
            issued, expires, ..
        } = self.says;
        if expires <= issued || expires.since(issued) > MAX_VALIDITY {
            return Err(MembershipError::Validity);
        }
        if issued > now.after(CLOCK_TOLERANCE) {
            return Err(MembershipError::NotYet(issued));
        }
        if expires <= now {
            return Err(MembershipError::Expired(expires));
        }
        Ok(())
    }

    /// The federation.
    pub fn federation(&self) -> FederationId {
        self.says.federation
    }

    /// The member.
    pub fn node(&self) -> NodeId {
        self.says.node
    }

    /// A number that tells the certificates of one member apart.
    pub fn serial(&self) -> u64 {
        self.says.serial
    }

    /// When it was issued.
    pub fn issued(&self) -> UnixTime {
        self.says.issued
    }

    /// When it ends: from then on it is not valid any more.
    pub fn expires(&self) -> UnixTime {
        self.says.expires
    }

    /// How long it lasts in all.
    pub fn validity(&self) -> Duration {
        self.says.expires.since(self.says.issued)
    }

    /// What it grants.
    pub fn grant(&self) -> &Grant {
        &self.says.grant
    }

    /// Whether it takes the place of another of the same member: the one that was issued later does, and of two that were
    /// issued at once the one that lasts longer.
    pub fn replaces(&self, other: &Certificate) -> bool {
        let order = |says: &Says| (says.issued, says.expires, says.serial);
        order(&self.says) > order(&other.says)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        signed::write(VERSION, self)
    }

    /// Reads the bytes of a certificate, which are no others than [`Certificate::to_bytes`] writes.
    ///
    /// # Errors
    /// If they are none. Nothing is verified.
    pub fn from_bytes(bytes: &[u8]) -> Result<Certificate, MembershipError> {
        signed::read(VERSION, MAX_CERTIFICATE, bytes)
    }
}

impl fmt::Display for Certificate {
    /// As a line of text for a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&signed::to_text(TEXT, &self.to_bytes()))
    }
}

impl FromStr for Certificate {
    type Err = MembershipError;

    fn from_str(text: &str) -> Result<Certificate, MembershipError> {
        let bytes = signed::of_text(TEXT, MAX_CERTIFICATE, text);
        Certificate::from_bytes(&bytes.ok_or(MembershipError::Unreadable)?)
    }
}
