//! Files that hold an Ed25519 key, for their owner's eyes only.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use libp2p::identity::{KeyType, Keypair};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::private_files;

/// An encoded Ed25519 key has 68 bytes; what is much longer is no key.
const MAX_BYTES: u64 = 4096;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The directory or the file cannot be made, read or written.
    #[error(
        "{path}: {source}; its directory must exist or be creatable, and be writable by this user"
    )]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read the file.
    #[error("{path} has mode {mode:03o}, so others may read the key: chmod 600 {path}")]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no Ed25519 key.
    #[error(
        "{path} holds no Ed25519 key: restore it from a backup; or move it away, and there will be a new identity"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a key; none if there is no file.
///
/// # Errors
/// If the file cannot be read, if others may read it, or if it holds no key.
pub(crate) fn load(path: &Path) -> Result<Option<Keypair>, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let damaged = || KeyFileError::Damaged {
        path: path.to_owned(),
    };
    let (file, mode) = match private_files::open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if mode & 0o077 != 0 {
        return Err(KeyFileError::LooseMode {
            path: path.to_owned(),
            mode,
        });
    }
    // Of its full length at once, as a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize));
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let keypair = Keypair::from_protobuf_encoding(&bytes).map_err(|_| damaged())?;
    match keypair.key_type() {
        KeyType::Ed25519 => Ok(Some(keypair)),
        _ => Err(damaged()),
    }
}

/// Makes a new key, and its directory where there is none. Returns whether it is new: a file that is there is left alone.
///
/// # Errors
/// If the directory or the file cannot be written.
pub(crate) fn create(path: &Path) -> Result<bool, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let encoded = Keypair::generate_ed25519()
        .to_protobuf_encoding()
        .map_err(|error| failed(io::Error::other(error)))?;
    let encoded = Zeroizing::new(encoded);
    let file = private_files::prepare(path, &encoded).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => private_files::sync(private_files::directory_of(path))
            .map(|()| true)
            .map_err(failed),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error.error)),
    }
}
