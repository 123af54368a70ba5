//! Who admits members.

use std::fmt;
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};

use super::signed::Signature;
use super::{
    Certificate, FederationId, Grant, MAX_VALIDITY, MembershipError, Revocation, UnixTime,
};
use crate::NodeId;

/// The authority of a federation: an Ed25519 key. It is wiped when it is dropped, and prints without its secret.
pub struct Authority(SigningKey);

impl Authority {
    /// The authority with this secret (a seed of RFC 8032), which the caller has made at random and wipes.
    pub fn from_secret(secret: &[u8; 32]) -> Authority {
        Authority(SigningKey::from_bytes(secret))
    }

    /// Its federation.
    pub fn federation(&self) -> FederationId {
        FederationId::from_key(self.0.verifying_key().to_bytes())
    }

    /// A certificate for a node. `serial` tells it from the node's others: a random number will do.
    ///
    /// # Errors
    /// If it would last for no time or for longer than any may.
    pub fn admit(
        &self,
        node: NodeId,
        serial: u64,
        (now, validity): (UnixTime, Duration),
        grant: Grant,
    ) -> Result<Certificate, MembershipError> {
        if validity.as_secs() == 0 || validity > MAX_VALIDITY {
            return Err(MembershipError::Validity);
        }
        let who = (self.federation(), node);
        let lasts = (now, now.after(validity));
        Ok(Certificate::sign(who, serial, lasts, grant, |message| {
            self.sign(message)
        }))
    }

    /// A revocation of all certificates that a node has.
    pub fn revoke(&self, node: NodeId, now: UnixTime) -> Revocation {
        Revocation::sign(self.federation(), node, now, |message| self.sign(message))
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.federation())
    }
}
