//! Calls that are at neighbours, until what became of them is held against what those had promised.

use dfaas_protocol::delivery::Rejection;
use dfaas_protocol::neighbours::{Promise, Remote};
use dfaas_protocol::{Headroom, Time};

use crate::clock::Clock;

/// A call that was sent to a neighbour. If it is dropped, somebody did not wait for the answer.
#[derive(Debug)]
pub struct Sent<'a> {
    remote: &'a Remote,
    clock: Clock,
    at: Time,
    is_judged: bool,
}

impl<'a> Sent<'a> {
    /// A call that is sent at `at`.
    pub fn new(remote: &'a Remote, clock: Clock, at: Time) -> Sent<'a> {
        remote.begins();
        Sent {
            remote,
            clock,
            at,
            is_judged: false,
        }
    }

    /// It was answered at `now`.
    pub fn answered(self, now: Time) {
        let took = now.since(self.at);
        self.judge_at(Promise::Answered(took), || now);
    }

    /// It was refused with that word, by one that says that this is left.
    pub fn refused(self, word: Option<&str>, says: Option<Headroom>) {
        // What a neighbour grants says nothing of the room that it has.
        if word == Some(Rejection::OverGrant.as_str()) {
            return self.void();
        }
        let full = word == Some(Rejection::Full.as_str());
        self.judge(Promise::Refused(says.filter(|_| full)));
    }

    /// The neighbour could not be connected to, or the connection broke.
    pub fn broke(self) {
        self.judge(Promise::Broke);
    }

    /// Something ended it that is none of the neighbour's doing.
    pub fn void(self) {
        self.judge(Promise::Void);
    }

    fn judge(self, promise: Promise) {
        let clock = self.clock;
        self.judge_at(promise, || clock.now());
    }

    fn judge_at(mut self, promise: Promise, now: impl FnOnce() -> Time) {
        self.is_judged = true;
        self.remote.judge(promise, now);
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.is_judged {
            let now = self.clock.now();
            let stalled = Promise::Stalled(now.since(self.at));
            self.remote.judge(stalled, || now);
        }
    }
}
