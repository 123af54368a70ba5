//! Small files that are written whole or not at all, for their owner's eyes only.
//!
//! What root puts into a directory of the agent's user is that user's: otherwise the agent could not read what `dfaas federation`
//! wrote.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes a directory, and those above it, that only its owner enters.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = directory_of(path);
    make_directory(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => hand_over(path, above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// A file with these bytes that is still to be put into its place. It has mode 0600 from its first moment.
pub(crate) fn prepare(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let directory = directory_of(path);
    make_directory(directory)?;
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    hand_over(file.path(), directory)?;
    Ok(file)
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

/// Gives what root made to the owner of the directory that it is in.
fn hand_over(path: &Path, directory: &Path) -> io::Result<()> {
    let (owner, ours) = (fs::metadata(directory)?, fs::symlink_metadata(path)?);
    // For anybody else than root both are the same, or it is not theirs to give.
    if ours.uid() == 0 && owner.uid() != 0 {
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Writes a file of mode 0600 in place of the one that is there. After a crash there is either the one or the other.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let file = prepare(path, text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    sync(directory_of(path))
}

/// Moves a file to where none is, so that it has moved even after a crash. Of many who try, one succeeds: for the others
/// the file is not found.
pub(crate) fn take(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    for path in [from, to] {
        sync(directory_of(path))?;
    }
    Ok(())
}

/// Opens a file to read it, and says its permission bits, as they are of what was opened.
pub(crate) fn open(path: &Path) -> io::Result<(File, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    Ok((file, mode))
}

/// The text of a file of at most so many bytes; none if there is no such file.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    // One byte more shows that it is too long.
    if file.take(most + 1).read_to_string(&mut text)? as u64 > most {
        return Err(io::Error::other(
            "the file is longer than any that was written here",
        ));
    }
    Ok(Some(text))
}

/// Makes sure that what a directory lists outlives a crash.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
