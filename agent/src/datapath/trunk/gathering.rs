//! Gathering frames before they are sent.

use std::task::Context;

use crate::datapath::wake_after_sockets;

/// With so many bytes there is nothing to wait for.
const ENOUGH: usize = 128 * 1024;
/// Turns of the runtime that frames wait at most.
const MOST_TURNS: u8 = 8;

/// Frames that wait for more, one turn of the runtime after the other, as long as each turn brings some: what is ready to be
/// read now joins them, and no time is waited for.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    bytes: usize,
    turns: u8,
}

impl Gathering {
    /// Whether so many bytes are to wait for more. Their task is woken then when the runtime has looked at all sockets.
    pub(crate) fn goes_on(&mut self, bytes: usize, cx: &mut Context<'_>) -> bool {
        let goes_on = bytes > self.bytes && bytes < ENOUGH && self.turns < MOST_TURNS;
        if goes_on {
            self.bytes = bytes;
            self.turns += 1;
            wake_after_sockets(cx);
        } else {
            *self = Gathering::default();
        }
        goes_on
    }
}
