//! A call's entry, from its arrival until its answer was sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use dfaas_protocol::{FunctionName, NodeId};

use crate::routing::{CLIENT_GONE, Outcome};
use crate::telemetry::turned_away::TurnedAway;

use super::AccessLog;
use super::line::{Line, shortened};

/// A call's entry. It is logged when it is dropped, with what is known of it then.
#[derive(Debug)]
pub struct Entry {
    log: Arc<AccessLog>,
    line: Option<Box<Line>>,
    begun: Instant,
    sent: Option<Instant>,
}

impl Entry {
    /// A call has arrived. The path is without its query, the length that of the call's body if that is known.
    pub fn new(
        log: &Arc<AccessLog>,
        client: IpAddr,
        method: &str,
        path: &str,
        length: Option<u64>,
    ) -> Entry {
        let line = Line {
            time: SystemTime::now(),
            call_id: None,
            client,
            method: method.into(),
            path: shortened(path),
            function: None,
            status: CLIENT_GONE,
            outcome: Outcome::Failed,
            turned_away: None,
            node: None,
            attempts: 0,
            bytes_in: length,
            bytes_out: 0,
            total: Default::default(),
            upstream: None,
        };
        Entry {
            log: Arc::clone(log),
            line: Some(Box::new(line)),
            begun: Instant::now(),
            sent: None,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Line)) {
        if let Some(line) = &mut self.line {
            change(line);
        }
    }

    /// It is a call of that function, with that id.
    pub fn names(&mut self, function: &FunctionName, call_id: &[u8]) {
        let call_id = shortened(&String::from_utf8_lossy(call_id));
        self.change(|line| {
            line.function = Some(function.clone());
            line.call_id = Some(call_id);
        });
    }

    /// It is sent to the local platform.
    pub fn sent_here(&mut self) {
        self.sent_to(self.log.node);
    }

    /// It is sent to that node.
    pub fn sent_to(&mut self, node: NodeId) {
        self.sent = Some(Instant::now());
        self.change(|line| {
            line.node = Some(node);
            line.attempts += 1;
        });
    }

    /// The head of its answer is there.
    pub fn answered(&mut self, outcome: Outcome, status: u16) {
        let upstream = self.sent.map(|sent| sent.elapsed());
        self.change(|line| {
            line.outcome = outcome;
            line.status = status;
            line.upstream = upstream;
            if outcome == Outcome::Refused {
                // Nobody ran it.
                line.node = None;
            }
        });
    }

    /// It is answered without becoming a call.
    pub fn turned_away(&mut self, why: TurnedAway, status: u16) {
        self.answered(Outcome::Refused, status);
        self.change(|line| line.turned_away = Some(why));
    }

    /// So many bytes of the answer's body are sent.
    pub fn sends(&mut self, bytes: usize) {
        self.change(|line| line.bytes_out += bytes as u64);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.total = self.begun.elapsed();
            self.log.log(line);
        }
    }
}
