//! The node's key, kept in a file of the state directory.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dfaas_protocol::NodeId;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use thiserror::Error;

/// The key's file in the state directory.
const FILE: &str = "node.key";
/// An encoded Ed25519 key has 68 bytes; what is much longer is no key.
const MAX_BYTES: u64 = 4096;

/// Who this node is: an Ed25519 key. It has no `Debug`, so that it is in no log.
pub struct Identity {
    keypair: Keypair,
    node_id: NodeId,
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The directory or the file cannot be made, read or written.
    #[error(
        "{path}: {source}; the state directory must exist or be creatable, and be writable by this user"
    )]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read the file.
    #[error("{path} has mode {mode:03o}, so others may read the node's key: chmod 600 {path}")]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no Ed25519 key.
    #[error(
        "{path} holds no Ed25519 key: restore it from a backup, or move it away and the node starts with a new identity"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Identity {
    /// Reads the key in `state_dir`, and makes the directory and the key the first time.
    ///
    /// # Errors
    /// If the file cannot be read or written, if others may read it, or if it holds no key.
    pub fn load_or_create(state_dir: &Path) -> Result<Identity, IdentityError> {
        let path = state_dir.join(FILE);
        if let Some(identity) = load(&path)? {
            return Ok(identity);
        }
        create(state_dir, &path)?;
        // Read back, because another process may have made the file first; then both have the same key.
        load(&path)?.ok_or(IdentityError::Damaged { path })
    }

    /// The key pair, for libp2p and for certificates.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The public key.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }
}

/// The libp2p name of a node.
pub fn peer_id_of(node: NodeId) -> PeerId {
    PeerId::from_bytes(&node.to_peer_id_bytes())
        // The bytes are an identity multihash of 36 bytes, which every peer id may be.
        .expect("the peer id of an Ed25519 key is well-formed")
}

/// The node that a libp2p peer is; none if its key is not Ed25519.
pub fn node_id_of(peer: &PeerId) -> Option<NodeId> {
    NodeId::from_peer_id_bytes(&peer.to_bytes()).ok()
}

fn load(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let damaged = || IdentityError::Damaged {
        path: path.to_owned(),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::LooseMode {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let keypair = Keypair::from_protobuf_encoding(&bytes).map_err(|_| damaged())?;
    let node_id = node_id_of(&keypair.public().to_peer_id()).ok_or_else(damaged)?;
    Ok(Some(Identity { keypair, node_id }))
}

fn create(state_dir: &Path, path: &Path) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let encoded = Keypair::generate_ed25519()
        .to_protobuf_encoding()
        .map_err(|error| failed(io::Error::other(error)))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(failed)?;
    // A temporary file has mode 0600 from its first moment.
    let mut file = tempfile::NamedTempFile::new_in(state_dir).map_err(failed)?;
    file.write_all(&encoded).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(state_dir)
            .and_then(|directory| directory.sync_all())
            .map_err(failed),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let first = Identity::load_or_create(&state).unwrap();
        let mode = fs::metadata(state.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Identity::load_or_create(&state).unwrap();
        assert_eq!(first.node_id(), second.node_id());
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(dir.path()).err().unwrap();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, b"no key").unwrap();
        let error = Identity::load_or_create(dir.path()).err().unwrap();
        assert!(matches!(error, IdentityError::Damaged { .. }));
        assert!(error.to_string().contains("backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"no key");
    }

    #[test]
    fn a_node_id_is_a_peer_id() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(dir.path()).unwrap();
        let peer = identity.keypair().public().to_peer_id();
        assert_eq!(peer_id_of(identity.node_id()), peer);
        assert_eq!(node_id_of(&peer), Some(identity.node_id()));
        assert_eq!(identity.node_id().to_string(), peer.to_string());
        let rsa = "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ";
        assert_eq!(node_id_of(&rsa.parse().unwrap()), None);
    }
}
