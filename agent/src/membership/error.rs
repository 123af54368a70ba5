//! What can be wrong with the files of a membership or of an authority.

use std::io;
use std::path::PathBuf;

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{FederationId, MembershipError};
use thiserror::Error;

use crate::key_file::KeyFileError;

/// What can be wrong with the files of a membership or of an authority.
#[derive(Debug, Error)]
pub enum FileError {
    /// A file or a directory cannot be read or written.
    #[error(
        "{path}: {source}; it must be readable and writable by the user of the agent, and be left as it was written"
    )]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A certificate or a revocation is not what it should be.
    #[error("{path}: {source}")]
    Membership {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: MembershipError,
    },
    /// There is no authority.
    #[error("{0} holds no authority: make one with `dfaas federation init --dir DIR`")]
    NoAuthority(PathBuf),
    /// There is one already.
    #[error("{0} holds an authority already, which is left as it is: name another directory")]
    AuthorityExists(PathBuf),
    /// There is no certificate where the configuration names one.
    #[error(
        "{0} does not exist: join with `dfaas federation join`, or remove federation.certificate and federation.id from \
         the configuration"
    )]
    NoCertificate(PathBuf),
    /// The certificate is another node's.
    #[error(
        "{path} is the certificate of {named}, and this node is {node}: join with this node's own key"
    )]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        named: NodeId,
        /// Who this is.
        node: NodeId,
    },
    /// The configuration names another federation.
    #[error(
        "federation.id is {configured}, but the certificate or the authority is of {found}: correct the one or join \
         the other"
    )]
    OtherFederation {
        /// As configured.
        configured: FederationId,
        /// As found.
        found: FederationId,
    },
    /// A file that this program wrote does not read.
    #[error("{0} was damaged: restore it from a backup, or move it away")]
    Damaged(PathBuf),
}
