//! The node's key, kept in a file of the state directory.

use std::path::Path;

use dfaas_protocol::NodeId;
use libp2p::PeerId;
use libp2p::identity::Keypair;

use crate::key_file::{self, KeyFileError};

/// The key's file in the state directory.
const FILE: &str = "node.key";

/// Who this node is: an Ed25519 key. It has no `Debug`, so that it is in no log.
pub struct Identity {
    keypair: Keypair,
    node_id: NodeId,
}

impl Identity {
    /// Reads the key in `state_dir`, and makes the directory and the key the first time.
    ///
    /// # Errors
    /// If the file cannot be read or written, if others may read it, or if it holds no key.
    pub fn load_or_create(state_dir: &Path) -> Result<Identity, KeyFileError> {
        let path = state_dir.join(FILE);
        if let Some(identity) = Identity::load(&path)? {
            return Ok(identity);
        }
        key_file::create(&path)?;
        // Read back, because another process may have made the file first; then both have the same key.
        Identity::load(&path)?.ok_or(KeyFileError::Damaged { path })
    }

    fn load(path: &Path) -> Result<Option<Identity>, KeyFileError> {
        let damaged = || KeyFileError::Damaged {
            path: path.to_owned(),
        };
        let Some(keypair) = key_file::load(path)? else {
            return Ok(None);
        };
        let node_id = node_id_of(&keypair.public().to_peer_id()).ok_or_else(damaged)?;
        Ok(Some(Identity { keypair, node_id }))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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
        assert!(matches!(error, KeyFileError::Damaged { .. }));
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
