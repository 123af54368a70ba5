//! How values become bytes: the one place that knows bincode (variable-length integers, little endian). What is read is
//! bounded before it is allocated.

use bincode::config::{self, Configuration, Limit};
pub use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that anything here has.
pub const MAX_BYTES: usize = 256 * 1024;

/// What the decoder may claim. It counts an integer with its full width, up to eight bytes, where one byte travels; so
/// a smaller limit would refuse messages that are not too large. The bytes' own length is checked before.
const MAX_CLAIM: usize = 8 * MAX_BYTES;

type Config = Configuration<config::LittleEndian, config::Varint, Limit<MAX_CLAIM>>;
const CONFIG: Config = config::standard().with_limit::<MAX_CLAIM>();

/// Appends a value's bytes.
pub(crate) fn append(value: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
    bytes.extend(bincode::serde::encode_to_vec(value, CONFIG)?);
    Ok(())
}

/// Reads a value, and how many bytes are left over after it.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, CONFIG)?;
    Ok((value, bytes.len() - read))
}
