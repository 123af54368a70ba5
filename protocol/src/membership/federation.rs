//! The identity of a federation.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A federation: its authority's Ed25519 public key. It is printed in base58, and unlike any node id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FederationId([u8; 32]);

/// Why a text is no federation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a federation is a base58 text of 43 or 44 characters: copy it from `dfaas federation init` or `show`"
)]
pub struct FederationIdError;

impl FederationId {
    /// The federation of the authority with this Ed25519 public key.
    pub const fn from_key(key: [u8; 32]) -> FederationId {
        FederationId(key)
    }

    /// The authority's Ed25519 public key.
    pub const fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.0).into_string())
    }
}

impl fmt::Debug for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FederationId({self})")
    }
}

impl FromStr for FederationId {
    type Err = FederationIdError;

    fn from_str(text: &str) -> Result<FederationId, FederationIdError> {
        let mut key = [0; 32];
        // One byte more than fits would be an error, and one less is looked for here.
        let length = bs58::decode(text).onto(&mut key);
        let key = length.ok().filter(|n| *n == key.len()).map(|_| key);
        let key = key.ok_or(FederationIdError)?;
        match VerifyingKey::from_bytes(&key) {
            Ok(usable) if !usable.is_weak() => Ok(FederationId(key)),
            _ => Err(FederationIdError),
        }
    }
}

impl Serialize for FederationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for FederationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FederationId, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            Ok(FederationId(<[u8; 32]>::deserialize(deserializer)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use crate::membership::Authority;

    #[test]
    fn a_federation_is_read_as_it_prints_and_nothing_else_is() {
        let federation = Authority::from_secret(&[7; 32]).federation();
        let text = federation.to_string();
        assert_eq!(text.parse(), Ok(federation));
        let node = NodeId::from_key(*federation.key()).to_string();
        for other in ["", "0", "O0l", &text[2..], &format!("{text}1"), &node] {
            assert_eq!(other.parse::<FederationId>(), Err(FederationIdError));
        }
        // Keys with which anything verifies.
        let mut identity = [0; 32];
        identity[0] = 1;
        for weak in [[0; 32], identity] {
            let text = bs58::encode(weak).into_string();
            assert_eq!(text.parse::<FederationId>(), Err(FederationIdError));
        }
    }
}
