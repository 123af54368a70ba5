//! The directory of a federation's authority: its key, the invitations it gave, the revocations it signed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{
    Authority, Certificate, FederationId, Grant, InvitationId, MembershipError, NotAdmitted,
    Region, Revocation, Rights, Secret, Token, UnixTime,
};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::FileError;
use super::now;
use super::store::{Store, io as failed, write};
use crate::identity::Identity;
use crate::key_file::{self, KeyFileError};
use crate::private_files;

const KEY: &str = "authority.key";
const ISSUER: &str = "issuer";
const INVITATIONS: &str = "invitations";
const USED: &str = "used";
const REVOCATIONS: &str = "revocations";
/// More bytes than any of the files has.
const SMALL: u64 = 4096;
/// How long a used invitation is remembered after its end.
const REMEMBER: Duration = Duration::from_secs(30 * 86_400);

/// The directory of an authority, with its key.
#[derive(Debug)]
pub struct AuthorityDir {
    path: PathBuf,
    authority: Authority,
}

/// An invitation as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    /// In hexadecimal digits. The secret has 256 random bits, so nobody finds it from this.
    secret_sha256: String,
    expires: UnixTime,
    valid_seconds: u64,
    region: Option<String>,
    rights: String,
}

/// What an invited node gets.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its region and rights.
    pub grant: Grant,
    /// How long each of its certificates lasts.
    pub validity: Duration,
}

impl AuthorityDir {
    /// Makes a new authority.
    ///
    /// # Errors
    /// If there is one already, or it cannot be written.
    pub fn init(path: &Path) -> Result<AuthorityDir, FileError> {
        if !key_file::create(&path.join(KEY))? {
            return Err(FileError::AuthorityExists(path.to_owned()));
        }
        for directory in [INVITATIONS, USED, REVOCATIONS] {
            let directory = path.join(directory);
            private_files::make_directory(&directory).map_err(|error| failed(&directory, error))?;
        }
        AuthorityDir::open(path)
    }

    /// Reads an authority that was made.
    ///
    /// # Errors
    /// If there is none, or others may read its key.
    pub fn open(path: &Path) -> Result<AuthorityDir, FileError> {
        let key = path.join(KEY);
        let keypair = key_file::load(&key)?;
        let keypair = keypair.ok_or_else(|| FileError::NoAuthority(path.to_owned()))?;
        let damaged = |_| KeyFileError::Damaged { path: key };
        let keypair = keypair.try_into_ed25519().map_err(damaged)?;
        let secret = keypair.secret();
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(secret.as_ref());
        Ok(AuthorityDir {
            path: path.to_owned(),
            authority: Authority::from_secret(&seed),
        })
    }

    /// The federation.
    pub fn federation(&self) -> FederationId {
        self.authority.federation()
    }

    /// Remembers which agent issues certificates, for invitations to name it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_issuer(&self, node: NodeId) -> Result<(), FileError> {
        write(&self.path.join(ISSUER), &format!("{node}\n"))
    }

    /// The agent that issued last, if one did.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn issuer(&self) -> Result<Option<NodeId>, FileError> {
        let path = self.path.join(ISSUER);
        let text = private_files::read(&path, SMALL).map_err(|error| failed(&path, error))?;
        let node = text.map(|text| text.trim().parse().map_err(|_| FileError::Damaged(path)));
        node.transpose()
    }

    /// Gives an invitation that ends at a time.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn invite(
        &self,
        (address, issuer): (String, NodeId),
        terms: &Terms,
        now: UnixTime,
        expires: UnixTime,
    ) -> Result<Token, FileError> {
        self.forget_old(now)?;
        let mut rng = rand::rng();
        let (mut id, mut secret) = ([0; 16], Zeroizing::new([0; 32]));
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut *secret);
        let token = Token {
            federation: self.federation(),
            address,
            issuer,
            invitation: InvitationId(id),
            secret: Secret::new(*secret),
            expires,
        };
        let invitation = Invitation {
            secret_sha256: hashed(&token.secret),
            expires,
            valid_seconds: terms.validity.as_secs(),
            region: terms.grant.region.as_ref().map(Region::to_string),
            rights: terms.grant.rights.to_string(),
        };
        let path = self.invitation(INVITATIONS, token.invitation);
        let text = serde_json::to_string(&invitation).map_err(|e| failed(&path, e.into()))?;
        write(&path, &text)?;
        Ok(token)
    }

    /// Admits a node by an invitation, which is used up by that: whatever happens, nobody is admitted by it again.
    ///
    /// # Errors
    /// If it admits nobody, or not this node. What is wrong is logged here and not said.
    pub fn redeem(
        &self,
        (invitation, secret): (InvitationId, &Secret),
        node: NodeId,
        now: UnixTime,
    ) -> Result<Certificate, NotAdmitted> {
        if self.is_revoked(node).map_err(not_now)? {
            return Err(NotAdmitted::Revoked);
        }
        let path = self.invitation(INVITATIONS, invitation);
        let text =
            private_files::read(&path, SMALL).map_err(|error| not_now(failed(&path, error)))?;
        let refused = |why: &str| {
            tracing::warn!(%node, %invitation, why, "a node was not admitted");
            NotAdmitted::Invitation
        };
        let text = text.ok_or_else(|| refused("the invitation was used or never given"))?;
        let damaged = || not_now(FileError::Damaged(path.clone()));
        let known: Invitation = serde_json::from_str(&text).map_err(|_| damaged())?;
        if known.secret_sha256 != hashed(secret) {
            return Err(refused("the secret is wrong"));
        }
        if known.expires <= now {
            return Err(refused("the invitation has ended"));
        }
        let region = known.region.map(Region::try_from).transpose();
        let grant = Grant {
            region: region.map_err(|_| damaged())?,
            rights: known.rights.parse().map_err(|_| damaged())?,
        };
        let validity = Duration::from_secs(known.valid_seconds);
        match private_files::take(&path, &self.invitation(USED, invitation)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused("the invitation was used at the same time"));
            }
            Err(error) => return Err(not_now(failed(&path, error))),
        }
        self.sign(node, &Terms { grant, validity }, now)
            .map_err(not_now)
    }

    /// Another certificate for a member whose own was checked: with the same grant and for as long.
    ///
    /// # Errors
    /// If the node was revoked, or the authority's files cannot be read.
    pub fn renew(&self, shown: &Certificate, now: UnixTime) -> Result<Certificate, NotAdmitted> {
        if self.is_revoked(shown.node()).map_err(not_now)? {
            return Err(NotAdmitted::Revoked);
        }
        let terms = Terms {
            grant: shown.grant().clone(),
            validity: shown.validity(),
        };
        self.sign(shown.node(), &terms, now).map_err(not_now)
    }

    /// Signs a certificate for a node.
    ///
    /// # Errors
    /// If the node was revoked, or the validity is none.
    pub fn sign(
        &self,
        node: NodeId,
        terms: &Terms,
        now: UnixTime,
    ) -> Result<Certificate, FileError> {
        let refused = |source| FileError::Membership {
            path: self.path.clone(),
            source,
        };
        if self.is_revoked(node)? {
            return Err(refused(MembershipError::Revoked(node)));
        }
        let serial = rand::rng().next_u64();
        let lasts = (now, terms.validity);
        let certificate = self
            .authority
            .admit(node, serial, lasts, terms.grant.clone());
        certificate.map_err(refused)
    }

    /// Makes a node a member by its state directory on this machine, with a new key if it has none.
    ///
    /// # Errors
    /// If it was revoked, or its files cannot be written.
    pub fn enrol(&self, state_dir: &Path, terms: &Terms) -> Result<Certificate, FileError> {
        let node = Identity::load_or_create(state_dir)?.node_id();
        let certificate = self.sign(node, terms, now())?;
        Store::new(state_dir, None).keep_certificate(&certificate)?;
        Ok(certificate)
    }

    /// Signs a revocation and keeps it. A node that was revoked before stays revoked as it was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn revoke(&self, node: NodeId, now: UnixTime) -> Result<Revocation, FileError> {
        if let Some(revocation) = self.revocation(node)? {
            return Ok(revocation);
        }
        let revocation = self.authority.revoke(node, now);
        write(&self.revocation_file(node), &format!("{revocation}\n"))?;
        Ok(revocation)
    }

    /// All revocations that the authority signed.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn revocations(&self) -> Result<Vec<Revocation>, FileError> {
        let directory = self.path.join(REVOCATIONS);
        let unread = |error| failed(&directory, error);
        let mut revocations = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            // Files that are being written have other names.
            if let Some(Ok(node)) = name.to_str().map(str::parse::<NodeId>) {
                revocations.extend(self.revocation(node)?);
            }
        }
        Ok(revocations)
    }

    /// When the last revocation was signed, for whoever waits for the next.
    pub(super) fn revocations_changed(&self) -> Option<std::time::SystemTime> {
        let directory = self.path.join(REVOCATIONS);
        std::fs::metadata(directory).ok()?.modified().ok()
    }

    fn revocation(&self, node: NodeId) -> Result<Option<Revocation>, FileError> {
        let path = self.revocation_file(node);
        let Some(text) = private_files::read(&path, SMALL).map_err(|error| failed(&path, error))?
        else {
            return Ok(None);
        };
        let parsed = text.parse().and_then(|revocation: Revocation| {
            revocation.verify(self.federation())?;
            Ok(revocation)
        });
        let parsed = parsed.map_err(|source| FileError::Membership { path, source });
        parsed.map(Some)
    }

    fn is_revoked(&self, node: NodeId) -> Result<bool, FileError> {
        // A file that does not read counts as much as one that does.
        let path = self.revocation_file(node);
        path.try_exists().map_err(|error| failed(&path, error))
    }

    fn revocation_file(&self, node: NodeId) -> PathBuf {
        self.path.join(REVOCATIONS).join(node.to_string())
    }

    fn invitation(&self, state: &str, id: InvitationId) -> PathBuf {
        self.path.join(state).join(format!("{id}.json"))
    }

    /// Removes invitations that ended long ago, used or not.
    fn forget_old(&self, now: UnixTime) -> Result<(), FileError> {
        for state in [INVITATIONS, USED] {
            let directory = self.path.join(state);
            let unread = |error| failed(&directory, error);
            for entry in std::fs::read_dir(&directory).map_err(unread)? {
                let path = entry.map_err(unread)?.path();
                let text = private_files::read(&path, SMALL).unwrap_or_default();
                let known = text.and_then(|text| serde_json::from_str::<Invitation>(&text).ok());
                if known.is_some_and(|known| known.expires.after(REMEMBER) < now) {
                    std::fs::remove_file(&path).map_err(|error| failed(&path, error))?;
                }
            }
        }
        Ok(())
    }
}

impl Default for Terms {
    /// Every right, no region, for thirty days.
    fn default() -> Terms {
        Terms {
            grant: Grant {
                region: None,
                rights: Rights::ALL,
            },
            validity: Duration::from_secs(30 * 86_400),
        }
    }
}

fn hashed(secret: &Secret) -> String {
    let digest = Sha256::digest(secret.bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn not_now(error: FileError) -> NotAdmitted {
    if let FileError::Membership {
        source: MembershipError::Revoked(_),
        ..
    } = error
    {
        return NotAdmitted::Revoked;
    }
    tracing::error!(%error, "the authority cannot admit a node now");
    NotAdmitted::Failed
}

#[cfg(test)]
mod tests;
