//! One call at the end that sends it: how far its answer has come.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use dfaas_protocol::Headroom;
use thiserror::Error;
use tokio::time::Instant;

use super::frame::{Frame, Malformed, WINDOW};
use crate::datapath::plain::Failed;

/// The answer broke off, or the connection with it.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub(crate) struct Broken(Arc<str>);

/// A call that its task waits for.
#[derive(Debug)]
pub(super) struct Call {
    stage: Stage,
    input: BytesMut,
    headroom: Option<Headroom>,
    /// When something of the answer came last.
    came: Option<Instant>,
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
    /// A call that was not sent yet.
    pub(super) fn new() -> Call {
        Call {
            stage: Stage::Waits,
            input: BytesMut::new(),
            headroom: None,
            came: None,
            window: WINDOW,
            taken: 0,
            task: None,
        }
    }

    /// The headroom that came with the answer.
    pub(super) fn headroom(&self) -> Option<Headroom> {
        self.headroom
    }

    /// When something of the answer came last.
    pub(super) fn came(&self) -> Option<Instant> {
        self.came
    }

    /// Whether the other end may still send something of it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Waits | Stage::Answers)
    }

    /// The connection has ended, for that reason. `unsent`: nothing of the call was sent, and whether that speaks against the
    /// other end.
    pub(super) fn end(&mut self, unsent: Option<bool>, why: &Arc<str>) {
        match (&self.stage, unsent) {
            (Stage::Ended | Stage::Refused(_), _) => {}
            (_, Some(against)) => self.change(Stage::Unsent(against, Arc::clone(why))),
            (_, None) => self.change(Stage::Broken(Arc::clone(why))),
        }
    }

    /// Waits until something of an answer has come.
    pub(super) fn poll_begins(&mut self, cx: &Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(match &self.stage {
            Stage::Waits => {
                self.wait(cx);
                return Poll::Pending;
            }
            Stage::Refused(why) => Err(Failed::Refused(self.headroom, Rc::clone(why))),
            Stage::Unsent(against, why) => Err(Failed::Unsent {
                against: *against,
                why: why.to_string(),
            }),
            Stage::Broken(why) if self.input.is_empty() => Err(Failed::Broken {
                against: true,
                why: why.to_string(),
            }),
            Stage::Answers | Stage::Ended | Stage::Broken(_) => Ok(()),
        })
    }

    /// Adds what came of the answer to `input`. Tells whether anything did, and how many more bytes to ask for.
    pub(super) fn poll_more(
        &mut self,
        input: &mut BytesMut,
        cx: &Context<'_>,
    ) -> Poll<Result<(bool, Option<u32>), Broken>> {
        if self.input.is_empty() {
            return match &self.stage {
                Stage::Broken(why) | Stage::Unsent(_, why) => {
                    Poll::Ready(Err(Broken(Arc::clone(why))))
                }
                Stage::Ended | Stage::Refused(_) => Poll::Ready(Ok((false, None))),
                Stage::Waits | Stage::Answers => {
                    self.wait(cx);
                    Poll::Pending
                }
            };
        }
        self.taken += self.input.len() as u32;
        if input.is_empty() {
            std::mem::swap(input, &mut self.input);
        } else {
            input.extend_from_slice(&self.input);
        }
        self.input.clear();
        let asks = matches!(self.stage, Stage::Answers) && self.taken >= WINDOW / 2;
        let more = asks.then(|| std::mem::take(&mut self.taken));
        self.window += more.unwrap_or_default();
        Poll::Ready(Ok((true, more)))
    }

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

    fn take_bytes(&mut self, bytes: &[u8], last: bool, came: Instant) -> Result<(), Malformed> {
        // More was not asked for.
        self.window = u32::try_from(bytes.len())
            .ok()
            .and_then(|n| self.window.checked_sub(n))
            .ok_or(Malformed)?;
        self.input.extend_from_slice(bytes);
        self.came = Some(came);
        self.change(if last { Stage::Ended } else { Stage::Answers });
        Ok(())
    }

    /// Takes in a frame that came from the other end at that moment.
    pub(super) fn take_in(&mut self, frame: Frame<'_>, came: Instant) -> Result<(), Malformed> {
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
                self.take_bytes(bytes, last, came)
            }
            (Frame::Data { bytes, last, .. }, Stage::Answers) => self.take_bytes(bytes, last, came),
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
