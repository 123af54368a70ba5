//! What the calls of a trunk share.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use dfaas_protocol::{Headroom, NodeId};
use tokio::time::Instant;

use crate::datapath::trunk::ByNumber;
use crate::datapath::trunk::frame::{self, Frame, MAX_DATA, Malformed, WINDOW};
use crate::datapath::{Context, Metered};

/// With so many bytes waiting to be sent, nothing is added to them.
const MOST_WAITING: usize = 256 * 1024;
/// Calls on one trunk at a time. Those beyond are refused.
const MOST_CALLS: usize = 4096;

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
    /// Calls that wait for room in `out`.
    crowd: RefCell<Vec<Waker>>,
    /// No call's deadline is before it. One timer serves all calls of a trunk and is hardly ever set anew.
    next_deadline: Cell<Option<Instant>>,
}

/// What the other end may do to a call that runs.
pub(super) struct Ticket {
    pub(super) given_up: Cell<bool>,
    /// Bytes of the answer that may be sent.
    pub(super) window: Cell<u32>,
    /// When the head of the answer has to be there.
    pub(super) deadline: Cell<Option<Instant>>,
    late: Cell<bool>,
    task: Cell<Option<Waker>>,
}

impl Ticket {
    /// Does that, unless the call's time is over before.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
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
            task.wake();
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

    /// Puts the frames that wait in the place of those that were sent, which makes room.
    pub(super) fn hand_over(&self, sent: &mut Vec<u8>) {
        sent.clear();
        std::mem::swap(&mut *self.out.borrow_mut(), sent);
        let mut crowd = self.crowd.borrow_mut();
        crowd.drain(..).for_each(Waker::wake);
    }

    /// A new call.
    pub(super) fn ticket(&self, number: u32) -> Rc<Ticket> {
        let ticket = Rc::new(Ticket {
            given_up: Cell::new(false),
            window: Cell::new(WINDOW),
            deadline: Cell::default(),
            late: Cell::default(),
            task: Cell::new(None),
        });
        let mut tickets = self.tickets.borrow_mut();
        tickets.insert(number, Rc::clone(&ticket));
        ticket
    }

    /// A call has ended.
    pub(super) fn forget(&self, number: u32) {
        self.tickets.borrow_mut().remove(&number);
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
