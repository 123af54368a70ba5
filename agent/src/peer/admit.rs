//! Whether a neighbour's call runs here, on whichever kind of connection it came.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::delivery::{self, Admission, Rejection};
use dfaas_protocol::policy::{Priority, Terms};
use tokio::time::Instant;

use crate::datapath::Shared;
use crate::explain::{Explained, TOO_LONG};
use crate::routing::{Served, Slot};

/// Why a call is refused whose neighbour brings more than it may.
const LIMITED: &str = "limited";

/// A call that a neighbour forwarded.
pub(super) struct Forwarded<'a> {
    pub(super) from: NodeId,
    pub(super) served: &'a Served,
    /// Whether the neighbour may bring another call by now.
    pub(super) may_come: bool,
    /// The priority that the neighbour gives it, if it gives one.
    pub(super) priority: Option<Priority>,
    /// Within what time the answer is of use, if the neighbour says so.
    pub(super) within: Option<Duration>,
    pub(super) arrived: Instant,
}

/// What a call has that runs here.
pub(super) struct Admitted<'a> {
    pub(super) slot: Slot,
    /// How many calls were run for the neighbour.
    pub(super) ran: &'a Arc<AtomicU64>,
}

/// The slot of a call, now or when its turn comes; or why there is none: nothing was executed.
pub(super) async fn admit<'a>(
    shared: &Shared,
    call: Forwarded<'a>,
    explained: &mut Explained<'_>,
) -> Result<Admitted<'a>, &'static str> {
    let Forwarded { from, served, .. } = call;
    if shared.is_draining() {
        return Err("draining");
    }
    if !call.may_come {
        return Err(LIMITED);
    }
    let Some(ran) = served.neighbours.get(&from) else {
        return Err("not-a-neighbour");
    };
    let Some(local) = &served.local else {
        return Err(Rejection::NotHere.as_str());
    };
    if !served.offered {
        return Err(Rejection::Closed.as_str());
    }
    let now = shared.clock.at(call.arrived.into_std());
    let own = served.terms(now, call.within);
    let terms = Terms {
        priority: call.priority.unwrap_or(own.priority),
        ..own
    };
    let admission = delivery::admit(&served.route, from, &terms, now);
    let admission = served.displace_admission(admission, &terms);
    explained.admitted(admission, &served.route, now);
    let slot = match admission {
        Admission::Run => local.running_since(call.arrived.into_std()),
        Admission::Wait => {
            let turn = local.turn(&terms, served.service);
            let turn = tokio::time::timeout_at(call.arrived + served.timeout, turn).await;
            let slot = turn.map_err(|_| TOO_LONG)?;
            explained.sent_here();
            slot.ok_or(Rejection::Dropped.as_str())?
        }
        Admission::Refuse(rejection) => return Err(rejection.as_str()),
    };
    Ok(Admitted { slot, ran })
}
