//! What stands behind the admin address.

use dfaas_protocol::FunctionName;
use dfaas_protocol::membership::MembershipError;
use dfaas_protocol::strategy::StrategyName;
use futures::future::BoxFuture;
use thiserror::Error;

use super::view::{CallExplanation, Decisions, Drain, Federation, Peer, Status};

/// What the admin address shows and sets: a running node, or a part that stands for one.
pub trait Source: Send + Sync + 'static {
    /// The node as a whole.
    fn status(&self) -> Status;

    /// Its neighbours.
    fn peers(&self) -> Vec<Peer>;

    /// The strategy at work.
    fn strategy(&self) -> StrategyName;

    /// Puts another strategy to work. When this is done it is at work.
    ///
    /// # Errors
    /// If the node stops.
    fn set_strategy(&self, strategy: StrategyName) -> BoxFuture<'_, Result<(), Stopping>>;

    /// Whether the node refuses calls of neighbours.
    fn cordoned(&self) -> bool;

    /// Refuses calls of neighbours from now on, or takes them again, and tells the neighbours at once.
    fn set_cordoned(&self, cordoned: bool);

    /// Ends the node without losing a call; it goes on draining when this returns.
    fn drain(&self, drain: Drain);

    /// Who is let in.
    fn federation(&self) -> Federation;

    /// Takes up a revocation that the authority signed, and tells the neighbours.
    ///
    /// # Errors
    /// If it is none of this node's federation, which says what to do.
    fn revoke(&self, revocation: &str) -> Result<(), NotRevoked>;

    /// The last calls with that id, the last one first.
    ///
    /// # Errors
    /// If none is known, which says what to do.
    fn explain_call(&self, id: &str) -> Result<Vec<CallExplanation>, NotKept>;

    /// Sums over a function's last calls.
    ///
    /// # Errors
    /// If none is known, which says what to do.
    fn decisions(&self, function: &FunctionName) -> Result<Decisions, NotKept>;

    /// All metrics as OpenMetrics text.
    fn metrics(&self) -> String;

    /// Why no calls should be sent to this node now: it starts, it drains, or something is down. Nothing if they
    /// should.
    fn not_ready(&self) -> Option<String>;
}

/// The node stops, and its strategy can no longer be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the agent is stopping; try again once it has started anew")]
pub struct Stopping;

/// A revocation was not taken up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotRevoked {
    /// There is no federation.
    #[error(
        "this node is in no closed federation, so that it has no members to revoke; ask another agent"
    )]
    NoFederation,
    /// It is no revocation of this federation.
    #[error(transparent)]
    Unusable(#[from] MembershipError),
}

/// Nothing is kept of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotKept {
    /// Nothing is kept of any call.
    #[error("no calls are kept here; set log.explain_calls above 0 and start the agent anew")]
    Off,
    /// Of no call with that id.
    #[error(
        "no call with the id {id:?} is among the last that this node keeps (at most {most}); the id is the header X-Call-Id of \
         the answer: ask the node that took the call in (DFaaS-Node-ID) or the one that ran it (DFaaS-Forwarded-To), and \
         raise log.explain_calls to keep more"
    )]
    Call {
        /// The id.
        id: String,
        /// How many are kept.
        most: usize,
    },
    /// Of no call of that function.
    #[error(
        "no call of {function} is among the last that this node keeps (at most {most}); `dfaas status` lists the functions \
         and their calls"
    )]
    Function {
        /// The function.
        function: FunctionName,
        /// How many are kept.
        most: usize,
    },
}
