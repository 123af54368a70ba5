//! Trunks: connections between two nodes that carry many calls at a time, over the mutual TLS of the peer channel.
//!
//! A call of its own connection costs four socket calls and two TLS records at each end of the hop. On a trunk the frames of
//! all calls that are ready go out in one write and come in by one read. See `docs/decisions.md`.

mod call;
mod calls;
pub(crate) mod frame;
mod gathering;
mod numbers;
mod origin;
mod reading;
mod sending;
mod wire;

pub(crate) use calls::{There, TrunkCall};
pub(crate) use frame::is_reason;
pub(crate) use gathering::Gathering;
pub(crate) use numbers::ByNumber;
pub use origin::Trunks;
pub(crate) use reading::Reading;
pub(crate) use sending::Sending;
pub(crate) use wire::Wire;
