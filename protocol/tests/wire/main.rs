//! What travels, byte by byte: golden messages, hostile bytes, and whatever proptest finds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod any;
mod framing;
mod golden;
mod values;
