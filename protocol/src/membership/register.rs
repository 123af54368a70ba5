//! What one node knows of who is a member.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Certificate, FederationId, MembershipError, Revocation, UnixTime};
use crate::NodeId;

/// The most members that are kept.
pub const MOST_MEMBERS: usize = 4096;
/// The most revocations that are kept.
pub const MOST_REVOCATIONS: usize = 4096;

/// What one node knows of who is a member: the last certificate of each, and who was revoked. Only what verifies is kept.
#[derive(Clone, Debug)]
pub struct Register {
    federation: FederationId,
    members: BTreeMap<NodeId, Certificate>,
    revoked: BTreeMap<NodeId, Revocation>,
}

/// What came of hearing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is kept, and others may want to hear it.
    New,
    /// It, or something later, was known, or it does not matter any more.
    Known,
}

impl Register {
    /// Knows nobody yet.
    pub fn new(federation: FederationId) -> Register {
        Register {
            federation,
            members: BTreeMap::new(),
            revoked: BTreeMap::new(),
        }
    }

    /// The federation.
    pub fn federation(&self) -> FederationId {
        self.federation
    }

    /// Checks a certificate that a node shows of itself, and keeps it if it is the node's last.
    ///
    /// # Errors
    /// If the node is no member by it.
    pub fn admit(
        &mut self,
        node: NodeId,
        certificate: &Certificate,
        now: UnixTime,
    ) -> Result<Heard, MembershipError> {
        if certificate.node() != node {
            return Err(MembershipError::OtherNode {
                named: certificate.node(),
                shown_by: node,
            });
        }
        // Before what is known is: it need not be the same to the last bit.
        certificate.verify(self.federation, now)?;
        if self.revoked.contains_key(&node) {
            return Err(MembershipError::Revoked(node));
        }
        self.keep(certificate, now)
    }

    /// Hears a certificate from somebody else.
    ///
    /// # Errors
    /// If it does not verify, or no more are kept.
    pub fn hear_certificate(
        &mut self,
        certificate: &Certificate,
        now: UnixTime,
    ) -> Result<Heard, MembershipError> {
        let node = certificate.node();
        let last = self.members.get(&node);
        // What costs no signature comes first: who sends the same a thousand times is answered a thousand times cheaply.
        if last.is_some_and(|last| !certificate.replaces(last)) || self.revoked.contains_key(&node)
        {
            return Ok(Heard::Known);
        }
        match certificate.is_valid_at(now) {
            Err(MembershipError::Expired(_)) => return Ok(Heard::Known),
            other => other?,
        }
        certificate.verify(self.federation, now)?;
        self.keep(certificate, now)
    }

    /// Keeps a certificate that was verified.
    fn keep(&mut self, certificate: &Certificate, now: UnixTime) -> Result<Heard, MembershipError> {
        if self.members.len() >= MOST_MEMBERS && !self.members.contains_key(&certificate.node()) {
            self.members.retain(|_, c| c.is_valid_at(now).is_ok());
            if self.members.len() >= MOST_MEMBERS {
                return Err(MembershipError::Full);
            }
        }
        match self.members.entry(certificate.node()) {
            Entry::Vacant(place) => {
                place.insert(certificate.clone());
                Ok(Heard::New)
            }
            Entry::Occupied(mut last) if certificate.replaces(last.get()) => {
                last.insert(certificate.clone());
                Ok(Heard::New)
            }
            Entry::Occupied(_) => Ok(Heard::Known),
        }
    }

    /// Hears a revocation from anybody.
    ///
    /// # Errors
    /// If it does not verify, or no more are kept.
    pub fn hear_revocation(
        &mut self,
        revocation: &Revocation,
        now: UnixTime,
    ) -> Result<Heard, MembershipError> {
        let node = revocation.node();
        if self.revoked.contains_key(&node) || revocation.is_past(now) {
            return Ok(Heard::Known);
        }
        revocation.verify(self.federation)?;
        if self.revoked.len() >= MOST_REVOCATIONS {
            self.revoked.retain(|_, r| !r.is_past(now));
            if self.revoked.len() >= MOST_REVOCATIONS {
                return Err(MembershipError::Full);
            }
        }
        self.revoked.insert(node, revocation.clone());
        self.members.remove(&node);
        Ok(Heard::New)
    }

    /// The certificate by which a node is a member now.
    ///
    /// # Errors
    /// If it is none, with the reason.
    pub fn member(&self, node: NodeId, now: UnixTime) -> Result<&Certificate, MembershipError> {
        if self.revoked.contains_key(&node) {
            return Err(MembershipError::Revoked(node));
        }
        let certificate = self.members.get(&node).ok_or(MembershipError::Missing)?;
        certificate.is_valid_at(now)?;
        Ok(certificate)
    }

    /// Forgets the members whose certificates have ended, and says who they are.
    pub fn expire(&mut self, now: UnixTime) -> Vec<NodeId> {
        let ended = |certificate: &Certificate| certificate.expires() <= now;
        let out: Vec<NodeId> = self
            .members
            .values()
            .filter(|c| ended(c))
            .map(Certificate::node)
            .collect();
        for node in &out {
            self.members.remove(node);
        }
        out
    }

    /// The last certificate of each member, by node.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Certificate> {
        self.members.values()
    }

    /// The revocations, by node.
    pub fn revocations(&self) -> impl ExactSizeIterator<Item = &Revocation> {
        self.revoked.values()
    }
}
