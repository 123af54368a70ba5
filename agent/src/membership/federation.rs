//! A closed federation as one of its members knows it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{
    Certificate, FederationId, Grant, Heard, MembershipError, Region, Register, Revocation, Rights,
    UnixTime,
};
use dfaas_protocol::wire::{MAX_MEMBERS, Message};
use tokio::sync::{mpsc, watch};

use super::authority::{AuthorityDir, Terms};
use super::error::FileError;
use super::store::{Issuer, Store};
use super::{NO_RIGHTS, now};
use crate::config::ClosedConfig;

/// A closed federation as one of its members knows it.
#[derive(Debug)]
pub struct Federation {
    node: NodeId,
    id: FederationId,
    register: Mutex<Register>,
    own: ArcSwapOption<Certificate>,
    /// Tells of every moment at which somebody stopped being a member.
    losses: watch::Sender<()>,
    /// Tells of every certificate that this node gets.
    renewals: watch::Sender<()>,
    saving: Mutex<()>,
    news: Option<mpsc::UnboundedSender<Message>>,
    store: Option<Store>,
    authority: Option<AuthorityDir>,
}

impl Federation {
    /// What the files say; nothing if the node never joined.
    pub(super) fn load(
        node: NodeId,
        config: &ClosedConfig,
        state_dir: &Path,
        region: Option<Region>,
        news: mpsc::UnboundedSender<Message>,
    ) -> Result<Option<Federation>, FileError> {
        let store = Store::new(state_dir, config.certificate.as_deref());
        let authority = config
            .authority
            .as_deref()
            .map(AuthorityDir::open)
            .transpose()?;
        let own = store.certificate()?;
        if let Some(own) = &own
            && own.node() != node
        {
            return Err(FileError::OtherNode {
                path: store.certificate_file().to_owned(),
                named: own.node(),
                node,
            });
        }
        let id = authority.as_ref().map(AuthorityDir::federation);
        let Some(id) = id.or(own.as_ref().map(Certificate::federation)) else {
            if config.certificate.is_some() || config.id.is_some() {
                let path = store.certificate_file().to_owned();
                return Err(FileError::NoCertificate(path));
            }
            return Ok(None);
        };
        if let Some(configured) = config.id
            && configured != id
        {
            return Err(FileError::OtherFederation {
                configured,
                found: id,
            });
        }
        let mut register = Register::new(id);
        store.read_revocations(&mut register, now())?;
        let federation = Federation {
            register: Mutex::new(register),
            news: Some(news),
            store: Some(store),
            authority,
            ..Federation::outside(node, id)
        };
        federation.take_up_revocations()?;
        federation.begin(own, region)?;
        Ok(Some(federation))
    }

    /// A federation that this node does not belong to.
    pub(super) fn outside(node: NodeId, id: FederationId) -> Federation {
        Federation {
            node,
            id,
            register: Mutex::new(Register::new(id)),
            own: ArcSwapOption::empty(),
            losses: watch::Sender::new(()),
            renewals: watch::Sender::new(()),
            saving: Mutex::default(),
            news: None,
            store: None,
            authority: None,
        }
    }

    /// Takes up the node's own certificate. Where the authority's key is, it makes one if there is none that lasts.
    fn begin(&self, own: Option<Certificate>, region: Option<Region>) -> Result<(), FileError> {
        let usable = own.map(|own| (self.check(self.node, &own), own));
        match (usable, &self.authority) {
            (Some((Ok(()), own)), _) => self.own.store(Some(Arc::new(own))),
            (_, Some(authority)) => {
                let terms = Terms {
                    grant: Grant {
                        region,
                        rights: Rights::ALL,
                    },
                    ..Terms::default()
                };
                self.renewed(authority.sign(self.node, &terms, now())?)?;
            }
            (Some((Err(error), _)), None) => {
                // It serves its own clients, and takes up another certificate as soon as it is there.
                tracing::error!(%error, "this node's membership certificate is of no use");
            }
            (None, None) => {}
        }
        if let Some(authority) = &self.authority {
            authority.keep_issuer(self.node)?;
        }
        Ok(())
    }

    /// Who this is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The federation.
    pub fn id(&self) -> FederationId {
        self.id
    }

    /// The authority, where this node has its key.
    pub fn authority(&self) -> Option<&AuthorityDir> {
        self.authority.as_ref()
    }

    /// The files of the membership; none for a node that is about to join.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Who issues certificates to this node, if it is known.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn issuer(&self) -> Result<Option<Issuer>, FileError> {
        self.store.as_ref().map_or(Ok(None), Store::issuer)
    }

    /// This node's certificate, which may have ended; none before it joined.
    pub fn own(&self) -> Option<Arc<Certificate>> {
        self.own.load_full()
    }

    /// Tells of every certificate that this node gets.
    pub fn renewals(&self) -> watch::Receiver<()> {
        self.renewals.subscribe()
    }

    /// Tells of every moment at which somebody stopped being a member.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.losses.subscribe()
    }

    /// Takes up a certificate of this node: keeps it, shows it from now on, and tells the neighbours.
    ///
    /// # Errors
    /// If it is none that makes this node a member, or cannot be kept.
    pub fn renewed(&self, certificate: Certificate) -> Result<(), FileError> {
        let path = || match &self.store {
            Some(store) => store.certificate_file().to_owned(),
            None => Default::default(),
        };
        let refused = |source| FileError::Membership {
            path: path(),
            source,
        };
        self.check(self.node, &certificate).map_err(refused)?;
        if let Some(store) = &self.store {
            store.keep_certificate(&certificate)?;
        }
        self.take_up(certificate);
        Ok(())
    }

    /// Shows a certificate that was checked from now on, and tells the neighbours.
    pub(super) fn take_up(&self, certificate: Certificate) {
        let until = certificate.expires();
        tracing::info!(federation = %self.id, %until, "this node is a member");
        self.tell(Message::Members(vec![certificate.clone()]));
        self.own.store(Some(Arc::new(certificate)));
        self.renewals.send_replace(());
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        // Each change of the register is one step, so that it is whole even after a panic.
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, message: Message) {
        if let Some(news) = &self.news {
            // Nobody listens once the node stops.
            let _ = news.send(message);
        }
    }

    /// Checks a certificate that a node shows of itself.
    ///
    /// # Errors
    /// If it is no member by it.
    pub fn check(&self, node: NodeId, certificate: &Certificate) -> Result<(), MembershipError> {
        self.register().admit(node, certificate, now()).map(drop)
    }

    pub(super) fn admits(&self, node: NodeId) -> bool {
        let (register, now) = (self.register(), now());
        register.member(self.node, now).is_ok() && register.member(node, now).is_ok()
    }

    pub(super) fn rights(&self, node: NodeId) -> Rights {
        let register = self.register();
        let member = register.member(node, now());
        member.map_or(NO_RIGHTS, |member| member.grant().rights)
    }

    pub(super) fn region(&self, node: NodeId) -> Option<Region> {
        let register = self.register();
        let member = register.member(node, now()).ok()?;
        member.grant().region.clone()
    }

    pub(super) fn hear_members(&self, from: NodeId, members: &[Certificate]) {
        let mut fresh = Vec::new();
        let now = now();
        for certificate in members {
            match self.register().hear_certificate(certificate, now) {
                Ok(Heard::New) => fresh.push(certificate.clone()),
                Ok(Heard::Known) => {}
                // Whoever sends one that is forged is not asked to have the others looked at.
                Err(error) => {
                    tracing::warn!(neighbour = %from, %error, "a neighbour told of a member that is none");
                    break;
                }
            }
        }
        if !fresh.is_empty() {
            self.tell(Message::Members(fresh));
        }
    }

    pub(super) fn hear_revocations(&self, from: NodeId, revocations: &[Revocation]) {
        let mut fresh = Vec::new();
        let now = now();
        for revocation in revocations {
            match self.register().hear_revocation(revocation, now) {
                Ok(Heard::New) => fresh.push(revocation.clone()),
                Ok(Heard::Known) => {}
                Err(error) => {
                    tracing::warn!(neighbour = %from, %error, "a neighbour told of a revocation that is none");
                    break;
                }
            }
        }
        self.revoked(fresh);
    }

    /// Hears a revocation from whoever may use the admin address.
    ///
    /// # Errors
    /// If it is none of this federation.
    pub fn revoke(&self, revocation: &Revocation) -> Result<(), MembershipError> {
        let heard = self.register().hear_revocation(revocation, now())?;
        if heard == Heard::New {
            self.revoked(vec![revocation.clone()]);
        }
        Ok(())
    }

    /// Hears the revocations that the authority signed on this machine.
    pub(super) fn take_up_revocations(&self) -> Result<(), FileError> {
        let Some(authority) = &self.authority else {
            return Ok(());
        };
        let mut fresh = Vec::new();
        for revocation in authority.revocations()? {
            if let Ok(Heard::New) = self.register().hear_revocation(&revocation, now()) {
                fresh.push(revocation);
            }
        }
        self.revoked(fresh);
        Ok(())
    }

    /// These were heard and are in the register: keep them, cut connections, tell the neighbours.
    fn revoked(&self, fresh: Vec<Revocation>) {
        if fresh.is_empty() {
            return;
        }
        for revocation in &fresh {
            if revocation.node() == self.node {
                tracing::error!(
                    "the authority revoked this node: it serves its own clients only; to come back it needs a new key \
                     (move node.key away) and a new invitation"
                );
            } else {
                tracing::warn!(node = %revocation.node(), "the membership of a node was revoked");
            }
        }
        // The neighbours first: they need to hear it even if the disk is full.
        self.losses.send_replace(());
        for chunk in fresh.chunks(MAX_MEMBERS) {
            self.tell(Message::Revocations(chunk.to_vec()));
        }
        let Some(store) = &self.store else { return };
        // Of two who write, the later one has all that the earlier one had. Handshakes do not wait for the disk.
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, revocations) = self.known();
        if let Err(error) = store.keep_revocations(&revocations) {
            tracing::error!(%error, "a revocation is not kept, and must be heard again after a restart");
        }
    }

    /// Looks at the clock: those whose certificates have ended are let go.
    pub(super) fn expire(&self, now: UnixTime) {
        let out = self.register().expire(now);
        for node in &out {
            if *node == self.node {
                tracing::error!(
                    "this node's membership certificate has ended, and no other was to be had: join anew with \
                     `dfaas federation join`"
                );
            } else {
                tracing::info!(%node, "a member's certificate has ended");
            }
        }
        if !out.is_empty() {
            self.losses.send_replace(());
        }
    }

    pub(super) fn everything(&self) -> Vec<Message> {
        let register = self.register();
        let revocations: Vec<Revocation> = register.revocations().cloned().collect();
        let members: Vec<Certificate> = register.members().cloned().collect();
        drop(register);
        let revocations = revocations.chunks(MAX_MEMBERS);
        let members = members.chunks(MAX_MEMBERS);
        revocations
            .map(|chunk| Message::Revocations(chunk.to_vec()))
            .chain(members.map(|chunk| Message::Members(chunk.to_vec())))
            .collect()
    }

    /// The members and the revocations that are known now.
    pub fn known(&self) -> (Vec<Certificate>, Vec<Revocation>) {
        let register = self.register();
        let members = register.members().cloned().collect();
        (members, register.revocations().cloned().collect())
    }
}

#[cfg(test)]
mod tests;
