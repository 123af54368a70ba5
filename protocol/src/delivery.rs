//! Deliver: one call from its arrival to where it runs.
//!
//! The driver asks a [`Delivery`] what to do, does it, and reports a refusal if there is one. Two rules hold whatever
//! the strategy says: a call is sent to neighbours at most [`MAX_ATTEMPTS`] times, each time to another; and a call that
//! a neighbour forwarded has no delivery at all, only an [`Admission`], which has no way to say "forward".

use rand::Rng;

use crate::gate::{Entry, Gate};
use crate::policy::Terms;
use crate::route::Route;
use crate::{HealthState, NodeId, Time};

/// How often a call is sent to a neighbour at most. More changed nothing in the prototype.
pub const MAX_ATTEMPTS: usize = 2;

/// What to do with a call that a client brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Run it here. The gate has counted it; the driver owes an [`end`](crate::gate::Gate::end).
    Run(Why),
    /// Let it wait here, then run it. The gate has counted it; the driver owes an `end` or a [`leave`](crate::gate::Gate::leave).
    Wait(Why),
    /// Send it to the candidate with that index in [`Route::there`], which has been counted down.
    Forward(usize, Why),
    /// Refuse it.
    Reject(Rejection),
}

/// What to do with a call that a neighbour forwarded. There is no way to forward it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Run it. The gate has counted it.
    Run,
    /// Let it wait, then run it. The gate has counted it.
    Wait,
    /// Refuse it at once: nothing was executed.
    Refuse(Rejection),
}

/// Why a call goes where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It can start here at once.
    FreeHere,
    /// A neighbour has the larger share of its capacity left.
    MoreHeadroomThere,
    /// A neighbour with a free slot costs so much less.
    CheaperThere,
    /// The function is offered only there.
    OnlyThere,
    /// The strategy's weights drew this target.
    Drawn,
    /// It is the nearest neighbour with something free.
    Nearest,
    /// The fewest calls are there.
    LeastBusy,
    /// It is this target's turn.
    InTurn,
    /// No neighbour is left to try, and there is room to wait here.
    WaitHere,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Neither the local platform nor a neighbour has the function.
    Unknown,
    /// Everything that may run it is full.
    Full,
    /// The local platform does not answer, and no neighbour takes the call.
    PlatformDown,
    /// The local platform refused it, and no neighbour takes the call.
    PlatformRefused,
    /// The function is not on this node, and no neighbour that has it takes the call.
    NotTaken,
    /// The neighbour that forwarded it sent more than was granted to it.
    OverGrant,
    /// The function is not on this node (for a forwarded call).
    NotHere,
    /// The strategy sheds it.
    ByStrategy,
    /// It could not be served before its deadline.
    Late,
    /// Calls of higher priority took its place, or it could not start in time.
    Dropped,
    /// The function is fenced, or the node is cordoned (for a forwarded call).
    Closed,
}

impl Why {
    /// A word for logs and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::FreeHere => "free-here",
            Why::MoreHeadroomThere => "more-headroom-there",
            Why::CheaperThere => "cheaper-there",
            Why::OnlyThere => "only-there",
            Why::Drawn => "drawn",
            Why::Nearest => "nearest",
            Why::LeastBusy => "least-busy",
            Why::InTurn => "in-turn",
            Why::WaitHere => "wait-here",
        }
    }
}

impl Rejection {
    /// A word for logs, headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rejection::Unknown => "unknown",
            Rejection::Full => "full",
            Rejection::PlatformDown => "platform-down",
            Rejection::PlatformRefused => "platform-refused",
            Rejection::NotTaken => "not-taken",
            Rejection::OverGrant => "over-grant",
            Rejection::NotHere => "not-here",
            Rejection::ByStrategy => "by-strategy",
            Rejection::Late => "late",
            Rejection::Dropped => "dropped",
            Rejection::Closed => "closed",
        }
    }
}

/// The places that a call cannot be sent to any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    nodes: [Option<NodeId>; MAX_ATTEMPTS],
    here: Here,
    terms: Terms,
}

/// What is known of the local platform, for one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Here {
    /// Its health was not asked yet.
    #[default]
    Unasked,
    /// It may run the call.
    Open,
    /// It is on probation and this call is not among those that it is tried with, or the node drains: it runs the call if
    /// nobody else does.
    Spared,
    /// It does not answer.
    Down,
    /// It refused the call.
    Refused,
    /// The queue dropped the call.
    Dropped,
}

impl Here {
    fn of(gate: &Gate) -> Here {
        if gate.platform().admits() {
            Here::Open
        } else if gate.platform().state() == HealthState::Ejected {
            Here::Down
        } else {
            Here::Spared
        }
    }
}

impl Tried {
    /// Whether it was sent to that neighbour.
    pub fn node(&self, node: NodeId) -> bool {
        self.nodes.contains(&Some(node))
    }

    /// Whether the local platform is out of the question: it refused the call, or it does not answer, or it has to be
    /// spared.
    pub const fn here(&self) -> bool {
        matches!(
            self.here,
            Here::Spared | Here::Down | Here::Refused | Here::Dropped
        )
    }

    /// What the call asks for.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How often it was sent to a neighbour.
    pub fn attempts(&self) -> usize {
        self.nodes.iter().flatten().count()
    }
}

/// One call on its way. [`next`](Delivery::next) decides; after each refusal, or a connection that could not be made, it
/// is asked again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    tried: Tried,
}

impl Delivery {
    /// A call that a client brought.
    pub fn new() -> Delivery {
        Delivery::default()
    }

    /// A call that a client brought, and what it asks for.
    pub fn on(terms: Terms) -> Delivery {
        let mut delivery = Delivery::default();
        delivery.tried.terms = terms;
        delivery
    }

    /// What was tried so far.
    pub const fn tried(&self) -> &Tried {
        &self.tried
    }

    /// What to do next.
    pub fn next(&mut self, route: &Route, now: Time, rng: &mut dyn Rng) -> Decision {
        if self.tried.here == Here::Unasked {
            self.tried.here = route.here.as_deref().map_or(Here::Open, Here::of);
        }
        if self.tried.terms.are_over(now) {
            return Decision::Reject(Rejection::Late);
        }
        let may_forward = self.tried.attempts() < MAX_ATTEMPTS;
        if may_forward && let Some(decision) = route.rule.decide(route, &self.tried, now, rng) {
            if let Decision::Forward(index, _) = decision {
                self.sent_to(route.there[index].node);
            }
            return decision;
        }
        self.settle_here(route, now)
    }

    /// This node is about to stop: it runs the call only if nobody else does.
    pub fn spare_here(&mut self) {
        self.tried.here = Here::Spared;
    }

    /// The local platform refused it, and nothing was executed.
    pub fn refused_here(&mut self) {
        self.tried.here = Here::Refused;
    }

    /// It waited here and was dropped from the queue, for another of higher priority or because it came too late.
    pub fn dropped_here(&mut self) {
        self.tried.here = Here::Dropped;
    }

    /// The local platform could not be reached, and nothing was executed.
    pub fn unreached_here(&mut self) {
        self.tried.here = Here::Down;
    }

    fn sent_to(&mut self, node: NodeId) {
        if let Some(place) = self.tried.nodes.iter_mut().find(|place| place.is_none()) {
            *place = Some(node);
        }
    }

    /// With nobody left to ask: run here, wait here, or refuse.
    fn settle_here(&self, route: &Route, now: Time) -> Decision {
        let Some(gate) = &route.here else {
            return Decision::Reject(if route.there.is_empty() {
                Rejection::Unknown
            } else {
                Rejection::NotTaken
            });
        };
        match self.tried.here {
            Here::Unasked | Here::Open | Here::Spared => match gate.enter(now) {
                Entry::Run => Decision::Run(Why::FreeHere),
                Entry::Wait => Decision::Wait(Why::WaitHere),
                Entry::Full => Decision::Reject(Rejection::Full),
            },
            Here::Down => Decision::Reject(Rejection::PlatformDown),
            Here::Refused => Decision::Reject(Rejection::PlatformRefused),
            Here::Dropped => Decision::Reject(Rejection::Dropped),
        }
    }
}

/// Admits a call that the neighbour `from` forwarded, or refuses it.
pub fn admit(route: &Route, from: NodeId, terms: &Terms, now: Time) -> Admission {
    let Some(gate) = &route.here else {
        return Admission::Refuse(Rejection::NotHere);
    };
    if terms.are_over(now) {
        return Admission::Refuse(Rejection::Late);
    }
    if !route.rule.accepts(from, now) {
        return Admission::Refuse(Rejection::OverGrant);
    }
    if !gate.platform().admits() {
        return Admission::Refuse(Rejection::PlatformDown);
    }
    match gate.enter(now) {
        Entry::Run => Admission::Run,
        Entry::Wait => Admission::Wait,
        Entry::Full => Admission::Refuse(Rejection::Full),
    }
}
