//! Taking plain calls that a neighbour sends on a trunk, many at a time.
//!
//! One task serves the connection: it reads what came, polls the calls that can go on, and writes what all of them had to
//! say in one go.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context as TaskContext, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use dfaas_protocol::delivery::{Admission, Rejection, admit};
use dfaas_protocol::{Headroom, NodeId};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use crate::datapath::Context;
use crate::datapath::plain::{Answer, Failed, Found, Head, Left, Limits, Source, exchange};
use crate::datapath::trunk::Gathering;
use crate::datapath::trunk::frame::{self, Frame, MAX_DATA, Malformed, WINDOW};
use crate::routing::{Served, Slot};

/// How much is read at one time.
const READ: usize = 64 * 1024;
/// With so many bytes waiting to be sent, nothing is added to them.
const MOST_WAITING: usize = 256 * 1024;
/// Calls on one trunk at a time. Those beyond are refused.
const MOST_CALLS: usize = 4096;
/// How long the other end may take to close a trunk on which nothing is left.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one trunk until it ends, or until `stop` says that the node drains and its calls have ended.
pub(super) async fn serve_trunk(
    context: Rc<Context>,
    stream: TlsStream<BufReader<TcpStream>>,
    from: NodeId,
    mut stop: watch::Receiver<bool>,
) {
    let trunk = Trunk {
        context,
        from,
        out: RefCell::default(),
        tickets: RefCell::default(),
        crowd: RefCell::default(),
        next_deadline: Cell::default(),
    };
    let mut connection = Connection {
        stream,
        trunk: &trunk,
        input: BytesMut::new(),
        calls: Vec::new(),
        sent: Vec::new(),
        at: 0,
        last: 0,
    };
    let mut running = FuturesUnordered::new();
    let mut stopped = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut farewell: Option<Pin<Box<Sleep>>> = None;
    let mut closing = false;
    let mut gathering = Gathering::default();
    let ended = poll_fn(|cx| -> Poll<io::Result<()>> {
        if !closing && stopped.as_mut().poll(cx).is_ready() {
            closing = true;
            frame::write_closing(&mut trunk.out.borrow_mut());
        }
        loop {
            let full = trunk.is_full();
            if !full {
                while let Poll::Ready(read) = connection.poll_read(cx) {
                    if read? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    for (number, request) in connection.calls.drain(..) {
                        let ticket = trunk.ticket(number);
                        running.push(run(&trunk, number, ticket, request));
                    }
                }
            }
            while let Poll::Ready(Some(number)) = running.poll_next_unpin(cx) {
                trunk.tickets.borrow_mut().remove(&number);
            }
            if let Some(next) = trunk.next_deadline.get() {
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
                if timer.deadline() != next {
                    timer.as_mut().reset(next);
                }
                if timer.as_mut().poll(cx).is_ready() {
                    trunk.pass_deadlines(Instant::now());
                    continue;
                }
            }
            let sent = connection.at == connection.sent.len();
            if sent && gathering.goes_on(trunk.waiting(), cx) {
                return Poll::Pending;
            }
            ready!(connection.poll_write(cx))?;
            // What was not read for want of room can be read now.
            if !full {
                break;
            }
        }
        if closing && running.is_empty() {
            let last = farewell.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
            return last.as_mut().poll(cx).map(Ok);
        }
        Poll::Pending
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, neighbour = %from, "a trunk broke");
    }
    // A courtesy to the other end, which otherwise hears of it by a reset.
    let goodbye = poll_fn(|cx| Pin::new(&mut connection.stream).poll_shutdown(cx));
    let _ = tokio::time::timeout(FAREWELL, goodbye).await;
}

/// What the calls of a trunk share.
struct Trunk {
    context: Rc<Context>,
    from: NodeId,
    /// Frames that wait to be sent.
    out: RefCell<Vec<u8>>,
    tickets: RefCell<HashMap<u32, Rc<Ticket>>>,
    /// Calls that wait for room in `out`.
    crowd: RefCell<Vec<Waker>>,
    /// No call's deadline is before it. One timer serves all calls of a trunk and is hardly ever set anew.
    next_deadline: Cell<Option<Instant>>,
}

/// What the other end may do to a call that runs.
struct Ticket {
    given_up: Cell<bool>,
    /// Bytes of the answer that may be sent.
    window: Cell<u32>,
    /// When the head of the answer has to be there.
    deadline: Cell<Option<Instant>>,
    late: Cell<bool>,
    task: Cell<Option<Waker>>,
}

impl Ticket {
    /// Does that, unless the call's time is over before.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.late.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// The connection of a trunk.
struct Connection<'a> {
    stream: TlsStream<BufReader<TcpStream>>,
    trunk: &'a Trunk,
    input: BytesMut,
    /// Calls that were read and not begun.
    calls: Vec<(u32, Bytes)>,
    /// The frames that are being sent.
    sent: Vec<u8>,
    /// How many bytes of them TLS has taken.
    at: usize,
    /// The number of the last call.
    last: u32,
}

impl Connection<'_> {
    fn poll_read(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ);
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        let mut bytes = &self.input[..];
        while let Some((frame, len)) = Frame::read(bytes).map_err(io::Error::other)? {
            match frame {
                Frame::Call { call, request } if call > self.last => {
                    self.last = call;
                    // A copy, as a call that lasts would keep all that was read with it.
                    self.calls.push((call, Bytes::copy_from_slice(request)));
                }
                other => self.trunk.take_in(other).map_err(io::Error::other)?,
            }
            bytes = &bytes[len..];
        }
        let left = bytes.len();
        self.input.advance(self.input.len() - left);
        Poll::Ready(Ok(read))
    }

    fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.at == self.sent.len() {
                self.at = 0;
                self.sent.clear();
                std::mem::swap(&mut *self.trunk.out.borrow_mut(), &mut self.sent);
                self.trunk
                    .crowd
                    .borrow_mut()
                    .drain(..)
                    .for_each(Waker::wake);
                if self.sent.is_empty() {
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
            }
            let rest = &self.sent[self.at..];
            self.at += ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
        }
    }
}

impl Trunk {
    fn waiting(&self) -> usize {
        self.out.borrow().len()
    }

    fn is_full(&self) -> bool {
        self.waiting() >= MOST_WAITING
    }

    fn ticket(&self, number: u32) -> Rc<Ticket> {
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

    /// Gives a call so much time.
    fn limit(&self, ticket: &Ticket, deadline: Instant) {
        ticket.deadline.set(Some(deadline));
        let next = self.next_deadline.get();
        if next.is_none_or(|next| deadline < next) {
            self.next_deadline.set(Some(deadline));
        }
    }

    /// Tells the calls that are late, and finds out when to look again.
    fn pass_deadlines(&self, now: Instant) {
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
    fn take_in(&self, frame: Frame<'_>) -> Result<(), Malformed> {
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

    fn refuse(&self, number: u32, headroom: Option<Headroom>, why: &'static str) {
        frame::write_refused(&mut self.out.borrow_mut(), number, headroom, why);
    }

    /// Waits until a call may send something, of its answer or its window's bytes of it.
    async fn room(&self, ticket: &Ticket, any: bool) {
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
    async fn send(&self, number: u32, ticket: &Ticket, mut bytes: &[u8], last: bool) {
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

/// Runs one call until it is answered, refused or given up. Returns its number.
async fn run(trunk: &Trunk, number: u32, ticket: Rc<Ticket>, request: Bytes) -> u32 {
    if trunk.tickets.borrow().len() > MOST_CALLS {
        trunk.refuse(number, None, "too-many-calls");
        return number;
    }
    let mut served = pin!(serve(trunk, number, &ticket, &request));
    poll_fn(|cx| {
        if ticket.given_up.get() || served.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ticket.task.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
    number
}

async fn serve(trunk: &Trunk, number: u32, ticket: &Ticket, request: &[u8]) {
    let shared = &trunk.context.shared;
    // Nothing but one plain request is passed on, whatever a neighbour sends.
    let head = match Head::find(request, Limits::NEIGHBOUR) {
        Found::Plain(head) if head.len + head.body == request.len() => head,
        _ => return trunk.refuse(number, None, "not-plain"),
    };
    let function = std::str::from_utf8(&request[head.function.clone()]);
    let found = function.map(|name| shared.routes.load().find(name).cloned());
    let Ok(Some(served)) = found else {
        return trunk.refuse(number, None, "not-here");
    };
    let headroom = || {
        let gate = served.route.here.as_ref()?;
        Some(gate.headroom(shared.clock.now()))
    };
    let refuse = |why| {
        served.counters.refused_to_peer();
        trunk.refuse(number, headroom(), why);
    };
    if shared.is_draining() {
        return refuse("draining");
    }
    let Some(ran) = served.neighbours.get(&trunk.from) else {
        return refuse("not-a-neighbour");
    };
    let now = Instant::now();
    trunk.limit(ticket, now + served.timeout);
    let slot = match slot(trunk, ticket, &served, now).await {
        Ok(slot) => slot,
        Err(why) => return refuse(why),
    };
    let since = shared.clock.at(slot.since());
    let health = &shared.platform;
    let lines = &trunk.context.lines;
    let exchanged = ticket
        .in_time(exchange(lines, request, head.head_only))
        .await;
    ticket.deadline.set(None);
    let (status, why) = match exchanged {
        Some(Ok(answer)) if answer.is_limiter_refusal() => {
            health.call_succeeded();
            drop(slot);
            refuse(Rejection::PlatformRefused.as_str());
            let soon = Instant::now() + shared.timeouts.connect;
            return answer.discard(lines, soon).await;
        }
        Some(Ok(answer)) => {
            health.call_succeeded();
            ran.fetch_add(1, Relaxed);
            served.counters.ran_for_peer();
            return pass_on(trunk, number, ticket, answer, slot, headroom).await;
        }
        Some(Err(failed @ (Failed::Unsent { .. } | Failed::Refused(_)))) => {
            tracing::debug!(?failed, "a call could not be sent");
            health.call_failed(since);
            drop(slot);
            return refuse(Rejection::PlatformDown.as_str());
        }
        Some(Err(Failed::Broken(why))) => {
            health.call_failed(since);
            (StatusCode::BAD_GATEWAY, why)
        }
        None => (
            StatusCode::GATEWAY_TIMEOUT,
            "the function did not answer in time; raise its label dfaas.timeout_ms if it needs longer"
                .to_owned(),
        ),
    };
    drop(slot);
    ran.fetch_add(1, Relaxed);
    served.counters.ran_for_peer();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{}",
        why.len() + 1,
        if head.head_only {
            String::new()
        } else {
            why + "\n"
        },
    );
    trunk.room(ticket, false).await;
    let out = &mut *trunk.out.borrow_mut();
    frame::write_answer(out, number, headroom(), [answer.as_bytes(), b""], true);
}

/// The slot of a call, now or when its turn comes; or why there is none.
async fn slot(
    trunk: &Trunk,
    ticket: &Ticket,
    served: &Served,
    now: Instant,
) -> Result<Slot, &'static str> {
    let clock = trunk.context.shared.clock;
    let Some(local) = &served.local else {
        return Err("not-here");
    };
    match admit(&served.route, trunk.from, clock.at(now.into_std())) {
        Admission::Run => Ok(local.running_since(now.into_std())),
        Admission::Wait(turn) => {
            let turn = ticket.in_time(local.turn(turn, clock));
            turn.await.ok_or("waited-too-long")
        }
        Admission::Refuse(rejection) => Err(rejection.as_str()),
    }
}

/// Passes the platform's answer on as it comes.
async fn pass_on(
    trunk: &Trunk,
    number: u32,
    ticket: &Ticket,
    answer: Answer,
    slot: Slot,
    headroom: impl Fn() -> Option<Headroom>,
) {
    let Answer {
        head,
        mut input,
        source,
    } = answer;
    let mut left = Left::of(head.body);
    let (mut slot, mut source) = (Some(slot), Some(source));
    // Where the head ends that is still to be sent.
    let mut body = head.len;
    loop {
        let Some(here) = left.follow(&input[body..]) else {
            break; // Its framing is broken.
        };
        let ended = left.ended();
        if ended {
            drop(slot.take());
            if head.reusable
                && body + here == input.len()
                && let Some(Source::Line(line)) = source.take()
            {
                trunk.context.lines.give_back(line);
            }
        }
        let bytes = &input[..body + here];
        if body > 0 {
            trunk.room(ticket, false).await;
            let (first, rest) = bytes.split_at(body + here.min(MAX_DATA));
            ticket.window.set(ticket.window.get() - first.len() as u32);
            let last = ended && rest.is_empty();
            let out = &mut *trunk.out.borrow_mut();
            frame::write_answer(out, number, headroom(), [first, b""], last);
            body = 0;
            if !rest.is_empty() {
                trunk.send(number, ticket, rest, ended).await;
            }
        } else {
            trunk.send(number, ticket, bytes, ended).await;
        }
        if ended {
            return;
        }
        input.clear();
        let more = match &mut source {
            Some(source) => source.more(&mut input).await,
            None => break,
        };
        match more {
            Ok(true) => {}
            Ok(false) if matches!(left, Left::UntilClose) => {
                return trunk.send(number, ticket, b"", true).await;
            }
            _ => break,
        }
    }
    frame::write_reset(&mut trunk.out.borrow_mut(), number);
}
