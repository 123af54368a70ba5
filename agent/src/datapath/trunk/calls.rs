//! The calls of a trunk at the end that sends them: what their tasks and the task of the connection share.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::BytesMut;
use dfaas_protocol::Headroom;
use dfaas_protocol::policy::Asked;
use tokio::time::Instant;

use super::ByNumber;
use super::call::{Broken, Call};
use super::frame::{self, Frame, Malformed};
use crate::datapath::plain::Failed;

/// The calls of one trunk. They outlive its connection.
#[derive(Debug)]
pub(super) struct Calls {
    state: RefCell<State>,
    there: There,
}

/// The other end of a trunk, as headers name it: written once and not for each call.
#[derive(Debug)]
pub(crate) struct There {
    /// Which node.
    pub(crate) node: Box<str>,
    /// Its IP address.
    pub(crate) ip: Box<str>,
}

#[derive(Debug)]
struct State {
    calls: ByNumber<Rc<RefCell<Call>>>,
    /// The number of the next call.
    next: u32,
    /// Calls from this number on have not been handed to the connection.
    handed: u32,
    /// Frames that wait to be sent.
    out: Vec<u8>,
    takes: bool,
    connection: Option<Waker>,
}

impl Calls {
    /// Calls of which that is the first.
    pub(super) fn with(there: There, asked: Asked, request: [&[u8]; 2]) -> (Rc<Calls>, TrunkCall) {
        let calls = Rc::new(Calls {
            state: RefCell::new(State {
                calls: ByNumber::default(),
                next: 1,
                handed: 1,
                out: Vec::new(),
                takes: true,
                connection: None,
            }),
            there,
        });
        let call = calls.add(asked, request);
        (calls, call)
    }

    /// A new call with that request, unless the trunk takes none any more.
    pub(super) fn call(self: &Rc<Self>, asked: Asked, request: [&[u8]; 2]) -> Option<TrunkCall> {
        self.takes().then(|| self.add(asked, request))
    }

    fn add(self: &Rc<Self>, asked: Asked, request: [&[u8]; 2]) -> TrunkCall {
        let mut state = self.state.borrow_mut();
        let number = state.next;
        state.next += 1;
        // The last number is not used.
        state.takes = state.next < u32::MAX;
        frame::write_call(&mut state.out, number, asked, request);
        let call = Rc::new(RefCell::new(Call::new()));
        state.calls.insert(number, Rc::clone(&call));
        state.wake_connection();
        TrunkCall {
            calls: Rc::clone(self),
            number,
            call,
        }
    }

    /// The trunk takes no more calls.
    pub(super) fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.takes = false;
        state.wake_connection();
    }

    /// Whether the trunk takes calls.
    pub(super) fn takes(&self) -> bool {
        self.state.borrow().takes
    }

    /// Whether no call is on it.
    pub(super) fn is_empty(&self) -> bool {
        self.state.borrow().calls.is_empty()
    }

    /// Bytes of the frames that wait.
    pub(super) fn waiting(&self) -> usize {
        self.state.borrow().out.len()
    }

    /// Puts the frames that wait into `next`, whose empty memory the frames after them get. Whether there are any; if not, the
    /// connection's task is woken when there are.
    pub(super) fn hand_over(&self, next: &mut Vec<u8>, cx: &Context<'_>) -> bool {
        let mut state = self.state.borrow_mut();
        if state.out.is_empty() {
            match &state.connection {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => state.connection = Some(cx.waker().clone()),
            }
            return false;
        }
        std::mem::swap(&mut state.out, next);
        state.handed = state.next;
        true
    }

    /// The number of the first call that was not handed over.
    pub(super) fn handed(&self) -> u32 {
        self.state.borrow().handed
    }

    /// Takes in a frame that came from the other end at that moment.
    pub(super) fn take_in(&self, frame: Frame<'_>, came: Instant) -> Result<(), Malformed> {
        let mut state = self.state.borrow_mut();
        let call = match frame {
            Frame::Answer { call, .. }
            | Frame::Data { call, .. }
            | Frame::Refused { call, .. }
            | Frame::Reset { call } => call,
            Frame::Closing => {
                state.takes = false;
                return Ok(());
            }
            Frame::Call { .. } | Frame::More { .. } => return Err(Malformed),
        };
        if call == 0 || call >= state.handed {
            return Err(Malformed);
        }
        // One that was given up here may still be answered.
        match state.calls.get(&call) {
            Some(call) => call.borrow_mut().take_in(frame, came),
            None => Ok(()),
        }
    }

    /// The connection has ended. Calls from number `unsent` on were not sent.
    pub(super) fn end(&self, unsent: u32, against: bool, why: &str) {
        let mut state = self.state.borrow_mut();
        state.takes = false;
        state.out = Vec::new();
        let why: Arc<str> = why.into();
        for (number, call) in &state.calls {
            let unsent = (*number >= unsent).then_some(against);
            call.borrow_mut().end(unsent, &why);
        }
    }
}

impl Calls {
    /// Asks the other end for so many more bytes.
    fn ask(&self, call: u32, bytes: u32) {
        let mut state = self.state.borrow_mut();
        frame::write_more(&mut state.out, call, bytes);
        state.wake_connection();
    }

    /// A call's task is done with it.
    fn forget(&self, call: u32, open: bool) {
        let mut state = self.state.borrow_mut();
        state.calls.remove(&call);
        if open {
            frame::write_reset(&mut state.out, call);
            state.wake_connection();
        } else if !state.takes && state.calls.is_empty() {
            state.wake_connection();
        }
    }
}

impl State {
    fn wake_connection(&mut self) {
        if let Some(waker) = self.connection.take() {
            waker.wake();
        }
    }
}

/// A call on a trunk. Dropped before its answer has ended, it is given up at the other end too.
#[derive(Debug)]
pub(crate) struct TrunkCall {
    calls: Rc<Calls>,
    number: u32,
    call: Rc<RefCell<Call>>,
}

impl TrunkCall {
    /// Waits until something of an answer has come.
    pub(crate) async fn begins(&mut self) -> Result<(), Failed> {
        poll_fn(|cx| self.call.borrow_mut().poll_begins(cx)).await
    }

    /// The other end.
    pub(crate) fn there(&self) -> &There {
        &self.calls.there
    }

    /// The headroom that came with the answer.
    pub(crate) fn headroom(&self) -> Option<Headroom> {
        self.call.borrow().headroom()
    }

    /// When something of the answer came last; now, if nothing did.
    pub(crate) fn came(&self) -> Instant {
        self.call.borrow().came().unwrap_or_else(Instant::now)
    }

    /// Adds what came of the answer to `input`. Returns whether anything did; if not, the answer has ended.
    ///
    /// # Errors
    /// If the answer broke off.
    pub(crate) async fn more(&mut self, input: &mut BytesMut) -> Result<bool, Broken> {
        let (any, ask) = poll_fn(|cx| self.call.borrow_mut().poll_more(input, cx)).await?;
        if let Some(bytes) = ask {
            self.calls.ask(self.number, bytes);
        }
        Ok(any)
    }
}

impl Drop for TrunkCall {
    fn drop(&mut self) {
        let open = self.call.borrow().is_open();
        self.calls.forget(self.number, open);
    }
}

#[cfg(test)]
mod tests;
