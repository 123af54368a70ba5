//! The identity of a node.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Bytes that stand before an Ed25519 key in a libp2p peer id: an identity multihash of 36 bytes that hold a protobuf
/// with the key type (1, Ed25519) and a key of 32 bytes. Source: libp2p peer id specification.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// A node's Ed25519 public key. It is printed as the libp2p peer id that the key has, `12D3KooW…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// The node with this Ed25519 public key.
    pub const fn from_key(key: [u8; 32]) -> NodeId {
        NodeId(key)
    }

    /// The Ed25519 public key.
    pub const fn key(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes of the libp2p peer id.
    pub fn to_peer_id_bytes(&self) -> [u8; 38] {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&PEER_ID_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// Reads the bytes of a libp2p peer id.
    ///
    /// # Errors
    /// If they are not the peer id of an Ed25519 key.
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Result<NodeId, NodeIdError> {
        let key = bytes
            .strip_prefix(&PEER_ID_PREFIX)
            .ok_or(NodeIdError::NotEd25519)?;
        Ok(NodeId(key.try_into().map_err(|_| NodeIdError::NotEd25519)?))
    }

    /// The last six characters, which tell nodes apart for a reader.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text[text.len() - 6..].to_owned()
    }
}

/// Why a text or a row of bytes is no node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NodeIdError {
    /// The text is not base58.
    #[error("a node id is base58 text such as 12D3KooW…; copy it from `dfaas status`")]
    NotBase58,
    /// The peer id is of another kind of key.
    #[error("a node id is the peer id of an Ed25519 key; other kinds of key are not supported")]
    NotEd25519,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_peer_id_bytes()).into_string())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<NodeId, NodeIdError> {
        let bytes = bs58::decode(text)
            .into_vec()
            .map_err(|_| NodeIdError::NotBase58)?;
        NodeId::from_peer_id_bytes(&bytes)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            Ok(NodeId(<[u8; 32]>::deserialize(deserializer)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_peer_id_that_libp2p_prints() {
        // The peer id of the Ed25519 key in libp2p's peer id specification, "Test vectors".
        let text = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv";
        let node: NodeId = text.parse().unwrap();
        assert_eq!(node.to_string(), text);
        assert_eq!(node.short(), "sk4Ksv");
    }

    #[test]
    fn refuses_other_keys_and_other_text() {
        assert_eq!("O0l".parse::<NodeId>(), Err(NodeIdError::NotBase58));
        // An RSA peer id: a sha2-256 multihash.
        assert_eq!(
            "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ".parse::<NodeId>(),
            Err(NodeIdError::NotEd25519)
        );
    }
}
