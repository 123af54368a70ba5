//! Secrets in files: who may read them is checked, and what was read is wiped when it is no longer needed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::private_files;

/// A longer file holds no secret of ours.
const MAX_BYTES: u64 = 64 * 1024;
/// Reading by others than the owner and the group, and writing by others than the owner. A group may read, as secrets
/// that a service manager hands over belong to one.
const LOOSE: u32 = 0o027;

/// What a file holds, wiped from memory when it is dropped. It has no `Debug` that shows it, so that it is in no log.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// Why a secret cannot be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{path} cannot be read ({source}); give a file of text that this user may read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read or change it.
    #[error("{path} has mode {mode:03o}, so others may read or change it: chmod 600 {path}")]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is shorter than what can be guessed.
    #[error(
        "{path} holds {found} bytes, which can be guessed: write at least {least} random ones into it"
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// How many bytes it holds, without the end of its line.
        found: usize,
        /// How many it should hold.
        least: usize,
    },
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads a secret of this node: a file that nobody else may read, without the end of its line.
    ///
    /// # Errors
    /// If the file cannot be read, or if its mode lets others read or change it.
    pub fn read(path: &Path) -> Result<Secret, SecretError> {
        let (file, mode) = open(path)?;
        if mode & LOOSE != 0 {
            return Err(SecretError::LooseMode {
                path: path.to_owned(),
                mode,
            });
        }
        take(path, file)
    }

    /// Reads a secret that somebody else laid down, such as a container platform, which makes all of them readable. Ask
    /// [`loose_mode`] once whether to warn.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_foreign(path: &Path) -> Result<Secret, SecretError> {
        let (file, _) = open(path)?;
        take(path, file)
    }

    /// The same, if it is long enough not to be guessed.
    ///
    /// # Errors
    /// If it has fewer bytes than that.
    pub fn of_at_least(self, least: usize, path: &Path) -> Result<Secret, SecretError> {
        match self.0.len() {
            found if found < least => Err(SecretError::Short {
                path: path.to_owned(),
                found,
                least,
            }),
            _ => Ok(self),
        }
    }

    /// What it is.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The mode of a file that others may read or change, and nothing of one that is private, or not there.
pub fn loose_mode(path: &Path) -> Option<u32> {
    let (_, mode) = open(path).ok()?;
    (mode & LOOSE != 0).then_some(mode)
}

fn open(path: &Path) -> Result<(File, u32), SecretError> {
    private_files::open(path).map_err(|source| unreadable(path, source))
}

fn take(path: &Path, file: File) -> Result<Secret, SecretError> {
    // With room for all at once, no copy of a part is left behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|source| unreadable(path, source))?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    Ok(Secret(Zeroizing::new(text[..end].to_owned())))
}

fn unreadable(path: &Path, source: io::Error) -> SecretError {
    SecretError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_secret_is_read_without_the_end_of_its_line_and_never_shown() {
        let (_dir, path) = file("s3cret of mine\r\n", 0o640);
        let secret = Secret::read(&path).unwrap();
        assert_eq!(secret.expose(), "s3cret of mine");
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn a_file_that_others_may_read_or_change_is_refused_if_it_is_ours() {
        for mode in [0o644, 0o604, 0o620, 0o601] {
            let (_dir, path) = file("secret", mode);
            let error = Secret::read(&path).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{mode:o}: {error}");
            assert_eq!(Secret::read_foreign(&path).unwrap().expose(), "secret");
            assert_eq!(loose_mode(&path), Some(mode));
        }
    }

    #[test]
    fn what_can_be_guessed_is_refused() {
        let (_dir, path) = file("0123456789\n", 0o600);
        let secret = Secret::read(&path).unwrap();
        assert!(secret.clone().of_at_least(10, &path).is_ok());
        let error = secret.of_at_least(11, &path).unwrap_err();
        assert!(error.to_string().contains("10 bytes"), "{error}");
    }

    #[test]
    fn what_is_not_there_or_no_text_is_an_error_that_names_it() {
        let error = Secret::read(Path::new("/nowhere/token")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/token"), "{error}");
        let (_dir, path) = file("", 0o600);
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(
            Secret::read(&path),
            Err(SecretError::Unreadable { .. })
        ));
    }
}
