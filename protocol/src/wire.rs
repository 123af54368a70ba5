//! What travels between two nodes' control planes.
//!
//! A message is one version byte and then its [`codec`]'s bytes. The decoder bounds what it reads before it allocates,
//! refuses what is left over, and checks every value, so that hostile bytes cost a counter and nothing else.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, DecodeError, EncodeError};
use crate::membership::{Certificate, Revocation};
use crate::offer::{Grant, Offer};
use crate::sighting::Sighting;
use crate::trade::{Bid, Margin, Price};
use crate::{FunctionName, NodeId};

/// The version that this code speaks. A change of any message is a new version.
pub const VERSION: u8 = 3;
/// The largest message, in bytes, with its version byte.
pub const MAX_MESSAGE: usize = codec::MAX_BYTES;
/// The most functions in an offer, and the most grants in a message.
pub const MAX_FUNCTIONS: usize = 4096;

/// The most certificates, and the most revocations, in a message.
pub const MAX_MEMBERS: usize = 512;

/// What one node says to one neighbour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// What the sender will take.
    Offer(Offer),
    /// The rates that the sender accepts from the receiver; sorted by function. They replace all before them.
    Grants(Vec<Grant>),
    /// The sender takes no more calls: it drains.
    Farewell,
    /// What the sender offers to the receiver of its spare usage. It replaces the one before it.
    Margin(Margin),
    /// What the sender asks for its functions' calls; sorted by function. They replace all before them.
    Prices(Vec<Price>),
    /// What the sender would pay for the receiver's; sorted by function. They replace all before them.
    Bids(Vec<Bid>),
    /// Members that the sender knows: new to it, or all of them where a link begins.
    Members(Vec<Certificate>),
    /// Nodes that are no members any more, as it knows them in the same way.
    Revocations(Vec<Revocation>),
    /// The sender does not hear a node: when did the receiver?
    Question(NodeId),
    /// The answer.
    Sighting(Sighting),
}

/// Why a message was not sent or not taken.
#[derive(Debug, Error)]
pub enum WireError {
    /// Nothing there.
    #[error("the message is empty")]
    Empty,
    /// Another version.
    #[error(
        "the message has version {0}, this node speaks {VERSION}: run the same release on both"
    )]
    Version(u8),
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("the message has more than {MAX_MESSAGE} bytes")]
    TooLarge,
    /// It does not decode.
    #[error("the message does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// It does not encode.
    #[error("the message does not encode: {0}")]
    Encode(#[from] EncodeError),
    /// Bytes after its end.
    #[error("{0} bytes are left over after the message")]
    LeftOver(usize),
    /// It decodes, and says what no node may say.
    #[error("the message is not valid: {0}")]
    Invalid(&'static str),
}

/// Encodes a message.
///
/// # Errors
/// If it is not valid or too large.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    validate(message)?;
    let mut bytes = vec![VERSION];
    codec::append(message, &mut bytes)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(WireError::TooLarge);
    }
    Ok(bytes)
}

/// Decodes a message, whole: nothing may be left over.
///
/// # Errors
/// If the bytes are not exactly one valid message of this version.
pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    let (version, body) = bytes.split_first().ok_or(WireError::Empty)?;
    if *version != VERSION {
        return Err(WireError::Version(*version));
    }
    if bytes.len() > MAX_MESSAGE {
        return Err(WireError::TooLarge);
    }
    let (message, left_over) = codec::read(body)?;
    if left_over != 0 {
        return Err(WireError::LeftOver(left_over));
    }
    validate(&message)?;
    Ok(message)
}

fn validate(message: &Message) -> Result<(), WireError> {
    match message {
        Message::Offer(offer) => {
            if offer.functions.len() > MAX_FUNCTIONS {
                return Err(WireError::Invalid(
                    "an offer names more than 4096 functions",
                ));
            }
            if !offer.functions.is_sorted_by(|a, b| a.function < b.function) {
                return Err(WireError::Invalid(
                    "an offer's functions are not sorted, each once",
                ));
            }
            if offer.functions.iter().any(|f| f.headroom.size == 0) {
                return Err(WireError::Invalid("a headroom has size zero"));
            }
            if offer
                .functions
                .iter()
                .any(|f| i64::from(f.headroom.free) > i64::from(f.headroom.size))
            {
                return Err(WireError::Invalid("a headroom is larger than its size"));
            }
            if offer.peer_endpoint.port == 0 {
                return Err(WireError::Invalid("the peer channel's port is zero"));
            }
        }
        Message::Grants(grants) => each_once(
            grants.iter().map(|g| &g.function),
            "more than 4096 grants",
            "grants are not sorted, each function once",
        )?,
        Message::Prices(prices) => each_once(
            prices.iter().map(|p| &p.function),
            "more than 4096 prices",
            "prices are not sorted, each function once",
        )?,
        Message::Bids(bids) => each_once(
            bids.iter().map(|b| &b.function),
            "more than 4096 bids",
            "bids are not sorted, each function once",
        )?,
        Message::Members(members) if members.len() > MAX_MEMBERS => {
            return Err(WireError::Invalid("more than 512 members"));
        }
        Message::Revocations(revocations) if revocations.len() > MAX_MEMBERS => {
            return Err(WireError::Invalid("more than 512 revocations"));
        }
        Message::Farewell
        | Message::Margin(_)
        | Message::Members(_)
        | Message::Revocations(_)
        | Message::Question(_)
        | Message::Sighting(_) => {}
    }
    Ok(())
}

/// What is told of functions, each at most once.
fn each_once<'a>(
    functions: impl ExactSizeIterator<Item = &'a FunctionName>,
    too_many: &'static str,
    unsorted: &'static str,
) -> Result<(), WireError> {
    if functions.len() > MAX_FUNCTIONS {
        return Err(WireError::Invalid(too_many));
    }
    if !functions.is_sorted_by(|a, b| a < b) {
        return Err(WireError::Invalid(unsorted));
    }
    Ok(())
}
