//! Signatures of the authority.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FederationId, MembershipError};
use crate::codec;

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// What is signed of a value: a name that no other kind of signed value has, a version, and the value's bytes.
pub(super) fn message(kind: &'static [u8], version: u8, value: &impl Serialize) -> Vec<u8> {
    let mut message = [kind, &[0, version]].concat();
    codec::append(value, &mut message)
        // Only values that cannot be written fail: maps without a length, or sequences. None is signed.
        .expect("a value of plain fields can be written");
    message
}

impl Signature {
    pub(super) const fn from_bytes(bytes: [u8; 64]) -> Signature {
        Signature(bytes)
    }

    /// Whether it is the authority's, of that message.
    pub(super) fn verify(
        &self,
        federation: FederationId,
        message: &[u8],
    ) -> Result<(), MembershipError> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        VerifyingKey::from_bytes(federation.key())
            .and_then(|key| key.verify_strict(message, &signature))
            .map_err(|_| MembershipError::Forged(federation))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", bs58::encode(self.0).into_string())
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, second) = self.0.split_at(32);
        let half = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap_or_default();
        (half(first), half(second)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let (first, second) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&first);
        bytes[32..].copy_from_slice(&second);
        Ok(Signature(bytes))
    }
}

/// Reads bytes that are a version and one value, and nothing else, as they would be written: no other bytes stand for
/// the same value.
pub(super) fn read<T>(version: u8, most: usize, bytes: &[u8]) -> Result<T, MembershipError>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    let (first, body) = bytes.split_first().ok_or(MembershipError::Unreadable)?;
    if *first != version || bytes.len() > most {
        return Err(MembershipError::Unreadable);
    }
    match codec::read(body) {
        Ok((value, 0)) if write(version, &value) == bytes => Ok(value),
        _ => Err(MembershipError::Unreadable),
    }
}

/// The bytes that [`read`] reads.
pub(super) fn write(version: u8, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![version];
    codec::append(value, &mut bytes)
        // As in `message`.
        .expect("a value of plain fields can be written");
    bytes
}

/// A text of bytes: a name and base58.
pub(super) fn to_text(name: &str, bytes: &[u8]) -> String {
    format!("{name}{}", bs58::encode(bytes).into_string())
}

/// The bytes of such a text, if they are at most so many.
pub(super) fn of_text(name: &str, most: usize, text: &str) -> Option<Vec<u8>> {
    let base58 = text.trim().strip_prefix(name)?;
    // Base58 has at least 1.36 characters for a byte. Its time grows with the square of the length.
    if base58.len() > 2 * most {
        return None;
    }
    let bytes = bs58::decode(base58).into_vec().ok()?;
    (bytes.len() <= most).then_some(bytes)
}
