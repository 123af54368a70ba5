//! The thread that writes the access log. Only it may wait for a disk or a reader.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;

use super::{AccessLogError, Message, State};

/// How much is written at a time, in bytes.
const BATCH: usize = 64 * 1024;

/// Where lines go.
pub(super) enum Target {
    StandardError,
    File {
        path: PathBuf,
        /// None until it is opened; a pipe is not before the thread may wait for its reader.
        file: Option<File>,
    },
}

impl Target {
    /// Opens the file, so that one that cannot be opened shows at the start.
    pub(super) fn new(path: Option<PathBuf>) -> Result<Target, AccessLogError> {
        let Some(path) = path else {
            return Ok(Target::StandardError);
        };
        let is_pipe = std::fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_fifo());
        let file = if is_pipe {
            None
        } else {
            match open(&path) {
                Ok(file) => Some(file),
                Err(source) => return Err(AccessLogError::Open { path, source }),
            }
        };
        Ok(Target::File { path, file })
    }

    /// The file is opened anew at the next write.
    fn close(&mut self) {
        if let Target::File { file, .. } = self {
            *file = None;
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            // At once, so that no other line comes between.
            Target::StandardError => io::stderr().lock().write_all(text),
            Target::File { path, file } => {
                let file = match file {
                    Some(file) => file,
                    None => file.insert(open(path)?),
                };
                file.write_all(text)
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Writes lines until it is told to stop, in batches of what is there.
pub(super) fn write(messages: &Receiver<Message>, mut target: Target, state: &State) {
    let mut text = Vec::with_capacity(BATCH);
    let mut works = true;
    loop {
        let mut next = if state.stop.load(Relaxed) {
            messages.try_recv().ok()
        } else {
            messages.recv().ok()
        };
        if next.is_none() {
            return;
        }
        let mut lines = 0;
        while let Some(message) = next {
            if let Message::Line(line) = message {
                line.append(&mut text);
                lines += 1;
            }
            let is_full = text.len() >= BATCH;
            next = (!is_full).then(|| messages.try_recv().ok()).flatten();
        }
        if state.reopen.swap(false, Relaxed) {
            target.close();
        }
        if lines == 0 {
            continue;
        }
        match target.write(&text) {
            Ok(()) => {
                state.written.fetch_add(lines, Relaxed);
                works = true;
            }
            Err(error) => {
                state.dropped.fetch_add(lines, Relaxed);
                if std::mem::replace(&mut works, false) {
                    tracing::warn!(%error, "the access log cannot be written; lines are dropped");
                }
                target.close();
            }
        }
        text.clear();
    }
}
