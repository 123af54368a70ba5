//! What the ingress and the peer channel share: connections to the platform and to neighbours, bodies, headers, answers.
//!
//! Each thread of the data path has a [`Context`] of its own with its own connections, so that no call takes a lock.

mod allowance;
mod body;
mod buffers;
mod connect;
mod context;
pub mod decoders;
mod hang_up;
pub mod headers;
mod heard_out;
mod line;
mod lines;
mod path;
pub(crate) mod plain;
mod pool;
mod remote;
mod replay;
mod reply;
mod run;
pub(crate) mod trunk;
mod turn;
mod unproved;
mod upgrade;
mod wall;

pub use crate::peer_tls::{PeerTls, PeerTlsError, Speaks};
pub use allowance::{Allowances, Metered, Weighed};
pub use body::AnswerBody;
pub use buffers::{Buffers, READ};
pub use connect::{Connector, Io, Target};
pub(crate) use connect::{TRUNK_WRITE, buffered, end_in_silence, notice_dead_end, prepare};
pub use context::{Context, Shared};
pub(crate) use hang_up::hang_up;
pub use line::Line;
pub use lines::Lines;
pub(crate) use path::{Asked, function_in};
pub use pool::{Leased, Pool, SendError};
pub(crate) use remote::party_of;
pub use replay::{Acceptance, CallBody, Replay};
pub use reply::{refuse, text};
pub use run::{Run, run_here};
pub(crate) use run::{body_too_slow, failure, relay};
pub use trunk::Trunks;
pub(crate) use trunk::{There, TrunkCall, is_reason};
pub(crate) use turn::{others_first, wake_after_sockets};
pub use unproved::Unproved;
pub use upgrade::Tunnel;
pub use wall::WallClock;
