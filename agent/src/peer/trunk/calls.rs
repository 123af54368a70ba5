//! What the calls of a trunk share.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use dfaas_protocol::policy::Asked;
use dfaas_protocol::{Headroom, NodeId};
use tokio::time::Instant;

use crate::datapath::trunk::ByNumber;
use crate::datapath::trunk::frame::{self, Frame, MAX_DATA, Malformed, WINDOW};
use crate::datapath::{Context, Metered};

/// With so many bytes waiting to be sent, nothing is added to them.
const MOST_WAITING: usize = 256 * 1024;
/// Calls on one trunk at a time. Those beyond are refused.
const MOST_CALLS: usize = 4096;
/// Runners of one trunk that are kept without a call.
const MOST_IDLE: usize = 64;
/// A request that was longer does not keep its memory.
const MOST_KEPT: usize = 4 * 1024;

/// What the calls of a trunk share.
pub(super) struct Calls {
    pub(super) context: Rc<Context>,
    /// The neighbour that sends them.
    pub(super) from: NodeId,
    /// What it may bring.
    pub(super) metered: Metered,
    /// Frames that wait to be sent.
    out: RefCell<Vec<u8>>,
    tickets: RefCell<ByNumber<Rc<Ticket>>>,
    /// Those of runners without a call.
    idle: RefCell<Vec<Rc<Ticket>>>,
    /// Calls that wait for room in `out`.
    crowd: RefCell<Vec<Waker>>,
    /// No call's deadline is before it. One timer serves all calls of a trunk and is hardly ever set anew.
    next_deadline: Cell<Option<Instant>>,
}

/// A call as it came.
pub(super) struct Call {
    pub(super) number: u32,
    /// What it asks for.
    pub(super) asked: Asked,
    /// A copy, as a call that lasts would keep all that was read with it.
    pub(super) request: Vec<u8>,
    /// When it came.
    pub(super) came: Instant,
}

impl Call {
    /// The memory for a call.
    fn new(came: Instant) -> Box<Call> {
        Box::new(Call {
            number: 0,
            asked: Asked::default(),
            request: Vec::new(),
            came,
        })
    }
}

/// What a runner is told: its next call, and what the other end says of the one that it runs.
#[derive(Default)]
pub(super) struct Ticket {
    /// A call that the runner has not begun. In a box, as it goes through many hands.
    next: Cell<Option<Box<Call>>>,
    /// The memory of its last one.
    spare: Cell<Option<Box<Call>>>,
    pub(super) given_up: Cell<bool>,
    /// Bytes of the answer that may be sent.
    pub(super) window: Cell<u32>,
    /// When the head of the answer has to be there.
    pub(super) deadline: Cell<Option<Instant>>,
    late: Cell<bool>,
    task: Cell<Option<Waker>>,
}

impl Ticket {
    /// Gives the runner its next call.
    fn give(&self, call: Box<Call>) {
        self.next.set(Some(call));
        self.given_up.set(false);
        self.window.set(WINDOW);
        self.deadline.set(None);
        self.late.set(false);
        self.wake();
    }

    /// Waits for the next call.
    pub(super) async fn call(&self) -> Box<Call> {
        poll_fn(|cx| {
            if let Some(call) = self.next.take() {
                return Poll::Ready(call);
            }
            self.listen(cx);
            Poll::Pending
        })
        .await
    }

    /// Does that, unless the call's time is over before.
    pub(super) async fn in_time<T>(
        &self,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.late.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Has `cx`'s task woken when the other end says something of the call.
    pub(super) fn listen(&self, cx: &TaskContext<'_>) {
        let task = self.task.take();
        let task = task.filter(|task| task.will_wake(cx.waker()));
        self.task.set(task.or_else(|| Some(cx.waker().clone())));
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake_by_ref();
            self.task.set(Some(task));
        }
    }
}

impl Calls {
    pub(super) fn new(context: Rc<Context>, from: NodeId, metered: Metered) -> Calls {
        Calls {
            context,
            from,
            metered,
            out: RefCell::default(),
            tickets: RefCell::default(),
            idle: RefCell::default(),
            crowd: RefCell::default(),
            next_deadline: Cell::default(),
        }
    }

    /// Tells the other end that no more calls are taken.
    pub(super) fn close(&self) {
        frame::write_closing(&mut self.out.borrow_mut());
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.out.borrow().len()
    }

    /// Whether so many wait that none are to be added.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= MOST_WAITING
    }

    /// Whether there are more calls than may be.
    pub(super) fn are_too_many(&self) -> bool {
        self.tickets.borrow().len() > MOST_CALLS
    }

    /// Puts the frames that wait into `next`, whose empty memory the frames after them get. That makes room.
    pub(super) fn hand_over(&self, next: &mut Vec<u8>) {
        std::mem::swap(&mut *self.out.borrow_mut(), next);
        let mut crowd = self.crowd.borrow_mut();
        crowd.drain(..).for_each(Waker::wake);
    }

    /// Whether no call is on the trunk.
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.borrow().is_empty()
    }

    /// Gives a call to a runner that has none. Where there is none, the ticket for a new one is returned.
    #[must_use]
    pub(super) fn begin(
        &self,
        number: u32,
        asked: Asked,
        request: &[u8],
        came: Instant,
    ) -> Option<Rc<Ticket>> {
        let idle = self.idle.borrow_mut().pop();
        let fresh = idle.is_none();
        let ticket = idle.unwrap_or_default();
        let mut call = ticket.spare.take().unwrap_or_else(|| Call::new(came));
        (call.number, call.asked, call.came) = (number, asked, came);
        call.request.extend_from_slice(request);
        ticket.give(call);
        let mut tickets = self.tickets.borrow_mut();
        tickets.insert(number, Rc::clone(&ticket));
        fresh.then_some(ticket)
    }

    /// A call has ended. Whether its runner is to wait for another one.
    pub(super) fn end(&self, mut call: Box<Call>) -> bool {
        let ticket = self.tickets.borrow_mut().remove(&call.number);
        let mut idle = self.idle.borrow_mut();
        let (Some(ticket), true) = (ticket, idle.len() < MOST_IDLE) else {
            return false;
        };
        call.request.clear();
        call.request.shrink_to(MOST_KEPT);
        ticket.spare.set(Some(call));
        idle.push(ticket);
        true
    }

    /// No call's deadline is before it.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline.get()
    }

    /// Gives a call so much time.
    pub(super) fn limit(&self, ticket: &Ticket, deadline: Instant) {
        ticket.deadline.set(Some(deadline));
        let next = self.next_deadline.get();
        if next.is_none_or(|next| deadline < next) {
            self.next_deadline.set(Some(deadline));
        }
    }

    /// Tells the calls that are late, and finds out when to look again.
    pub(super) fn pass_deadlines(&self, now: Instant) {
        let tickets = self.tickets.borrow();
        let mut next = None::<Instant>;
        for ticket in tickets.values() {
            match ticket.deadline.get() {
                Some(deadline) if deadline <= now => {
                    ticket.deadline.set(None);
                    ticket.late.set(true);
                    ticket.wake();
                }
                Some(deadline) => next = Some(next.map_or(deadline, |next| next.min(deadline))),
                None => {}
            }
        }
        self.next_deadline.set(next);
    }

    /// Takes in what the other end says of a call, which may have ended here by now.
    pub(super) fn take_in(&self, frame: Frame<'_>) -> Result<(), Malformed> {
        let tickets = self.tickets.borrow();
        match frame {
            Frame::Reset { call } => {
                if let Some(ticket) = tickets.get(&call) {
                    ticket.given_up.set(true);
                    ticket.wake();
                }
                Ok(())
            }
            Frame::More { call, bytes } => {
                if let Some(ticket) = tickets.get(&call) {
                    let window = ticket.window.get().checked_add(bytes);
                    let window = window.filter(|n| *n <= WINDOW).ok_or(Malformed)?;
                    ticket.window.set(window);
                    ticket.wake();
                }
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    pub(super) fn answer(&self, number: u32, headroom: Option<Headroom>, bytes: &[u8], last: bool) {
        frame::write_answer(&mut self.out.borrow_mut(), number, headroom, bytes, last);
    }

    pub(super) fn reset(&self, number: u32) {
        frame::write_reset(&mut self.out.borrow_mut(), number);
    }

    pub(super) fn refuse(&self, number: u32, headroom: Option<Headroom>, why: &'static str) {
        frame::write_refused(&mut self.out.borrow_mut(), number, headroom, why);
    }

    /// Waits until a call may send something, of its answer or its window's bytes of it.
    pub(super) async fn room(&self, ticket: &Ticket, any: bool) {
        poll_fn(|cx| {
            if self.is_full() {
                self.crowd.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            if any && ticket.window.get() == 0 {
                return Poll::Pending; // Its ticket's waker is set wherever it waits.
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Sends more of an answer, as fast as the other end takes it.
    pub(super) async fn send(&self, number: u32, ticket: &Ticket, mut bytes: &[u8], last: bool) {
        loop {
            self.room(ticket, !bytes.is_empty()).await;
            let window = ticket.window.get();
            let most = MAX_DATA.min(window as usize);
            let (now, later) = bytes.split_at(bytes.len().min(most));
            ticket.window.set(window - now.len() as u32);
            let last = last && later.is_empty();
            frame::write_data(&mut self.out.borrow_mut(), number, now, last);
            bytes = later;
            if bytes.is_empty() {
                return;
            }
        }
    }
}
