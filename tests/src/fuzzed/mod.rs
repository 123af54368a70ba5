//! What must hold of every decoder whatever bytes it is given: the bodies of the fuzz targets (`tests/fuzz`), and of the tests
//! that replay what the fuzzer found worth keeping.
//!
//! Each panics where something is wrong.

mod handshake;
mod http;
mod labels;
mod listing;
mod membership;
mod texts;
mod trunk;
mod wire;

pub use handshake::handshake;
pub use http::http;
pub use labels::labels;
pub use listing::listing;
pub use membership::membership;
pub use texts::{config, lightgbm, scenario};
pub use trunk::trunk;
pub use wire::wire;

/// A target's name, which is that of its corpus too, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets that need no running agent; beside them there is `request_head`, see [`crate::judge`].
pub const TARGETS: [Target; 10] = [
    ("config", config),
    ("handshake", handshake),
    ("http", http),
    ("labels", labels),
    ("lightgbm", lightgbm),
    ("listing", listing),
    ("membership", membership),
    ("scenario", scenario),
    ("trunk", trunk),
    ("wire", wire),
];

/// The ways in which bytes are cut into pieces: whole, in two at a place that depends on them, and one by one.
fn cuts(input: &[u8]) -> [Vec<&[u8]>; 3] {
    let sum: usize = input.iter().map(|byte| usize::from(*byte)).sum();
    let (first, second) = input.split_at(sum % (input.len() + 1));
    [vec![input], vec![first, second], input.chunks(1).collect()]
}
