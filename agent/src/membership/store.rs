//! What a node keeps of its membership, in the directory `membership` of its state directory.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{
    Certificate, Heard, MOST_REVOCATIONS, Register, Revocation, UnixTime,
};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::{Deserialize, Serialize};

use super::error::FileError;
use crate::identity::peer_id_of;
use crate::private_files;

const DIRECTORY: &str = "membership";
const CERTIFICATE: &str = "certificate";
const ISSUER: &str = "issuer.json";
const REVOCATIONS: &str = "revocations";
/// More bytes than a certificate or an issuer has.
const SMALL: u64 = 4096;
/// More bytes than a line with a revocation has.
const LINE: u64 = 512;

/// Who issued the certificate, and will issue the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Where it takes peers' connections, `HOST:PORT`.
    pub address: String,
    /// Who it is.
    pub node: NodeId,
    /// The TCP port of its overlay, if it listens there.
    pub overlay_port: Option<u16>,
}

impl Issuer {
    /// Where its overlay is, if it listens there.
    pub fn overlay_address(&self) -> Option<Multiaddr> {
        let (host, _) = self.address.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let host = match host.parse() {
            Ok(IpAddr::V4(ip)) => Protocol::Ip4(ip),
            Ok(IpAddr::V6(ip)) => Protocol::Ip6(ip),
            Err(_) => Protocol::Dns(host.into()),
        };
        let peer = Protocol::P2p(peer_id_of(self.node));
        Some(
            [host, Protocol::Tcp(self.overlay_port?), peer]
                .into_iter()
                .collect(),
        )
    }
}

/// The files of a membership.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
    certificate: PathBuf,
}

impl Store {
    /// The files in a state directory. The certificate may be elsewhere.
    pub fn new(state_dir: &Path, certificate: Option<&Path>) -> Store {
        let directory = state_dir.join(DIRECTORY);
        Store {
            certificate: certificate.map_or_else(|| directory.join(CERTIFICATE), Path::to_owned),
            directory,
        }
    }

    /// The certificate's file.
    pub fn certificate_file(&self) -> &Path {
        &self.certificate
    }

    /// The node's certificate, if there is one. Only its signature's place is looked at, not the signature.
    ///
    /// # Errors
    /// If the file cannot be read, or holds none.
    pub fn certificate(&self) -> Result<Option<Certificate>, FileError> {
        let path = &self.certificate;
        let Some(text) = private_files::read(path, SMALL).map_err(|source| io(path, source))?
        else {
            return Ok(None);
        };
        let certificate = text.parse().map_err(|source| FileError::Membership {
            path: path.clone(),
            source,
        });
        certificate.map(Some)
    }

    /// When the certificate's file was written, if it is there.
    pub(super) fn certificate_written(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.certificate).ok()?.modified().ok()
    }

    /// Keeps a certificate.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_certificate(&self, certificate: &Certificate) -> Result<(), FileError> {
        write(&self.certificate, &format!("{certificate}\n"))
    }

    /// Who issues certificates to this node, if it is known.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn issuer(&self) -> Result<Option<Issuer>, FileError> {
        let path = self.directory.join(ISSUER);
        let Some(text) = private_files::read(&path, SMALL).map_err(|source| io(&path, source))?
        else {
            return Ok(None);
        };
        let issuer = serde_json::from_str(&text).map_err(|_| FileError::Damaged(path))?;
        Ok(Some(issuer))
    }

    /// Keeps who issues certificates to this node.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_issuer(&self, issuer: &Issuer) -> Result<(), FileError> {
        let path = self.directory.join(ISSUER);
        let text = serde_json::to_string(issuer).map_err(|e| io(&path, e.into()))?;
        write(&path, &text)
    }

    /// Reads the revocations into a register, which verifies each again. Those of other federations are left out.
    ///
    /// # Errors
    /// If the file cannot be read or holds anything else: whoever stands there unseen would be a member again.
    pub(super) fn read_revocations(
        &self,
        register: &mut Register,
        now: UnixTime,
    ) -> Result<(), FileError> {
        let path = self.directory.join(REVOCATIONS);
        let most = LINE * MOST_REVOCATIONS as u64;
        let text = private_files::read(&path, most).map_err(|source| io(&path, source))?;
        for line in text.as_deref().unwrap_or_default().lines() {
            let heard = line.parse().and_then(|revocation: Revocation| {
                let federation = revocation.federation();
                if federation != register.federation()
                    || register.hear_revocation(&revocation, now)? == Heard::Known
                {
                    // Only of new ones the signature was looked at. One that was altered may look like another federation's,
                    // or like one whose time is past.
                    revocation.verify(federation)?;
                }
                Ok(())
            });
            heard.map_err(|_| FileError::Damaged(path.clone()))?;
        }
        Ok(())
    }

    /// Keeps these revocations in place of those before.
    pub(super) fn keep_revocations(&self, revocations: &[Revocation]) -> Result<(), FileError> {
        let lines = revocations.iter().map(|r| format!("{r}\n"));
        write(
            &self.directory.join(REVOCATIONS),
            &lines.collect::<String>(),
        )
    }
}

pub(super) fn io(path: &Path, source: std::io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    private_files::replace(path, text).map_err(|source| io(path, source))
}
