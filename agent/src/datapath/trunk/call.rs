//! The calls of a trunk at the end that sends them: what their tasks and the task of the connection share.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use dfaas_protocol::Headroom;
use dfaas_protocol::policy::Priority;
use thiserror::Error;

use super::ByNumber;
use super::frame::{self, Frame, Malformed, WINDOW};
use crate::datapath::plain::Failed;

/// The answer broke off, or the connection with it.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub(crate) struct Broken(Arc<str>);

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

/// A call that its task waits for.
#[derive(Debug)]
struct Call {
    stage: Stage,
    input: BytesMut,
    headroom: Option<Headroom>,
    /// Bytes that the other end may still send.
    window: u32,
    /// Bytes that were taken and not yet asked for again.
    taken: u32,
    task: Option<Waker>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing of an answer has come.
    Waits,
    Answers,
    Ended,
    /// For that reason.
    Refused(Rc<str>),
    /// It was not sent. Whether that speaks against the other end.
    Unsent(bool, Arc<str>),
    Broken(Arc<str>),
}

impl Call {
    fn wait(&mut self, cx: &Context<'_>) {
        match &self.task {
            Some(task) if task.will_wake(cx.waker()) => {}
            _ => self.task = Some(cx.waker().clone()),
        }
    }

    fn change(&mut self, stage: Stage) {
        self.stage = stage;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn take_bytes(&mut self, bytes: &[u8], last: bool) -> Result<(), Malformed> {
        // More was not asked for.
        self.window = u32::try_from(bytes.len())
            .ok()
            .and_then(|n| self.window.checked_sub(n))
            .ok_or(Malformed)?;
        self.input.extend_from_slice(bytes);
        self.change(if last { Stage::Ended } else { Stage::Answers });
        Ok(())
    }

    fn take_in(&mut self, frame: Frame<'_>) -> Result<(), Malformed> {
        match (frame, &self.stage) {
            (
                Frame::Answer {
                    headroom,
                    bytes,
                    last,
                    ..
                },
                Stage::Waits,
            ) => {
                self.headroom = headroom;
                self.take_bytes(bytes, last)
            }
            (Frame::Data { bytes, last, .. }, Stage::Answers) => self.take_bytes(bytes, last),
            (Frame::Refused { headroom, why, .. }, Stage::Waits) => {
                tracing::debug!(why, "a neighbour refused a call");
                let why = why.into();
                self.headroom = headroom;
                self.change(Stage::Refused(why));
                Ok(())
            }
            (Frame::Reset { .. }, Stage::Waits | Stage::Answers) => {
                self.change(Stage::Broken("the neighbour gave the call up".into()));
                Ok(())
            }
            _ => Err(Malformed),
        }
    }
}

impl Calls {
    /// Calls of which that is the first.
    pub(super) fn with(
        there: There,
        priority: Priority,
        request: [&[u8]; 2],
    ) -> (Rc<Calls>, TrunkCall) {
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
        let call = calls.add(priority, request);
        (calls, call)
    }

    /// A new call with that request, unless the trunk takes none any more.
    pub(super) fn call(
        self: &Rc<Self>,
        priority: Priority,
        request: [&[u8]; 2],
    ) -> Option<TrunkCall> {
        self.takes().then(|| self.add(priority, request))
    }

    fn add(self: &Rc<Self>, priority: Priority, request: [&[u8]; 2]) -> TrunkCall {
        let mut state = self.state.borrow_mut();
        let number = state.next;
        state.next += 1;
        // The last number is not used.
        state.takes = state.next < u32::MAX;
        frame::write_call(&mut state.out, number, priority, request);
        let call = Rc::new(RefCell::new(Call {
            stage: Stage::Waits,
            input: BytesMut::new(),
            headroom: None,
            window: WINDOW,
            taken: 0,
            task: None,
        }));
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

    /// Puts the frames that wait in the place of those that were sent. Whether there are any; if not, the connection's
    /// task is woken when there are.
    pub(super) fn hand_over(&self, sent: &mut Vec<u8>, cx: &Context<'_>) -> bool {
        let mut state = self.state.borrow_mut();
        sent.clear();
        if state.out.is_empty() {
            match &state.connection {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => state.connection = Some(cx.waker().clone()),
            }
            return false;
        }
        std::mem::swap(&mut state.out, sent);
        state.handed = state.next;
        true
    }

    /// The number of the first call that was not handed over.
    pub(super) fn handed(&self) -> u32 {
        self.state.borrow().handed
    }

    /// Takes in a frame from the other end.
    pub(super) fn take_in(&self, frame: Frame<'_>) -> Result<(), Malformed> {
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
            Some(call) => call.borrow_mut().take_in(frame),
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
            let call = &mut *call.borrow_mut();
            match call.stage {
                Stage::Ended | Stage::Refused(_) => {}
                _ if *number >= unsent => call.change(Stage::Unsent(against, Arc::clone(&why))),
                _ => call.change(Stage::Broken(Arc::clone(&why))),
            }
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
        poll_fn(|cx| {
            let call = &mut *self.call.borrow_mut();
            Poll::Ready(match &call.stage {
                Stage::Waits => {
                    call.wait(cx);
                    return Poll::Pending;
                }
                Stage::Refused(why) => Err(Failed::Refused(call.headroom, Rc::clone(why))),
                Stage::Unsent(against, why) => Err(Failed::Unsent {
                    against: *against,
                    why: why.to_string(),
                }),
                Stage::Broken(why) if call.input.is_empty() => Err(Failed::Broken(why.to_string())),
                Stage::Answers | Stage::Ended | Stage::Broken(_) => Ok(()),
            })
        })
        .await
    }

    /// The other end.
    pub(crate) fn there(&self) -> &There {
        &self.calls.there
    }

    /// The headroom that came with the answer.
    pub(crate) fn headroom(&self) -> Option<Headroom> {
        self.call.borrow().headroom
    }

    /// Adds what came of the answer to `input`. Returns whether anything did; if not, the answer has ended.
    ///
    /// # Errors
    /// If the answer broke off.
    pub(crate) async fn more(&mut self, input: &mut BytesMut) -> Result<bool, Broken> {
        poll_fn(|cx| {
            let call = &mut *self.call.borrow_mut();
            if call.input.is_empty() {
                return match &call.stage {
                    Stage::Broken(why) | Stage::Unsent(_, why) => {
                        Poll::Ready(Err(Broken(Arc::clone(why))))
                    }
                    Stage::Ended | Stage::Refused(_) => Poll::Ready(Ok(false)),
                    Stage::Waits | Stage::Answers => {
                        call.wait(cx);
                        Poll::Pending
                    }
                };
            }
            call.taken += call.input.len() as u32;
            if input.is_empty() {
                std::mem::swap(input, &mut call.input);
            } else {
                input.extend_from_slice(&call.input);
            }
            call.input.clear();
            if matches!(call.stage, Stage::Answers) && call.taken >= WINDOW / 2 {
                self.calls.ask(self.number, call.taken);
                call.window += std::mem::take(&mut call.taken);
            }
            Poll::Ready(Ok(true))
        })
        .await
    }
}

impl Drop for TrunkCall {
    fn drop(&mut self) {
        let open = matches!(self.call.borrow().stage, Stage::Waits | Stage::Answers);
        self.calls.forget(self.number, open);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn calls(body: &[u8]) -> (Rc<Calls>, TrunkCall) {
        let there = There {
            node: "n".into(),
            ip: "192.0.2.1".into(),
        };
        Calls::with(there, Priority::default(), [b"head ", body])
    }

    /// What the connection's task would send.
    fn handed_over(calls: &Calls) -> Vec<u8> {
        let mut sent = Vec::new();
        let cx = Context::from_waker(Waker::noop());
        calls.hand_over(&mut sent, &cx);
        sent
    }

    fn data(call: u32, bytes: &[u8], last: bool) -> Frame<'_> {
        Frame::Data { call, bytes, last }
    }

    fn answer(call: u32, bytes: &[u8], last: bool) -> Frame<'_> {
        Frame::Answer {
            call,
            headroom: None,
            bytes,
            last,
        }
    }

    #[tokio::test]
    async fn calls_are_answered_in_any_order() {
        let (calls, mut first) = calls(b"first");
        let mut second = calls
            .call(Priority::default(), [b"head ", b"second"])
            .unwrap();
        let sent = handed_over(&calls);
        let (frame, len) = Frame::read(&sent).unwrap().unwrap();
        assert_eq!(
            frame,
            Frame::Call {
                call: 1,
                priority: Priority::default(),
                request: b"head first"
            }
        );
        assert!(Frame::read(&sent[len..]).unwrap().is_some());
        {
            let mut waits = pin!(first.begins());
            assert!(futures::poll!(&mut waits).is_pending());
        }
        calls.take_in(answer(2, b"two", true)).unwrap();
        calls.take_in(answer(1, b"on", false)).unwrap();
        calls.take_in(data(1, b"e", true)).unwrap();
        first.begins().await.unwrap();
        let mut input = BytesMut::new();
        second.begins().await.unwrap();
        while second.more(&mut input).await.unwrap() {}
        while first.more(&mut input).await.unwrap() {}
        assert_eq!(input, "twoone"[..]);
        drop((first, second));
        assert!(calls.is_empty());
        assert_eq!(
            handed_over(&calls),
            b"",
            "calls that ended are not given up"
        );
    }

    #[tokio::test]
    async fn what_was_not_handed_over_can_be_tried_elsewhere() {
        let (calls, mut sent) = calls(b"sent");
        handed_over(&calls);
        let mut unsent = calls
            .call(Priority::default(), [b"head ", b"unsent"])
            .unwrap();
        calls.end(calls.handed(), true, "the connection broke");
        assert!(matches!(sent.begins().await, Err(Failed::Broken(_))));
        let failed = unsent.begins().await;
        assert!(matches!(failed, Err(Failed::Unsent { against: true, .. })));
        assert!(
            calls
                .call(Priority::default(), [b"head ", b"later"])
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_is_given_up_at_the_other_end() {
        let (calls, call) = calls(b"x");
        drop(call);
        let sent = handed_over(&calls);
        let (_, len) = Frame::read(&sent).unwrap().unwrap();
        let (frame, _) = Frame::read(&sent[len..]).unwrap().unwrap();
        assert_eq!(frame, Frame::Reset { call: 1 });
        // Its answer was on its way.
        assert_eq!(calls.take_in(answer(1, b"late", false)), Ok(()));
        assert_eq!(calls.take_in(data(1, b"later", true)), Ok(()));
    }

    #[tokio::test]
    async fn more_is_asked_for_when_what_came_was_taken() {
        let (calls, mut call) = calls(b"x");
        handed_over(&calls);
        let half = vec![7; (WINDOW / 2) as usize];
        calls.take_in(answer(1, &half, false)).unwrap();
        calls.take_in(data(1, &half, false)).unwrap();
        // The window is used up, and nothing was taken.
        assert_eq!(handed_over(&calls), b"");
        let mut input = BytesMut::new();
        assert!(call.more(&mut input).await.unwrap());
        let sent = handed_over(&calls);
        let (frame, _) = Frame::read(&sent).unwrap().unwrap();
        assert_eq!(
            frame,
            Frame::More {
                call: 1,
                bytes: WINDOW
            }
        );
        assert_eq!(calls.take_in(data(1, &half, false)), Ok(()));
        assert_eq!(calls.take_in(data(1, &half, false)), Ok(()));
        assert_eq!(calls.take_in(data(1, b"x", false)), Err(Malformed));
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        for frames in [
            vec![answer(9, b"", true)],
            vec![answer(0, b"", true)],
            vec![data(1, b"before its head", false)],
            vec![answer(1, b"", false), answer(1, b"", false)],
            vec![answer(1, b"", true), data(1, b"", true)],
            vec![answer(1, b"", true), Frame::Reset { call: 1 }],
            vec![Frame::More { call: 1, bytes: 1 }],
            vec![Frame::Call {
                call: 1,
                priority: Priority::default(),
                request: b"",
            }],
        ] {
            let (calls, _call) = calls(b"x");
            handed_over(&calls);
            let (last, before) = frames.split_last().unwrap();
            for frame in before {
                calls.take_in(*frame).unwrap();
            }
            assert_eq!(calls.take_in(*last), Err(Malformed), "{frames:?}");
        }
        // Before the call was sent.
        let (calls, _call) = calls(b"x");
        assert_eq!(calls.take_in(answer(1, b"", true)), Err(Malformed));
    }
}
