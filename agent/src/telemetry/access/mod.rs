//! The access log: one line of JSON for each call of a client.
//!
//! A call never waits for the log: its line goes into a bounded buffer, from which a thread of its own writes. When the
//! buffer is full, as the disk or a reader is slow, the line is dropped and counted. Neither headers nor query strings
//! are logged, since they may hold secrets; of a call's headers only its id is.

mod entry;
mod line;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use dfaas_protocol::NodeId;

use crate::config::AccessLogConfig;

pub use entry::Entry;
use line::Line;

/// How many lines wait to be written at most: a second's worth of calls on a fast node, a few megabytes.
const BUFFER: usize = 8192;
/// How long a stopping agent waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often it looks whether they are written.
const LOOK: Duration = Duration::from_millis(10);

/// The access log is not to be had.
#[derive(Debug, Error)]
pub enum AccessLogError {
    /// The file cannot be opened.
    #[error(
        "log.access_file = {path} cannot be opened for writing: check the directory and who may write there"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No thread for it can be started.
    #[error("the thread of the access log cannot be started")]
    Thread(#[source] io::Error),
}

/// The access log, as calls see it.
#[derive(Debug)]
pub struct AccessLog {
    node: NodeId,
    sender: SyncSender<Message>,
    state: Arc<State>,
}

/// What calls, the writer and those who steer it share.
#[derive(Debug, Default)]
struct State {
    written: AtomicU64,
    dropped: AtomicU64,
    reopen: AtomicBool,
    stop: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Line(Box<Line>),
    /// Something in the state has changed.
    Look,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessCounters {
    /// Written.
    pub written: u64,
    /// Dropped, as the buffer was full or could not be written.
    pub dropped: u64,
}

impl AccessLog {
    /// Opens the log of the node, if there is to be one, and starts its thread.
    ///
    /// # Errors
    /// If the file cannot be opened, or the thread not started.
    pub fn open(
        config: &AccessLogConfig,
        node: NodeId,
    ) -> Result<Option<(Arc<AccessLog>, AccessWriter)>, AccessLogError> {
        let AccessLogConfig::Json { file } = config else {
            return Ok(None);
        };
        let target = writer::Target::new(file.clone())?;
        let (sender, lines) = sync_channel(BUFFER);
        let state = Arc::<State>::default();
        let writing = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer::write(&lines, target, &writing))
            .map_err(AccessLogError::Thread)?;
        let log = AccessLog {
            node,
            sender,
            state,
        };
        Ok(Some((Arc::new(log), AccessWriter(thread))))
    }

    /// What became of the lines so far.
    pub fn counters(&self) -> AccessCounters {
        AccessCounters {
            written: self.state.written.load(Relaxed),
            dropped: self.state.dropped.load(Relaxed),
        }
    }

    /// Opens the file anew, as whoever rotates it has moved it away.
    pub fn reopen(&self) {
        self.state.reopen.store(true, Relaxed);
        self.wake();
    }

    fn log(&self, line: Box<Line>) {
        if self.sender.try_send(Message::Line(line)).is_err() {
            self.state.dropped.fetch_add(1, Relaxed);
        }
    }

    fn wake(&self) {
        // With a full buffer the thread is awake, or it hangs in a write and nothing would wake it.
        let _ = self.sender.try_send(Message::Look);
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct AccessWriter(JoinHandle<()>);

impl AccessWriter {
    /// Writes what is left, for a second at most, and ends.
    pub async fn finish(self, log: &AccessLog) {
        log.state.stop.store(true, Relaxed);
        log.wake();
        let until = Instant::now() + LAST_LINES;
        while !self.0.is_finished() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }
}
